package audit_test

import (
	"crypto"
	"errors"
	"net/url"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/audittest"
)

// copySchema copies the rows of a log into a schema of their own, as a dump
// and its restoration would.
func copySchema(t testing.TB, dsn string) string {
	t.Helper()
	from, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	path := audittest.Schema(t)
	db := connect(t, path, "FULL", 1)
	if err := audit.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	old := from.Query().Get("search_path") + "."
	tx := db.MustBegin()
	var logs []int64
	if err := tx.Select(&logs, `SELECT n FROM `+old+`audit_log UNION SELECT 0 ORDER BY n`); err != nil {
		t.Fatal(err)
	}
	for _, n := range logs {
		for _, x := range [][2]string{{"log", "n"}, {"entry", "idx >> 48"}, {"hash", "id >> 48"}, {"checkpoint", "size >> 48"}, {"cosig", "size >> 48"}, {"stamp", "size >> 48"}} {
			tx.MustExec(`INSERT INTO audit_`+x[0]+` SELECT * FROM `+old+`audit_`+x[0]+` WHERE `+x[1]+` = $1 ORDER BY 1`, n)
		}
	}
	tx.MustExec(`UPDATE audit_head SET (log, size, root) = (SELECT log, size, root FROM ` + old + `audit_head)`)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	return path
}

// logged returns the size of the log.
func (l *ledger) logged(t testing.TB) int64 {
	t.Helper()
	size, err := l.Size(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// A sequencer that was about to log when entries were imported, or when another
// log took over, logs nothing where the log stood; the outbox goes on after.
func TestPostgresHoldsOffASequencerDuringRepair(t *testing.T) {
	for name, tt := range map[string]struct {
		repair func(lost, back *ledger) error
		size   int64
		want   error
	}{
		"import": {func(lost, back *ledger) error {
			_, err := back.Import(t.Context(), audit.Import{Fetch: mirror(t, lost), Write: back.commit})
			return err
		}, 10, nil},
		"succession": {func(_, back *ledger) error {
			_, next := heir(t, "log.example/second")
			return succeed(back, next)
		}, 3, audit.ErrSucceeded},
	} {
		t.Run(name, func(t *testing.T) {
			lost := newPostgres(t)
			grow(t, lost, 0, 3)
			back := lost.restored(t, lost.backup(t))
			grow(t, lost, 3, 9)
			s := process(t, back)
			back.enqueue(t, entry(20))
			s.Pause(false, func() {
				if err := tt.repair(lost, back); err != nil {
					t.Error(err)
				}
			})
			if n, err := s.Round(t.Context()); n != 0 {
				t.Errorf("logged %d entries where the log no longer stands, %v", n, err)
			}
			var err error
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end) && back.logged(t) != tt.size && !errors.Is(err, audit.ErrSucceeded); {
				_, err = s.Round(t.Context())
			}
			_, err = s.Round(t.Context())
			if !errors.Is(err, tt.want) || back.logged(t) != tt.size {
				t.Errorf("size %d, %v, want %d, %v", back.logged(t), err, tt.size, tt.want)
			}
			if _, err := back.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is appended after the newest head was looked for is not passed over.
func TestPostgresSucceedsNoLogThatMovesOn(t *testing.T) {
	l := newPostgres(t)
	grow(t, l, 0, 3)
	_, next := heir(t, "log.example/second")
	key := next.Key
	next.Key = func() (k crypto.Signer, err error) {
		if _, err := l.add(entry(3)); err != nil {
			t.Error(err)
		}
		next.Key = key
		return key()
	}
	if err := succeed(l, next); !errors.Is(err, audit.ErrFenced) {
		t.Fatalf("err = %v, want ErrFenced", err)
	}
	appends(t, l)
	next.Key = key
	if err := succeed(l, next); err != nil {
		t.Error(err)
	}
}

// Nothing is logged while an anchor cannot be read, or keeps more than the
// log has; the sequencer goes on by itself once the anchor answers.
func TestPostgresSequencerAsksTheAnchorsBeforeItLogs(t *testing.T) {
	lost := newPostgres(t)
	grow(t, lost, 0, 3)
	first, second := lost.backup(t), lost.backup(t)
	anchor := &shelf{name: "a"}
	anchor.keep(t, lost)
	l := lost.restored(t, first, anchor)
	s := &audit.Sequencer{Log: l.Log, DB: l.write}
	l.enqueue(t, entry(3))
	anchor.fail(errors.New("no route"))
	for range 2 {
		if n, err := s.Round(t.Context()); n != 0 || !errors.Is(err, audit.ErrUnread) || !errors.Is(l.Refusal(), audit.ErrUnread) {
			t.Errorf("logged %d, %v, refusal %v, want ErrUnread", n, err, l.Refusal())
		}
	}
	anchor.fail(nil)
	if n, err := s.Round(t.Context()); n != 1 || err != nil || l.Refusal() != nil {
		t.Errorf("logged %d, %v, refusal %v, want 1", n, err, l.Refusal())
	}

	grow(t, lost, 3, 9)
	anchor.keep(t, lost)
	again := lost.restored(t, second, anchor)
	s = &audit.Sequencer{Log: again.Log, DB: again.write}
	again.write.MustExec(`INSERT INTO audit_outbox (entry_id, body) VALUES ('x', '\x00')`)
	if n, err := s.Round(t.Context()); n != 0 || !errors.Is(err, audit.ErrBehind) || again.logged(t) != 3 {
		t.Errorf("logged %d, %v on a log that was put back", n, err)
	}
}
