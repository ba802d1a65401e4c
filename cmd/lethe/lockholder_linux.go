package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// lockHolders returns whether a process has the lock of a file (flock), as the kernel
// lists it: to try the lock would keep a service from starting in that moment. known
// is false where it cannot be seen, in a container for instance.
func lockHolders(path string) (n int, known bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, os.IsNotExist(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	text, err := os.ReadFile("/proc/locks")
	if err != nil || !ok {
		return 0, false
	}
	inode := fmt.Sprintf(":%d ", stat.Ino)
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "FLOCK") && !strings.Contains(line, "->") && strings.Contains(line, inode) {
			n++
		}
	}
	return n, true
}
