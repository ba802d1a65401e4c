package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/audittest"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
)

// snapshot copies a store's files, as a backup would, and returns how to put them
// back. Nobody may have them open.
func snapshot(t testing.TB, dir string) (restore func()) {
	t.Helper()
	copyAll := func(from, to string) {
		t.Helper()
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(t.TempDir(), "backup")
	copyAll(dir, kept)
	return func() { copyAll(kept, dir) }
}

func (r *running) replay(store string, dryRun bool) api.Replay {
	r.t.Helper()
	found, err := r.client.Replay(r.t.Context(), store, time.Time{}, dryRun)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// A drilled is a store that can be backed up and put back.
type drilled struct {
	store    StoreConfig
	evidence string // that its certificates show
	rows     func() map[string]string
	backUp   func() (restore func())
}

// drilledFiles are those of a real Mem0.
func drilledFiles(t *testing.T) drilled {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "mem0")
	mem := realMem0(t, folder)
	return drilled{
		store: configured("app", mem), evidence: proof.EvidencePurged,
		rows:   func() map[string]string { return rowsOf(t, mem) },
		backUp: func() func() { return snapshot(t, folder) },
	}
}

// drilledServer is a database of PostgreSQL, with tables of an application.
func drilledServer(t *testing.T) drilled {
	t.Helper()
	dsn := audittest.Postgres(t)
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDeep(t, sqlx.MustOpen("pgx", dsn), "    driver: postgres\n    dsn_file: "+file, "JSONB", "UUID")
	d.db.MustExec(`UPDATE chat_messages SET created_at = '2020-02-02'`)
	d.db.Close() // who is connected keeps a database from being copied
	rows := func() map[string]string {
		db := sqlx.MustOpen("pgx", dsn)
		defer db.Close()
		all := map[string]string{}
		for _, table := range []string{"chat_messages", "attachments", "pages", "marks", `"Devices"`, "audit_trail", "totals"} {
			var list []string
			if err := db.Select(&list, `SELECT to_jsonb(t)::text FROM `+table+` t`); err != nil {
				t.Fatal(err)
			}
			for _, text := range list {
				all[table+" "+text] = text
			}
		}
		return all
	}
	return drilled{store: d.config, evidence: proof.EvidenceVerified, rows: rows, backUp: func() func() { return template(t, dsn) }}
}

// template copies a database by PostgreSQL's own means, and returns how to put it back.
func template(t *testing.T, dsn string) (restore func()) {
	t.Helper()
	at, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(at.Path, "/")
	at.Path = "/postgres"
	do := func(statements ...string) {
		t.Helper()
		db := sqlx.MustOpen("pgx", at.String())
		defer db.Close()
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatal(err)
			}
		}
	}
	do(`CREATE DATABASE ` + name + `_backup TEMPLATE ` + name)
	return func() {
		t.Helper()
		do(`DROP DATABASE `+name+` WITH (FORCE)`, `CREATE DATABASE `+name+` TEMPLATE `+name+`_backup`)
	}
}

// The drill: a store is backed up, alice is forgotten, the backup is restored, and
// she is there again, as it must be shown first. Then a replay finds exactly her and
// has her erased again. No row of anybody else has changed by a byte, no file of
// ours has a word of hers, and the log says what was done.
func TestDrillBringsAliceBackAndErasesHerAgain(t *testing.T) {
	t.Parallel()
	t.Run("files of Mem0", func(t *testing.T) {
		t.Parallel()
		drill(t, drilledFiles(t))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		drill(t, drilledServer(t))
	})
}

