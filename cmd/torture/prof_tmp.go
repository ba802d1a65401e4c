//go:build torture

package main

import (
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
)

func prof() func() {
	f, _ := os.Create("/tmp/lab-kill.prof")
	_ = pprof.StartCPUProfile(f)
	return func() {
		pprof.StopCPUProfile()
		f.Close()
		var a, b syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &a)
		syscall.Getrusage(syscall.RUSAGE_CHILDREN, &b)
		fmt.Fprintln(os.Stderr, "self", a.Utime, a.Stime, "children", b.Utime, b.Stime)
	}
}
