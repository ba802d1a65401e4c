//go:build !linux

package main

// roomAt is not known here.
func roomAt(string) (r room, ok bool) { return r, false }

// filesLimit is not known here.
func filesLimit() uint64 { return 0 }
