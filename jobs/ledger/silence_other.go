//go:build !linux

package ledger

// bound does nothing: what was sent goes unanswered for as long as the system has it.
func bound(uintptr) error { return nil }
