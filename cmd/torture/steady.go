//go:build torture

package main

// #include "steady.h"
import "C"

import (
	"errors"
	"sync"
)

// steadyPlans keeps SQLite, inside this process, from compiling statements again
// at each use: the driver forgets what was bound to them, and SQLite takes that for
// a reason to think again. It was a quarter of what a case of the lanes inside
// this process took.
var steadyPlans = sync.OnceValue(func() error { //nolint:gochecknoglobals // SQLite has one list of them
	return unsteady(C.steady_plans())
})

// steadyFiles spares SQLite the system's locks, 500 a case: it is for a process in
// which one lane alone is at work, and that makes all of its files itself.
var steadyFiles = sync.OnceValue(func() error { //nolint:gochecknoglobals // likewise
	return unsteady(C.steady_files())
})

func unsteady(code C.int) error {
	if code != 0 {
		return errors.New("SQLite does not take the lab's setting")
	}
	return nil
}
