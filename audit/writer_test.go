package audit_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"
	"go.uber.org/goleak"
)

type valueKey struct{}

var errNo = errors.New("the change says no")

// A desk is a ledger with a table of states and the writer of both.
type desk struct {
	*ledger
	w *audit.Writer
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	l := newLedger(t)
	l.mustExec(t, `CREATE TABLE state (id INTEGER PRIMARY KEY, status TEXT NOT NULL) STRICT`)
	return &desk{l, l.newWriter(t)}
}

// set is a change of one state and its entry.
func set(i int) func(context.Context, *audit.Tx) error {
	return func(ctx context.Context, tx *audit.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (?, 'done')`, i); err != nil {
			return err
		}
		return tx.Log(entry(i))
	}
}

// together runs changes so that they share a group: each waits in the queue
// while another holds the transaction.
func (d *desk) together(t testing.TB, changes ...func(context.Context, *audit.Tx) error) []error {
	t.Helper()
	errs := make([]error, len(changes))
	var wg sync.WaitGroup
	_ = d.w.Do(t.Context(), func(context.Context, *audit.Tx) error { // shares what becomes of them
		for i, change := range changes {
			wg.Go(func() { errs[i] = d.w.Do(context.Background(), change) })
			d.await(t, i+1) // so that they stand in order
		}
		return nil
	})
	wg.Wait()
	return errs
}

// await returns once n changes wait for their turn.
func (d *desk) await(t testing.TB, n int) {
	for range 100000 {
		if d.w.Queued() == n {
			return
		}
		runtime.Gosched()
		time.Sleep(10 * time.Microsecond)
	}
	t.Errorf("%d changes wait, want %d", d.w.Queued(), n)
}

// wantStates makes sure that these states are there and no other, that each
// has its entry and no entry is without, and that the log is sound.
func (d *desk) wantStates(t testing.TB, want ...int) {
	t.Helper()
	var states, logged []int
	if err := d.read.Select(&states, `SELECT id FROM state ORDER BY id`); err != nil {
		t.Fatal(err)
	}
	for _, i := range states {
		if _, err := d.Certificate(t.Context(), entryID(i)); err == nil {
			logged = append(logged, i)
		}
	}
	if d := cmp.Diff(want, states); d != "" {
		t.Errorf("states: %s", d)
	}
	if d := cmp.Diff(want, logged); d != "" {
		t.Errorf("states with an entry: %s", d)
	}
	if r, err := d.Check(t.Context()); err != nil || r.Size != int64(len(want)) {
		t.Errorf("the log has %d entries, %v; want %d", r.Size, err, len(want))
	}
}

func TestGroupsHaveOneHead(t *testing.T) {
	d := newDesk(t)
	for i, err := range d.together(t, set(0), set(1), set(2), set(3), set(4)) {
		if err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	d.wantStates(t, 0, 1, 2, 3, 4)
	if entries, heads := d.counts(t); entries != 5 || heads != 1 {
		t.Errorf("%d entries, %d heads, want 5 and 1", entries, heads)
	}
	// A change without an entry needs no head.
	err := d.w.Do(t.Context(), func(ctx context.Context, tx *audit.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE state SET status = 'seen'`)
		return err
	})
	if _, heads := d.counts(t); err != nil || heads != 1 {
		t.Errorf("%d heads, %v, want 1", heads, err)
	}
}

