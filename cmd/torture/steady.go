//go:build torture

package main

// #include "memory.h"
// #include "steady.h"
// #include <stdlib.h>
import "C"

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"unsafe"
)

// steadyPlans keeps SQLite, inside this process, from compiling statements again
// at each use: the driver forgets what was bound to them, and SQLite takes that for
// a reason to think again. It was a quarter of what a case of the lanes inside
// this process took.
var steadyPlans = sync.OnceValue(func() error { //nolint:gochecknoglobals // SQLite has one list of them
	return unsteady(C.steady_plans())
})

// memoryFiles has SQLite keep its files in memory and spares it the system's calls: it
// is for a process in which one lane alone is at work, and that makes all of its files
// itself. See readFile.
var memoryFiles = sync.OnceValue(func() error { //nolint:gochecknoglobals // likewise
	inMemory = true
	return unsteady(C.memory_files())
})

var inMemory bool //nolint:gochecknoglobals // set once, before any file is opened

// readFile reads a file of SQLite's, wherever that keeps it.
func readFile(path string) ([]byte, error) {
	if !inMemory {
		return os.ReadFile(path)
	}
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	var size C.longlong
	bytes := C.memory_read(name, &size)
	if size < 0 {
		return nil, fs.ErrNotExist
	}
	return C.GoBytes(bytes, C.int(size)), nil
}

// forgetFiles removes files of SQLite's that are in memory, below a folder.
func forgetFiles(dir string) {
	if !inMemory {
		return
	}
	name := C.CString(dir + "/")
	defer C.free(unsafe.Pointer(name))
	C.memory_forget(name)
}

func unsteady(code C.int) error {
	if code != 0 {
		return errors.New("SQLite does not take the lab's setting")
	}
	return nil
}
