//go:build !torture

package fault

import "time"

// Point does nothing.
func Point(string) {}

// Error returns nil.
func Error(string) error { return nil }

// Among does nothing.
func Among[T any](string, []T) {}

// Pace returns d.
func Pace(d time.Duration) time.Duration { return d }

// Bug returns false.
func Bug(string) bool { return false }
