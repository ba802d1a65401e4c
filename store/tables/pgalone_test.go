package tables_test

import (
	"context"
	"errors"
	"testing"
	"time"
)

// TestAloneKeepsOtherProcessesOut: two stores of the same tables, as two
// processes have them.
func TestAloneKeepsOtherProcessesOut(t *testing.T) {
	t.Parallel()
	l := newLibrary(t)
	one, other := l.open(l.dsn), l.open(l.dsn)
	inside := make(chan struct{})
	second := make(chan error, 1)
	err := one.Alone(t.Context(), func() error {
		go func() {
			second <- other.Alone(t.Context(), func() error { close(inside); return nil })
		}()
		return l.waits(t.Context(), inside)
	})
	if err := errors.Join(err, <-second); err != nil {
		t.Fatal(err)
	}
	// What fails, and a caller who goes away, leave the lock to others.
	ctx, cancel := context.WithCancel(t.Context())
	left := errors.New("left")
	if err := one.Alone(ctx, func() error { cancel(); return left }); !errors.Is(err, left) {
		t.Errorf("error %v, want what it was left with", err)
	}
	if err := other.Alone(t.Context(), func() error { return nil }); err != nil {
		t.Error(err)
	}
}

// waits returns once somebody waits for an advisory lock of this database, or an
// error if he is inside.
func (l *library) waits(ctx context.Context, inside <-chan struct{}) error {
	for {
		var n int
		err := l.db.GetContext(ctx, &n, `SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		if err != nil || n > 0 {
			return err
		}
		select {
		case <-inside:
			return errors.New("two were inside at once")
		case <-time.After(time.Millisecond):
		}
	}
}