func TestOneFailingChangeDoesNotHarmItsGroup(t *testing.T) {
	d := newDesk(t)
	fails := func(i int, err error) func(context.Context, *audit.Tx) error {
		return func(ctx context.Context, tx *audit.Tx) error { return errors.Join(set(i)(ctx, tx), err) }
	}
	conflict := func(ctx context.Context, tx *audit.Tx) error {
		other := entry(1).(*proof.SubjectKeyDestroyed)
		other.DestroyedAt++
		if err := tx.Log(entry(7), other); !errors.Is(err, audit.ErrConflict) {
			t.Errorf("err = %v, want ErrConflict", err)
		}
		return nil // forgotten, but not forgiven
	}
	again := func(ctx context.Context, tx *audit.Tx) error { // the entry of one that failed, and of one that did not
		if _, err := tx.ExecContext(ctx, `INSERT INTO state VALUES (2, 'done')`); err != nil {
			return err
		}
		err := tx.Log(entry(1), entry(2))
		if d := cmp.Diff([]int64{1, 2}, tx.Indexes()); d != "" {
			t.Errorf("indexes: %s", d)
		}
		return err
	}
	broken := func(ctx context.Context, tx *audit.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO nowhere VALUES (1)`)
		return err
	}
	errs := d.together(t, set(0), fails(5, errNo), set(1), fails(2, errNo), conflict, again, broken, set(3))
	for i, want := range []error{nil, errNo, nil, errNo, audit.ErrConflict, nil, nil, nil} {
		if i == 6 {
			if errs[i] == nil {
				t.Error("a broken statement: no error")
			}
		} else if !errors.Is(errs[i], want) {
			t.Errorf("change %d: err = %v, want %v", i, errs[i], want)
		}
	}
	d.wantStates(t, 0, 1, 2, 3)
	if _, heads := d.counts(t); heads != 1 {
		t.Errorf("%d heads, want 1", heads)
	}
}

func TestRolledBackGroupLeavesNothing(t *testing.T) {
	d := newDesk(t)
	for i, err := range d.together(t, func(ctx context.Context, tx *audit.Tx) error { return errors.Join(set(0)(ctx, tx), errNo) }) {
		if !errors.Is(err, errNo) {
			t.Errorf("change %d: err = %v", i, err)
		}
	}
	d.wantStates(t)
	// Also if it is the log that fails, after every change went well.
	d.mustExec(t, `CREATE TRIGGER spoilt BEFORE INSERT ON audit_checkpoint BEGIN SELECT RAISE(ABORT, 'no room'); END`)
	for i, err := range d.together(t, set(0), set(1)) {
		if err == nil || errors.Is(err, audit.ErrDoubt) {
			t.Errorf("change %d: err = %v, want one that is in no doubt", i, err)
		}
	}
	d.wantStates(t)
	d.mustExec(t, `DROP TRIGGER spoilt`)
	if err := d.w.Do(t.Context(), set(0)); err != nil {
		t.Error(err)
	}
	d.wantStates(t, 0)
}

func TestACancelledCallerLeavesTheOthersAlone(t *testing.T) {
	d := newDesk(t)
	waits, cancelWaiting := context.WithCancel(t.Context())
	runs, cancelRunning := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "value"))
	var waited, ran error
	var wg sync.WaitGroup
	err := d.w.Do(t.Context(), func(context.Context, *audit.Tx) error {
		wg.Go(func() {
			waited = d.w.Do(waits, func(context.Context, *audit.Tx) error {
				t.Error("a change ran whose caller had gone")
				return nil
			})
		})
		d.await(t, 1)
		wg.Go(func() {
			ran = d.w.Do(runs, func(ctx context.Context, tx *audit.Tx) error {
				cancelRunning()
				if ctx.Err() != nil || ctx.Value(valueKey{}) != "value" {
					t.Error("the change's context ends with its caller's, or has lost its values")
				}
				return set(1)(ctx, tx)
			})
		})
		d.await(t, 2)
		cancelWaiting()
		d.await(t, 1)
		return nil
	})
	wg.Wait()
	if err != nil || !errors.Is(waited, context.Canceled) || ran != nil {
		t.Errorf("err = %v; the one that waited: %v; the one that ran: %v", err, waited, ran)
	}
	if err := d.w.Do(waits, set(9)); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
	d.wantStates(t, 1)
}

func TestPanicStaysWithItsCaller(t *testing.T) {
	d := newDesk(t)
	errs := make([]error, 4)
	var wg sync.WaitGroup
	err := d.w.Do(t.Context(), func(context.Context, *audit.Tx) error {
		for i := range errs {
			wg.Go(func() {
				defer func() {
					if r := recover(); r != nil {
						errs[i] = fmt.Errorf("panic: %v", r)
					}
				}()
				errs[i] = d.w.Do(context.Background(), func(ctx context.Context, tx *audit.Tx) error {
					if err := set(i)(ctx, tx); err != nil {
						return err
					}
					if i == 1 {
						panic("oh")
					}
					return nil
				})
			})
			d.await(t, i+1)
		}
		wg.Go(func() { // ends its goroutine, as t.Fatal does
			_ = d.w.Do(context.Background(), func(ctx context.Context, tx *audit.Tx) error {
				defer runtime.Goexit()
				return set(4)(ctx, tx)
			})
		})
		d.await(t, len(errs)+1)
		return nil
	})
	wg.Wait()
	if d := cmp.Diff("<nil> [<nil> panic: oh <nil> <nil>]", fmt.Sprint(err, errs)); d != "" {
		t.Error(d)
	}
	d.wantStates(t, 0, 2, 3)
}

func TestAChangeCannotEndTheSharedTransaction(t *testing.T) {
	d := newDesk(t)
	var left *audit.Tx
	errs := d.together(t, set(0), func(_ context.Context, tx *audit.Tx) error {
		left = tx
		return errors.Join(tx.Commit(), tx.Rollback())
	}, func(ctx context.Context, tx *audit.Tx) error { // past the guard rail
		if err := left.Log(entry(8)); err == nil {
			t.Error("logged in another's change")
		}
		if _, err := tx.ExecContext(ctx, `ROLLBACK`); err != nil {
			t.Error(err)
		}
		return nil
	})
	for i, err := range errs {
		if err == nil || errors.Is(err, audit.ErrDoubt) {
			t.Errorf("change %d: err = %v, want one that is in no doubt", i, err)
		}
	}
	if err := left.Log(entry(8)); err == nil {
		t.Error("logged after its change")
	}
	d.wantStates(t)
	if err := d.w.Do(t.Context(), set(1)); err != nil {
		t.Error(err)
	}
	d.wantStates(t, 1)
}

// A database from before logs had names is given one by its next entry.
func TestTheFirstGroupNamesTheLog(t *testing.T) {
	d := newDesk(t)
	d.fill(t, 3)
	d.tamper(t, `DELETE FROM audit_log`)
	err := d.w.Do(t.Context(), func(ctx context.Context, tx *audit.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM state`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"", d.Origin()} {
		var name string
		if err := d.read.Get(&name, `SELECT coalesce(max(origin), '') FROM audit_log`); err != nil || name != want {
			t.Errorf("after %d groups with an entry: %q, %v, want %q", i, name, err, want)
		}
		if err := d.w.Do(t.Context(), set(10+i)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAClosedWriterTakesNothingAndLeavesNothing(t *testing.T) {
	d := newDesk(t)
	others := goleak.IgnoreCurrent()
	d.together(t, set(1), set(2))
	if err := errors.Join(d.w.Close(), d.w.Close()); err != nil {
		t.Fatal(err)
	}
	goleak.VerifyNone(t, others)
	if err := d.w.Do(t.Context(), set(0)); err == nil {
		t.Error("a closed writer wrote")
	}
	d.wantStates(t, 1, 2)
}

func TestTheWriterWantsOneDurableConnection(t *testing.T) {
	l := newLedger(t)
	for name, db := range map[string]*sqlx.DB{
		"a pool":             l.read,
		"synchronous=NORMAL": connect(t, l.path, "NORMAL", 1),
	} {
		if _, err := audit.NewWriter(t.Context(), l.Log, db); err == nil {
			t.Errorf("%s: a writer was made", name)
		}
	}
	w := l.newWriter(t)
	l.mustExec(t, `PRAGMA synchronous = NORMAL`)
	if err := w.Do(t.Context(), func(_ context.Context, tx *audit.Tx) error { return tx.Log(entry(0)) }); err == nil {
		t.Error("committed with synchronous=NORMAL")
	}
}
