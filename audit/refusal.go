package audit

import (
	"fmt"
	"sync"
)

// A refusal is why a log appends no more.
type refusal struct {
	mu  sync.Mutex
	err error
}

// Refusal returns why the log appends no more, as an error that wraps
// [ErrRefused] and the reason, or nil if it does. A log that was once found
// not to be what it was stays refused for as long as it is open: it could only
// be found sound again by believing the database, which is what is in doubt.
func (l *Log) Refusal() error {
	l.refused.mu.Lock()
	defer l.refused.mu.Unlock()
	return l.refused.err
}

// refuse makes the log append no more. The first reason stays; the error
// returned wraps the one given.
func (l *Log) refuse(err error) error {
	refused := fmt.Errorf("%w: %w", ErrRefused, err)
	l.refused.mu.Lock()
	defer l.refused.mu.Unlock()
	if l.refused.err == nil {
		l.refused.err = refused
	}
	return refused
}
