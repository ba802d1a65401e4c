package audit_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"

	"github.com/jmoiron/sqlx"
)

var errDisk = errors.New("the disk says no")

// Whether a commit that failed was one is seen in the database alone, and the
// log goes on from what is there.
func TestACommitInDoubtIsBelievedNeitherWay(t *testing.T) {
	for name, commit := range map[string]func(*sqlx.Tx) error{
		"before": func(*sqlx.Tx) error { return errDisk },
		"after":  func(tx *sqlx.Tx) error { return errors.Join(tx.Commit(), errDisk) },
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			if err := d.w.Do(t.Context(), set(0)); err != nil {
				t.Fatal(err)
			}
			d.mustExec(t, `PRAGMA cache_size = -4321`) // marks the connection
			d.w.CommitWith(commit)
			stays := func(ctx context.Context, tx *audit.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE state SET status = 'late' WHERE id = 0`)
				return err
			}
			for i, err := range d.together(t, set(1), stays, set(2)) {
				if !errors.Is(err, audit.ErrDoubt) || !errors.Is(err, errDisk) {
					t.Errorf("change %d: err = %v, want ErrDoubt", i, err)
				}
			}
			d.w.CommitWith((*sqlx.Tx).Commit)
			var size int
			if err := d.write.Get(&size, `PRAGMA cache_size`); err != nil || size == -4321 {
				t.Errorf("the connection of the commit in doubt is still there: %v", err)
			}
			want := []int{0}
			if name == "after" {
				want = []int{0, 1, 2}
			}
			d.wantStates(t, want...)
			if err := d.w.Do(t.Context(), set(3)); err != nil {
				t.Fatal(err)
			}
			d.wantStates(t, append(want, 3)...)
		})
	}
}

// Nothing is written after a doubt before the guard has looked.
func TestADoubtIsSettledByTheGuardAlone(t *testing.T) {
	d := newDesk(t)
	for i := range 3 {
		if err := d.w.Do(t.Context(), set(i)); err != nil {
			t.Fatal(err)
		}
	}
	d.w.CommitWith(func(*sqlx.Tx) error { return errDisk })
	if err := d.w.Do(t.Context(), set(3)); !errors.Is(err, audit.ErrDoubt) {
		t.Fatalf("err = %v, want ErrDoubt", err)
	}
	d.w.CommitWith((*sqlx.Tx).Commit)
	// What only the guard reads: the bodies of the right edge.
	d.tamper(t, `UPDATE audit_entry SET body = x'00' WHERE idx = 1`)
	for range 2 {
		err := d.w.Do(t.Context(), func(context.Context, *audit.Tx) error {
			t.Error("a change ran")
			return nil
		})
		if !errors.Is(err, audit.ErrRefused) || !errors.Is(err, audit.ErrBroken) || errors.Is(err, audit.ErrDoubt) {
			t.Errorf("err = %v, want ErrRefused", err)
		}
	}
	if err := d.Refusal(); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("refusal: %v", err)
	}
}

// A database put back under the live process, as the process sees it.
func TestTheLiveProcessNoticesARollback(t *testing.T) {
	const cut = `DELETE FROM audit_entry WHERE idx >= 2; DELETE FROM audit_hash WHERE id >= 3; DELETE FROM audit_checkpoint WHERE size > 2`
	for name, c := range map[string]struct {
		then func(*testing.T, *desk)
		want error
	}{
		"rolled back": {func(t *testing.T, d *desk) { d.tamper(t, cut) }, audit.ErrBehind},
		"everything gone": {func(t *testing.T, d *desk) {
			d.tamper(t, `DELETE FROM audit_entry; DELETE FROM audit_hash; DELETE FROM audit_checkpoint`)
		}, audit.ErrBehind},
		"another of the same size": {func(t *testing.T, d *desk) {
			d.tamper(t, cut)
			d.elsewhere(t, entry(7), entry(8))
		}, proof.ErrDiverged},
		"a longer one": {func(t *testing.T, d *desk) {
			d.tamper(t, cut)
			d.elsewhere(t, entry(7), entry(8), entry(9))
		}, proof.ErrDiverged},
		"an entry gone": {func(t *testing.T, d *desk) { d.tamper(t, `DELETE FROM audit_entry WHERE idx = 3`) }, audit.ErrBroken},
		"a hash gone":   {func(t *testing.T, d *desk) { d.tamper(t, `DELETE FROM audit_hash WHERE id = 6`) }, audit.ErrBroken},
		"a false root": {func(t *testing.T, d *desk) {
			d.tamper(t, `UPDATE audit_checkpoint SET root = zeroblob(32) WHERE size = 4`)
		}, audit.ErrBroken},
		"a false note": {func(t *testing.T, d *desk) { d.tamper(t, `UPDATE audit_checkpoint SET note = x'00' WHERE size = 4`) }, audit.ErrBroken},
		"nothing":      {func(*testing.T, *desk) {}, nil},
		"only grown":   {func(t *testing.T, d *desk) { d.elsewhere(t, entry(7), entry(8), entry(9)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			for i := range 4 {
				if err := d.w.Do(t.Context(), set(i)); err != nil {
					t.Fatal(err)
				}
			}
			c.then(t, d)
			for _, i := range []int{10, 11} {
				err := d.w.Do(t.Context(), set(i))
				if !errors.Is(err, c.want) || errors.Is(err, audit.ErrRefused) != (c.want != nil) {
					t.Errorf("err = %v, want %v", err, c.want)
				}
			}
			if err := d.Refusal(); !errors.Is(err, c.want) {
				t.Errorf("refusal: %v", err)
			}
			if _, err := d.add(entry(12)); errors.Is(err, audit.ErrRefused) != (c.want != nil) {
				t.Errorf("Append says %v", err)
			}
		})
	}
}

// A database that is made to look well again is not believed for it.
func TestARefusalOutlivesItsReason(t *testing.T) {
	d := newDesk(t)
	if err := d.w.Do(t.Context(), set(0)); err != nil {
		t.Fatal(err)
	}
	d.tamper(t, `CREATE TABLE kept AS SELECT * FROM audit_checkpoint`, `UPDATE audit_checkpoint SET root = zeroblob(32)`)
	for _, mend := range []string{`SELECT 1`, `UPDATE audit_checkpoint SET root = (SELECT root FROM kept)`} {
		d.mustExec(t, mend)
		if err := d.w.Do(t.Context(), set(1)); !errors.Is(err, audit.ErrRefused) {
			t.Errorf("err = %v, want ErrRefused", err)
		}
		if _, err := d.add(entry(2)); !errors.Is(err, audit.ErrRefused) {
			t.Errorf("Append: err = %v, want ErrRefused", err)
		}
	}
}

// elsewhere appends entries as another process would, which has not seen what
// this one has.
func (d *desk) elsewhere(t *testing.T, entries ...proof.Entry) {
	t.Helper()
	other, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := (&ledger{write: d.write, Log: other}).add(e); err != nil {
			t.Fatal(err)
		}
	}
}

// If no transaction can begin, that is found out once for all who wait.
func TestThoseWhoWaitDoNotEachWaitForTheLock(t *testing.T) {
	d := newDesk(t)
	d.mustExec(t, `PRAGMA busy_timeout = 1000`)
	other := connect(t, d.path, "FULL", 1)
	held, err := other.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = d.w.Do(t.Context(), set(i)) })
	}
	wg.Wait()
	kinds := map[error]int{}
	for i, err := range errs {
		if kinds[err]++; err == nil || errors.Is(err, audit.ErrDoubt) {
			t.Errorf("change %d: err = %v, want one that is in no doubt", i, err)
		}
	}
	if len(kinds) != 1 {
		t.Errorf("a transaction was tried %d times, want once", len(kinds))
	}
	if err := held.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := d.w.Do(t.Context(), set(1)); err != nil {
		t.Error(err)
	}
	d.wantStates(t, 1)
}

// A signer that does not answer costs the group one wait, and those that wait
// for the next group nothing of it.
func TestASignerThatFailsIsAskedOnceAGroup(t *testing.T) {
	l := newLedger(t)
	l.mustExec(t, `CREATE TABLE state (id INTEGER PRIMARY KEY, status TEXT NOT NULL) STRICT`)
	agent := &agent{Signer: l.key.Signer}
	var err error
	l.Log, err = audit.Open(t.Context(), l.read, audit.Options{
		Signers: []audit.Signer{{Name: l.key.Origin, Key: agent}}, Verifier: l.key.Verifier, Origin: l.key.Origin, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{l, l.newWriter(t)}
	agent.gone = true
	for i, err := range d.together(t, set(0), set(1), set(2), set(3)) {
		if !errors.Is(err, errAgent) || errors.Is(err, audit.ErrDoubt) {
			t.Errorf("change %d: err = %v, want that of the agent", i, err)
		}
	}
	if agent.asked != 1 {
		t.Errorf("the agent was asked %d times, want once", agent.asked)
	}
	d.wantStates(t)
	agent.gone = false
	if err := d.w.Do(t.Context(), set(0)); err != nil {
		t.Error(err)
	}
	d.wantStates(t, 0)
}
