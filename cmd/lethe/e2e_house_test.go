package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0"
)

// patience is how long a test waits for what takes a second or two.
const patience = 2 * time.Minute

// realMem0 copies files that the real Mem0 has written; see store/mem0.
func realMem0(t testing.TB, dir string) mem0.SQLiteConfig {
	t.Helper()
	c := mem0.SQLiteConfig{
		Vectors: filepath.Join(dir, "vector_store.db"), Entities: filepath.Join(dir, "vector_store_entities.db"), History: filepath.Join(dir, "memory.db"),
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{c.Vectors, c.Entities, c.History} {
		b, err := os.ReadFile(filepath.Join("../../store/mem0/testdata/real", filepath.Base(path)))
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// newMem0 makes an installation with memories of its own.
func newMem0(t testing.TB, dir string, memories ...mem0.Memory) mem0.SQLiteConfig {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c, err := mem0.CreateSQLite(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, c, memories...)
	return c
}

func write(t testing.TB, c mem0.SQLiteConfig, memories ...mem0.Memory) {
	t.Helper()
	err := mem0.WriteSQLite(context.Background(), c, func(yield func(mem0.Memory) bool) {
		for _, m := range memories {
			if !yield(m) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func configured(name string, c mem0.SQLiteConfig) StoreConfig {
	return StoreConfig{Name: name, Kind: KindMem0SQLite, Vectors: c.Vectors, Entities: c.Entities, History: c.History}
}

func configFor(data, queue string, stores ...StoreConfig) Config {
	return Config{
		Listen: "127.0.0.1:0", Data: data, Ledger: ledgerSQLite, Queue: Secret(queue), Stores: stores,
		LogOrigin: "lethe.example/log", SubjectKeyRetention: Duration(time.Hour),
		Limits: &LimitsConfig{MaxRows: new(Count(10_000_000)), MaxFraction: new(1.0)}, // who erases all, does so alone here
	}
}

// A running is the real service at work, asked over HTTP.
type running struct {
	t      testing.TB
	id     string // of the request that a test is about
	s      *service
	client *api.Client
	cancel context.CancelFunc
	done   chan error
}

// start runs the service in this process until the test or stop ends it.
func start(t testing.TB, c Config, m moment) *running {
	t.Helper()
	return startLogging(t, c, m, slog.New(slog.DiscardHandler))
}

func startLogging(t testing.TB, c Config, m moment, logger *slog.Logger) *running {
	t.Helper()
	return startWith(t, c, logger, func(s *service) {
		if m != nil {
			s.watch(m)
		}
	})
}

// startWith runs a service to which something has been done.
func startWith(t testing.TB, c Config, logger *slog.Logger, do func(*service)) *running {
	t.Helper()
	s, err := openService(t.Context(), c, logger)
	if err != nil {
		t.Fatal(err)
	}
	do(s)
	client, err := api.NewClient(s.URL(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, s: s, client: client, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(r.stop)
	return r
}

// stop ends the service in good order, once.
func (r *running) stop() {
	r.t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err := errors.Join(err, r.s.Close()); err != nil {
			r.t.Error(err)
		}
	case <-time.After(patience):
		r.t.Error("the service does not stop")
	}
}

func (r *running) submit(s api.Submission) string {
	r.t.Helper()
	answer, _, err := r.client.Submit(r.t.Context(), s)
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.ID
}

func (r *running) forget(user string, stores ...string) string {
	r.t.Helper()
	return r.submit(api.Submission{Selector: store.Selector{UserID: user}, Stores: stores})
}

// completed waits for the end and returns what the certificate says, verified.
func (r *running) completed(id string) *proof.Completed {
	r.t.Helper()
	return r.statement(id).Entry.(*proof.Completed)
}

func (r *running) statement(id string) *proof.Result {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	if err := waitCompleted(ctx, r.client, id); err != nil {
		r.t.Fatal(err)
	}
	text, err := r.client.Certificate(ctx, id)
	if err != nil {
		r.t.Fatal(err)
	}
	key, err := r.client.Key(ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(key))
	if err != nil {
		r.t.Fatal(err)
	}
	result, err := proof.Verify(text, keys)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

func waitCompleted(ctx context.Context, client *api.Client, id string) error {
	for {
		answer, err := client.Request(ctx, id)
		p, _ := errors.AsType[*api.Problem](err)
		switch {
		case p != nil && p.RetryAfter > 0 && ctx.Err() == nil: // a service whose ledger is away says when to ask again
			time.Sleep(20 * time.Millisecond)
			continue
		case err != nil:
			return err
		case answer.Status == jobs.Completed:
			return nil
		case answer.Status.Ended():
			return fmt.Errorf("the request ended as %s", answer.Status)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the request is still %s, stage %s, note %q: %w", answer.Status, answer.Stores[0].Stage, answer.Stores[0].Note, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// kinds counts the entries of the log, which must be sound.
func (r *running) kinds() map[string]int {
	r.t.Helper()
	report, err := r.s.ledger.Log().Check(r.t.Context())
	if err != nil {
		r.t.Error(err)
	}
	return report.Kinds
}

// said is what a certificate says of a store's counts.
func said(s proof.StoreProof) string {
	return fmt.Sprintf("requested %d found %d erased %d absent %d unattributable %d rounds %d %s",
		s.Requested, s.Found, s.Erased, s.Absent, s.Unattributable, s.Rounds, s.Evidence)
}

// rowsOf reads every row of every table of an installation.
func rowsOf(t testing.TB, c mem0.SQLiteConfig) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, path := range []string{c.Vectors, c.Entities, c.History} {
		readRows(t, path, rows)
	}
	return rows
}

func readRows(t testing.TB, path string, rows map[string]string) {
	t.Helper()
	db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=ro&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var tables []string
	if err := db.Select(&tables, `SELECT name FROM sqlite_master WHERE type = 'table'`); err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		found, err := db.Queryx(`SELECT * FROM "` + table + `"`)
		if err != nil {
			t.Fatal(err)
		}
		for found.Next() {
			row, err := found.SliceScan()
			if err != nil {
				t.Fatal(err)
			}
			rows[fmt.Sprintf("%s %s %v", filepath.Base(path), table, row[0])] = fmt.Sprintf("%q", row)
		}
		if err := errors.Join(found.Err(), found.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// bytesUnder returns every file below the folders. No service may have them
// open: to read a file that SQLite has locked unlocks it.
func bytesUnder(t testing.TB, dirs ...string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, dir := range dirs {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files[path], err = os.ReadFile(path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}
