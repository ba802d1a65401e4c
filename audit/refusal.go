package audit

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"lethe/audit/proof"
)

// A refusal is why a log does not append. It stands until a guard that began
// after it came up finds nothing.
type refusal struct {
	mu       sync.Mutex
	err      error // wraps ErrRefused
	doubts   int   // counts the refusals
	warnings []string
}

// Refusal returns why the log does not append, as an error that wraps
// [ErrRefused] and the reason, or nil if it does.
func (l *Log) Refusal() error {
	l.refused.mu.Lock()
	defer l.refused.mu.Unlock()
	return l.refused.err
}

// refuse makes every append fail from now on. The first reason stays, for it is
// mostly the cause of others; the error returned wraps the one given.
func (l *Log) refuse(err error) error {
	refused := fmt.Errorf("%w: %w", ErrRefused, err)
	r := &l.refused
	r.mu.Lock()
	defer r.mu.Unlock()
	r.doubts++
	if r.err == nil {
		r.err = refused
	}
	return refused
}

// doubts returns how often the log was refused so far.
func (l *Log) doubts() int {
	l.refused.mu.Lock()
	defer l.refused.mu.Unlock()
	return l.refused.doubts
}

// rule puts what a guard found in the place of the refusal that stands. A doubt
// that arose while it looked is not pardoned.
func (l *Log) rule(doubts int, found error, warnings []string) {
	r := &l.refused
	r.mu.Lock()
	defer r.mu.Unlock()
	r.warnings = warnings
	switch {
	case found != nil:
		r.doubts++
		r.err = fmt.Errorf("%w: %w", ErrRefused, found)
	case doubts == r.doubts:
		r.err = nil
	}
}

// Warnings returns what the last guard found that an operator should know and
// that is no reason to refuse.
func (l *Log) Warnings() []string {
	l.refused.mu.Lock()
	defer l.refused.mu.Unlock()
	return slices.Clone(l.refused.warnings)
}

// condemns reports whether an error is a reason to refuse, and not one that
// says that the database could not be read.
func condemns(err error) bool {
	return isFalse(err) || errors.Is(err, ErrUnread) || errors.Is(err, ErrNoKey) || isRestored(err) || errors.Is(err, proof.ErrNotVerified)
}