func drill(t *testing.T, d drilled) {
	t.Helper()
	restore := d.backUp()
	before := d.rows()
	c := configFor(filepath.Join(t.TempDir(), "data"), queueEmbedded, d.store)
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tROWS OF ALICE\tROWS OF OTHERS")
	r := start(t, c, nil)
	erased := r.completed(r.forget("alice")).Stores[0].Erased
	r.stop()
	without := d.rows()
	step := func(what string) (hers int) {
		rows := d.rows()
		for name := range rows {
			if _, others := without[name]; !others {
				hers++
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%d\n", what, hers, len(rows)-hers)
		return hers
	}
	fmt.Fprintf(w, "the store is backed up\t%d\t%d\n", len(before)-len(without), len(without))
	step("alice is forgotten")
	if r = start(t, c, nil); r.replay("app", true).Back != 0 {
		t.Error("something has come back before anything was restored")
	}
	r.stop()

	restore()
	if step("the backup is restored") == 0 {
		t.Fatal("nothing has come back: the drill shows nothing")
	}
	r = start(t, c, nil)
	plan := r.replay("app", true)
	if diff := cmp.Diff(before, d.rows()); diff != "" {
		t.Errorf("a dry run has changed something:\n%s", diff)
	}
	if plan.Back != erased || plan.Later != 0 || plan.Undated != 0 || len(plan.Requests) != 0 {
		t.Errorf("dry run: %+v; %d IDs were erased", plan, erased)
	}
	found := r.replay("app", false)
	if found.Back != erased || len(found.Requests) != 1 {
		t.Fatalf("%+v", found)
	}
	if s := r.completed(found.Requests[0]).Stores[0]; s.Erased != erased || s.Evidence != d.evidence {
		t.Errorf("certificate: %s", said(s))
	}
	if again := r.replay("app", false); again.Back != 0 || len(again.Requests) != 0 {
		t.Errorf("again: %+v", again)
	}
	if n := r.kinds()[proof.KindReplayed]; n != 2 {
		t.Errorf("the log tells of %d replays", n)
	}
	r.stop()
	if left := step("lethe replay"); left != 0 {
		t.Errorf("%d rows of hers are left", left)
	}
	if diff := cmp.Diff(without, d.rows()); diff != "" {
		t.Errorf("rows of others (-before the restore +after the replay):\n%s", diff)
	}
	for path, b := range bytesUnder(t, c.Data) {
		if strings.Contains(string(b), "alice") {
			t.Errorf("%s names her", filepath.Base(path))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the drill:\n%s", table.String())
}

// A backup of the ledger, older than an erasure, is put back together with one of the
// store. The service sees that its log is behind what it has published, and takes
// nothing in, instead of signing a second history. When the entries are back it finds
// alice by the log alone, erases her again, and nobody else.
func TestWithAnOldLedgerAliceIsFoundByTheLogAlone(t *testing.T) {
	t.Parallel()
	d := drilledFiles(t)
	data, mirror := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "mirror")
	c := configFor(data, queueEmbedded, d.store)
	r := start(t, c, nil)
	r.completed(r.forget("nobody-else"))
	r.stop()
	restoreStore := d.backUp()
	old := filepath.Join(t.TempDir(), "ledger.db")
	copyLedger := func(from, to string) {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			b, err := os.ReadFile(from + suffix)
			switch {
			case errors.Is(err, fs.ErrNotExist):
				err = os.RemoveAll(to + suffix)
			case err == nil:
				err = os.WriteFile(to+suffix, b, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	copyLedger(filepath.Join(data, "ledger.db"), old)

	r = start(t, c, nil)
	first := r.forget("alice")
	erased := r.completed(first).Stores[0].Erased
	if err := r.s.ledger.Log().Export(t.Context(), mirror); err != nil {
		t.Fatal(err)
	}
	r.stop()
	without := d.rows()

	restoreStore()
	copyLedger(old, filepath.Join(data, "ledger.db"))
	s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Log().Refusal(); !errors.Is(err, audit.ErrBehind) {
		t.Errorf("refusal: %v", err)
	}
	if _, err := s.returns.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "app"}); !errors.Is(err, audit.ErrRefused) {
		t.Errorf("a replay before: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var out, talk bytes.Buffer
	yaml := filepath.Join(t.TempDir(), "lethe.yaml")
	if err := os.WriteFile(yaml, []byte("data: "+data+"\nlog_origin: lethe.example/log\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if status := run(t.Context(), []string{"log", "import", mirror, "--config", yaml}, nil, &out, &talk); status != exitDone || !strings.Contains(talk.String(), "lethe replay") {
		t.Fatalf("status %d: %s%s", status, &out, &talk)
	}
	r = start(t, c, nil)
	if found := r.replay("app", true); found.Back == 0 || found.Unknown != 0 {
		t.Errorf("dry run: %+v", found)
	}
	found := r.replay("app", false)
	if len(found.Requests) != 1 {
		t.Fatalf("%+v", found)
	}
	if s := r.completed(found.Requests[0]).Stores[0]; s.Erased != found.Back {
		t.Errorf("certificate: %s, %d had been erased", said(s), erased)
	}
	t.Logf("%d IDs had been erased; by the log alone %d are back, and %d do not say when they were made", erased, found.Back, found.Undated)
	r.stop()
	rows := d.rows()
	for name, text := range without {
		if rows[name] != text {
			t.Errorf("a row of others has changed: %s", name)
		}
	}
	for name, text := range rows {
		if without[name] == "" && strings.Contains(text, "alice") && strings.Contains(name, " vectors ") && !strings.HasPrefix(name, "vector_store_entities") {
			t.Errorf("%s is hers, and is left", name)
		}
	}
}

// The watch finds by itself that a backup has brought alice back: another request
// erases her again, and whoever checks the first one's certificate with the log at
// hand is told.
func TestAWatchFindsWhoABackupBringsBackAndTheCertificateIsSuperseded(t *testing.T) {
	t.Parallel()
	d := drilledFiles(t)
	dir := t.TempDir()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, d.store)
	c.Suppression = &SuppressionConfig{Watch: &[]Duration{Duration(time.Second)}}
	restore := d.backUp()
	r := startWith(t, c, slog.New(slog.DiscardHandler), func(s *service) { s.returns.Names = nil })
	first := r.forget("alice")
	r.completed(first)
	r.stop()
	without := d.rows()
	restore()
	r = startWith(t, c, slog.New(slog.DiscardHandler), func(s *service) { s.returns.Turn = 50 * time.Millisecond })
	var again string
	waitFor(t, "the first request is superseded", func() bool {
		answer, err := r.client.Request(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Superseded != nil {
			again = *answer.Superseded
		}
		return again != ""
	})
	r.completed(again)
	certificate, err := r.client.Certificate(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	file, mirror := filepath.Join(dir, "alice.tlog-proof"), filepath.Join(dir, "mirror")
	if err := errors.Join(os.WriteFile(file, certificate, 0o600), r.s.ledger.Log().Export(t.Context(), mirror)); err != nil {
		t.Fatal(err)
	}
	var out, talk bytes.Buffer
	status := run(t.Context(), []string{"verify", file, "--key", r.s.ledger.Log().Verifier(), "--log", mirror}, nil, &out, &talk)
	if status != exitDone || !strings.Contains(out.String(), "superseded YES") || !strings.Contains(out.String(), again) {
		t.Errorf("status %d: %s%s", status, &out, &talk)
	}
	out.Reset()
	if status := run(t.Context(), []string{"status", first, "--server", r.s.URL()}, nil, &out, &talk); status != exitDone || !strings.Contains(out.String(), "came back") {
		t.Errorf("status %d: %s%s", status, &out, &talk)
	}
	r.stop()
	if diff := cmp.Diff(without, d.rows()); diff != "" {
		t.Errorf("(-before the restore +after the watch):\n%s", diff)
	}
}
