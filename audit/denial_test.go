package audit_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit"
)

// unless is a change that says no if there is a state i.
func unless(i int) func(context.Context, *audit.Tx) error {
	return func(ctx context.Context, tx *audit.Tx) error {
		var n int
		if err := tx.GetContext(ctx, &n, `SELECT count(*) FROM state WHERE id = ?`, i); err != nil {
			return err
		}
		if n > 0 {
			return errNo
		}
		return nil
	}
}

// TestANoIsNotSaidBeforeItsReasonIsCommitted: one change of a group says no
// because of another's. Whoever asked must not hear it while nobody else can
// see the reason, nor at all if the reason never comes to be.
func TestANoIsNotSaidBeforeItsReasonIsCommitted(t *testing.T) {
	d := newDesk(t)
	answered := make(chan error, 1)
	first := true
	d.w.CommitWith(func(tx *sqlx.Tx) error {
		if first {
			first = false
			select {
			case err := <-answered:
				t.Errorf("answered %v before the commit", err)
				answered <- err
			default:
			}
			return tx.Commit()
		}
		return errors.Join(errDisk, tx.Rollback())
	})
	for _, c := range []struct {
		state int
		want  error
	}{{0, errNo}, {1, audit.ErrDoubt}} {
		_ = d.w.Do(t.Context(), func(context.Context, *audit.Tx) error {
			changes := []func(context.Context, *audit.Tx) error{set(c.state), unless(c.state), func(context.Context, *audit.Tx) error {
				return nil // by now the one before has said no
			}}
			for i, change := range changes {
				go func() {
					err := d.w.Do(context.Background(), change)
					if i == 1 {
						answered <- err
					}
				}()
				d.await(t, i+1)
			}
			return nil
		})
		if err := <-answered; !errors.Is(err, c.want) || c.state == 1 && errors.Is(err, errNo) {
			t.Errorf("state %d: %v, want %v", c.state, err, c.want)
		}
	}
	d.w.CommitWith((*sqlx.Tx).Commit)
	if err := d.w.Do(t.Context(), unless(1)); err != nil {
		t.Errorf("what was never committed is seen: %v", err)
	}
	d.wantStates(t, 0)
}
