package audit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"lethe/audit"
)

// process is a sequencer as another process would have it.
func process(t testing.TB, l *ledger) *audit.Sequencer {
	t.Helper()
	log, err := audit.Open(t.Context(), connect(t, l.path, "FULL", 4), audit.Options{
		Signers: []audit.Signer{{Name: l.key.Origin, Key: l.key.Signer}}, Verifier: l.key.Verifier, Origin: l.key.Origin, Now: clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &audit.Sequencer{Log: log, DB: connect(t, l.path, "FULL", 2), Every: time.Millisecond}
}

// rounds makes a sequencer try until it has logged something.
func rounds(t testing.TB, s *audit.Sequencer) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		n, err := s.Round(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			return
		}
	}
	t.Fatal("nothing was logged")
}

// A leader sleeps between reading where the log stands and moving it. Meanwhile
// another process takes over. The leader's commit must not land: neither if the
// server has ended its session, nor if it only has lost the lock, as behind a
// pooler that does not keep sessions apart.
func TestTwoSequencersOneFenced(t *testing.T) {
	for _, killed := range []bool{true, false} {
		t.Run(fmt.Sprintf("session killed %v", killed), func(t *testing.T) {
			l := newPostgres(t)
			a, b := process(t, l), process(t, l)
			l.enqueue(t, entry(1))
			rounds(t, a)
			a.Pause(true, func() {
				if killed {
					l.write.MustExec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`)
					rounds(t, b)
					l.enqueue(t, entry(3))
					return
				}
				tx := l.write.MustBegin()
				if err := errors.Join(l.AppendUnlocked(t.Context(), tx, entry(3)), tx.Commit()); err != nil {
					t.Error(err)
				}
			})
			l.enqueue(t, entry(2))
			n, err := a.Round(t.Context())
			if err == nil || n != 0 {
				t.Errorf("the sleeper logged %d entries, %v", n, err)
			}
			if !killed && !errors.Is(err, audit.ErrFenced) {
				t.Errorf("err = %v, want ErrFenced", err)
			}
			if r, err := l.Check(t.Context()); err != nil || r.Size != 2 {
				t.Errorf("after the sleeper: size %d, %v, want 2", r.Size, err)
			}
			rounds(t, a) // it has forgotten, and begins again
			if r, err := l.Check(t.Context()); err != nil || r.Size != 3 {
				t.Errorf("in the end: size %d, %v, want 3", r.Size, err)
			}
		})
	}
}

func TestASequencerWaitsForItsTurn(t *testing.T) {
	l := newPostgres(t)
	a, b := process(t, l), process(t, l)
	l.enqueue(t, entry(1))
	rounds(t, a)
	l.enqueue(t, entry(2))
	rounds(t, b) // it has no place yet, so it guards and takes one
	l.enqueue(t, entry(3))
	if n, err := a.Round(t.Context()); n != 0 || err != nil {
		t.Errorf("took over at once: %d, %v", n, err)
	}
	rounds(t, b)
	l.enqueue(t, entry(4))
	begun := time.Now()
	rounds(t, a)
	if waited := time.Since(begun); waited < time.Second {
		t.Errorf("took over after %v, want a second", waited)
	}
	l.enqueue(t, entry(40))
	a.Pause(false, func() { // between its look and its turn another one moves the log
		rounds(t, process(t, l))
		l.enqueue(t, entry(41))
	})
	if n, err := a.Round(t.Context()); n != 0 || err != nil {
		t.Errorf("went on without a guard: %d, %v", n, err)
	}
	rounds(t, a)
	tx := l.write.MustBegin()
	tx.MustExec(`SELECT pg_advisory_xact_lock($1)`, int64(audit.Appending))
	other := &ledger{write: connect(t, l.path, "FULL", 1), Log: l.Log}
	other.enqueue(t, entry(5))
	if n, err := a.Round(t.Context()); n != 0 || err != nil {
		t.Errorf("with the lock elsewhere: %d, %v", n, err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	rounds(t, a)
}

func TestASequencerRefusesABrokenLog(t *testing.T) {
	for what, statement := range map[string]string{
		"a hash":          `UPDATE audit_hash SET h = zeroblob(32) WHERE id = (SELECT max(id) FROM audit_hash)`,
		"a body":          `UPDATE audit_entry SET body = x'00' WHERE idx = 2`, // only a guard looks at it
		"the newest head": `DELETE FROM audit_checkpoint WHERE size = 5`,
	} {
		l := newPostgres(t)
		l.fill(t, 5)
		l.tamper(t, statement)
		l.enqueue(t, entry(7))
		s, stop := run(t, l)
		for end := time.Now().Add(10 * time.Second); s.Log.Refusal() == nil && time.Now().Before(end); {
			time.Sleep(5 * time.Millisecond)
		}
		if err := s.Log.Refusal(); !errors.Is(err, audit.ErrRefused) || !errors.Is(err, audit.ErrBroken) {
			t.Errorf("%s: refusal %v", what, err)
		}
		stop()
		if b, err := l.Pending(t.Context()); err != nil || b.Waiting != 1 {
			t.Errorf("%s: pending %+v, %v", what, b, err)
		}
	}
}

// What went wrong may have gone wrong anywhere, so nothing is believed after it.
func TestASequencerGuardsAfterADoubt(t *testing.T) {
	l := newPostgres(t)
	s := process(t, l)
	l.enqueue(t, entry(1))
	rounds(t, s)
	s.Pause(true, func() { l.write.MustExec(`SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'`) })
	l.enqueue(t, entry(2))
	if n, err := s.Round(t.Context()); err == nil || n != 0 {
		t.Errorf("without a session: %d, %v", n, err)
	}
	l.tamper(t, `UPDATE audit_entry SET body = x'00' WHERE idx = 0`) // only a guard looks at it
	if n, err := s.Round(t.Context()); !errors.Is(err, audit.ErrBroken) {
		t.Errorf("after a doubt: %d, %v, want ErrBroken", n, err)
	}
}

// A database put back to an older state, or a standby that was promoted without
// the newest heads, is not continued by who has seen these.
func TestASequencerRefusesALogBehindWhatItHasWritten(t *testing.T) {
	l := newPostgres(t)
	s := process(t, l)
	l.enqueue(t, entry(1))
	rounds(t, s)
	l.enqueue(t, entry(2))
	rounds(t, s)
	l.tamper(t, `DELETE FROM audit_entry WHERE idx = 1`, `DELETE FROM audit_hash WHERE id > 0`, `DELETE FROM audit_checkpoint WHERE size = 2`,
		`UPDATE audit_head SET size = 1, root = (SELECT root FROM audit_checkpoint)`)
	l.enqueue(t, entry(3))
	var err error
	for end := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_, err = s.Round(t.Context())
	}
	if !errors.Is(err, audit.ErrBehind) {
		t.Errorf("err = %v, want ErrBehind", err)
	}
}
