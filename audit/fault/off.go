//go:build !torture

package fault

// Point does nothing.
func Point(string) {}

// Error returns nil.
func Error(string) error { return nil }

// Among does nothing.
func Among[T any](string, []T) {}

// Bug returns false.
func Bug(string) bool { return false }
