package main

import "syscall"

// roomAt asks the file system of a folder; ok is false if it does not say.
func roomAt(dir string) (r room, ok bool) {
	var s syscall.Statfs_t
	if syscall.Statfs(dir, &s) != nil {
		return r, false
	}
	const readOnly = 1 // ST_RDONLY
	return room{
		free: s.Bavail * uint64(s.Bsize), inodes: s.Ffree, counts: s.Files > 0, readOnly: s.Flags&readOnly != 0,
	}, true
}

// filesLimit is how many files this process may have open.
func filesLimit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0
	}
	return l.Cur
}
