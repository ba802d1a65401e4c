package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/keyfile"
	"lethe/audit/proof"
	"lethe/jobs/keyring"
	"lethe/jobs/ledger"
)

// A turn is a data folder in which the log's key is rotated by one process
// after the other.
type turn struct {
	*testing.T
	config Config
	file   keyfile.File
	old    string // verifier keys
	next   string
	logged int
}

var errDead = errors.New("killed")

// A killer lets writes die.
type killer func(write audit.Write) audit.Write

func lives(write audit.Write) audit.Write { return write }

func beforeCommit(audit.Write) audit.Write {
	return func(context.Context, func(context.Context, *sqlx.Tx) error) error { return errDead }
}

func afterCommit(write audit.Write) audit.Write {
	return func(ctx context.Context, f func(context.Context, *sqlx.Tx) error) error {
		return errors.Join(write(ctx, f), errDead)
	}
}

func newTurn(t *testing.T) *turn {
	config, err := Load("", Overrides{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &turn{T: t, config: config, file: config.keyFile()}
	key, err := config.openLogKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.old = key.Verifier
	r.process(lives, func(l *ledger.Ledger, _ *rotator) { r.log(l) })
	return r
}

// process is the life of one process that has the ledger.
func (r *turn) process(kill killer, live func(*ledger.Ledger, *rotator)) {
	r.Helper()
	keys, err := keyring.Open(filepath.Join(r.config.Data, keysFolder))
	if err != nil {
		r.Fatal(err)
	}
	s := &service{config: r.config, keys: keys}
	if s.signer, err = r.config.openLogKey(r.Context()); err != nil {
		r.Fatal(err)
	}
	l, err := s.openBare(r.Context(), true)
	if err != nil {
		r.Fatal(err)
	}
	defer l.Close()
	live(l, &rotator{file: r.file, log: l.Log(), write: kill(l.Write), now: time.Now, logger: slog.New(slog.DiscardHandler)})
}

// steps takes steps until nothing is left to do, or the process dies.
func (r *turn) steps(kill killer) {
	r.Helper()
	r.process(kill, func(_ *ledger.Ledger, rot *rotator) {
		for range 4 {
			if err := rot.step(r.Context()); errors.Is(err, errDead) {
				return
			} else if err != nil {
				r.Fatal(err)
			}
		}
	})
}

// log appends an entry.
func (r *turn) log(l *ledger.Ledger) {
	r.Helper()
	r.logged++
	e := &proof.SubjectKeyDestroyed{RequestID: fmt.Sprintf("0199f2a4-5c1e-7d3b-8f00-%012x", r.logged), DestroyedAt: proof.At(time.Now())}
	err := l.Write(r.Context(), func(ctx context.Context, tx *sqlx.Tx) error {
		_, err := l.Log().Append(ctx, tx, e)
		return err
	})
	if err != nil {
		r.Error(err)
	}
}

func (r *turn) ask(overlap time.Duration) {
	r.Helper()
	err := writeOverlap(r.file, overlap)
	next, err2 := r.file.MakeNext("")
	if err := errors.Join(err, err2); err != nil {
		r.Fatal(err)
	}
	r.next = next.Verifier
}

func (r *turn) do(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// settled makes sure of a log whose rotation is over.
func (r *turn) settled(verifier string) {
	r.Helper()
	r.process(lives, func(l *ledger.Ledger, _ *rotator) {
		r.log(l)
		if err := l.Log().Refusal(); err != nil || l.Log().Verifier() != verifier {
			r.Errorf("refusal %v, in force %s, want %s", err, l.Log().Verifier(), verifier)
		}
		if _, err := l.Log().Check(r.Context()); err != nil {
			r.Error(err)
		}
		r.onlyAnnounced(l.Log())
	})
	key, err := r.file.Open("")
	if err != nil || key.Verifier != verifier {
		r.Errorf("the key in the file is %v, %v, want %s", key, err, verifier)
	}
	for _, name := range []string{nextSuffix, ".retiring", ".tmp"} {
		if _, err := os.Stat(r.file.Path + name); err == nil {
			r.Errorf("%s is left", name)
		}
	}
}

// onlyAnnounced makes sure that each head is signed by the keys that were
// announced under it, and by no others.
func (r *turn) onlyAnnounced(l *audit.Log) {
	r.Helper()
	text, err := l.Keys(r.Context())
	r.do(err)
	list, err := proof.ParseKeys(text)
	r.do(err)
	db, err := sqlx.Open("sqlite3", "file:"+filepath.Join(r.config.Data, ledgerFile)+"?mode=ro")
	r.do(err)
	defer db.Close()
	var heads []struct {
		Size int64
		Note string
	}
	r.do(db.Select(&heads, `SELECT size, note FROM audit_checkpoint ORDER BY size`))
	var begun int64
	if err := db.Get(&begun, `SELECT idx FROM audit_entry WHERE entry_id LIKE '%key.rotated/v1'`); err != nil {
		begun = 1 << 40
	}
	for _, h := range heads {
		want := 2
		if until := list.Logs()[0].Until; h.Size > begun && (until == proof.Unbounded || h.Size <= until) {
			want = 4
		}
		if got := strings.Count(h.Note, "\n— "); got != want {
			r.Errorf("the head of size %d has %d signatures, want %d", h.Size, got, want)
		}
	}
}

func TestARotationThatIsKilledAtAnyStepIsFinished(t *testing.T) {
	path := func(r *turn, suffix string) string { return r.file.Path + suffix }
	// Each row goes on from the one before.
	rows := []struct {
		name string
		do   func(*turn)
	}{
		{"overlap written", func(r *turn) { r.do(writeOverlap(r.file, 0)) }},
		{"next key made", func(r *turn) { r.ask(0) }},
		{"announcing", func(r *turn) { r.steps(beforeCommit) }},
		{"announced", func(r *turn) { r.steps(afterCommit) }},
		{"appended with both", func(r *turn) { r.process(lives, func(l *ledger.Ledger, _ *rotator) { r.log(l) }) }},
		{"retiring", func(r *turn) { r.steps(beforeCommit) }},
		{"retired", func(r *turn) { r.steps(afterCommit) }},
		{"appended with the new one", func(r *turn) { r.process(lives, func(l *ledger.Ledger, _ *rotator) { r.log(l) }) }},
		{"overlap removed", func(r *turn) { r.do(os.Remove(overlapFile(r.file))) }},
		{"old key linked", func(r *turn) { r.do(os.Link(r.file.Path, path(r, ".retiring"))) }},
		{"new key renamed", func(r *turn) { r.do(os.Rename(path(r, nextSuffix), r.file.Path)) }},
		{"public half written", func(r *turn) { r.do(os.WriteFile(path(r, ".pub"), []byte(r.next+"\n"), 0o644)) }},
		{"old one overwritten", func(r *turn) {
			hash := strings.Split(r.old, "+")[1]
			r.do(os.WriteFile(path(r, ".retired-"+hash+".pub"), []byte(r.old+"\n"), 0o644))
			r.do(os.WriteFile(path(r, ".retiring"), make([]byte, 100), 0o600))
		}},
		{"old one removed", func(r *turn) { r.do(os.Remove(path(r, ".retiring"))) }},
	}
	const lastCommit = 6 // by then nothing is left to be written to the ledger
	for n := range rows {
		again := map[string]killer{"": lives}
		if n < lastCommit {
			again[", again before a commit"], again[", again after one"] = beforeCommit, afterCommit
		}
		for name, kill := range again {
			t.Run(rows[n].name+name, func(t *testing.T) {
				r := newTurn(t)
				for _, row := range rows[:n+1] {
					row.do(r)
				}
				r.steps(kill)
				r.steps(lives)
				if r.next == "" {
					r.next = r.old
				}
				r.settled(r.next)
			})
		}
	}
}

// A file that was promoted by hand, or a folder that is newer than the ledger:
// the old key cannot sign any more.
func TestAKeyThatWasPromotedTooSoonIsRetired(t *testing.T) {
	r := newTurn(t)
	r.ask(time.Hour)
	r.process(lives, func(_ *ledger.Ledger, rot *rotator) { r.do(rot.step(t.Context())) })
	r.do(r.file.Promote())
	r.steps(lives)
	r.settled(r.next)
}

func TestAKeyThatWasPromotedAndNeverAnnouncedSignsNothing(t *testing.T) {
	r := newTurn(t)
	r.ask(time.Hour)
	r.do(r.file.Promote())
	r.process(lives, func(l *ledger.Ledger, rot *rotator) {
		if err := l.Log().Refusal(); !errors.Is(err, audit.ErrNoKey) {
			t.Errorf("refusal %v, want ErrNoKey", err)
		}
		r.do(rot.step(t.Context()))
		if size, err := l.Log().Size(t.Context()); size != 1 || err != nil {
			t.Errorf("size %d, %v", size, err)
		}
	})
}

func TestTheOverlapIsAsLongAsWasAskedAndNoLongerThanAnnounced(t *testing.T) {
	r := newTurn(t)
	r.ask(2 * time.Hour)
	r.process(lives, func(l *ledger.Ledger, rot *rotator) {
		begun := time.Now()
		for _, tt := range []struct {
			after, wish time.Duration
			over        bool
		}{
			{0, 2 * time.Hour, false},
			{time.Hour, 2 * time.Hour, false},
			{time.Hour + time.Minute, 90 * time.Minute, false},
			{2*time.Hour - time.Minute, 3 * time.Hour, false},
			{2*time.Hour + time.Minute, 3 * time.Hour, true},
		} {
			r.do(writeOverlap(r.file, tt.wish))
			rot.now = func() time.Time { return begun.Add(tt.after) }
			r.do(rot.step(t.Context()))
			if over := l.Log().Verifier() == r.next; over != tt.over {
				t.Errorf("after %s, asked for %s: over is %v", tt.after, tt.wish, over)
			}
		}
	})
	r.settled(r.next)
}

func TestTheOverlapIsEndedEarly(t *testing.T) {
	r := newTurn(t)
	if d, said, err := readOverlap(r.file); d != 168*time.Hour || said || err != nil {
		t.Errorf("overlap %s, %v, %v", d, said, err)
	}
	r.ask(2 * time.Hour)
	r.process(lives, func(_ *ledger.Ledger, rot *rotator) { r.do(rot.step(t.Context())) })
	r.do(writeOverlap(r.file, 0))
	r.steps(lives)
	r.settled(r.next)
}

func TestAKeyThatWasExchangedDoesNotComeIntoForce(t *testing.T) {
	r := newTurn(t)
	r.ask(0)
	r.process(lives, func(l *ledger.Ledger, rot *rotator) {
		r.do(rot.step(t.Context()))
		r.do(os.Remove(r.file.Path + nextSuffix))
		_, err := r.file.MakeNext("")
		r.do(err)
		if err := rot.step(t.Context()); !errors.Is(err, audit.ErrNoKey) || l.Log().Verifier() != r.old {
			t.Errorf("err = %v, want ErrNoKey; in force %s", err, l.Log().Verifier())
		}
	})
}
