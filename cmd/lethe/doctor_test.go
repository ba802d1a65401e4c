package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/jobs/api"
	"lethe/store"
)

// A clinic has an installation that nothing is wrong with and nobody serves, to be made
// ill.
type clinic struct {
	t       *testing.T
	dir     string
	anchor  string
	waiting string // an open request
	hold    string
}

func healthyInstallation(t *testing.T) *clinic {
	t.Helper()
	dir := t.TempDir()
	c := &clinic{t: t, dir: dir, anchor: filepath.Join(dir, "elsewhere")}
	newMem0(t, filepath.Join(dir, "m"), people("canary-alice", "canary-bob")...)
	r := start(t, c.config(), nil)
	r.completed(r.forget("canary-alice"))
	c.waiting = r.submit(api.Submission{Selector: store.Selector{UserID: "canary-bob"}, Grace: time.Hour, Ticket: "canary-ticket"})
	hold, err := r.client.PlaceHold(t.Context(), api.Submission{Selector: store.Selector{UserID: "canary-carol"}}, "litigation", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	c.hold = hold.ID
	r.stop()
	if err := noteBackupIn(c.data(), backup{At: time.Now(), Entries: 1}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *clinic) data() string { return filepath.Join(c.dir, "data") }

func (c *clinic) config() Config {
	m := filepath.Join(c.dir, "m")
	config := configFor(c.data(), queueEmbedded, StoreConfig{
		Name: "assistant", Kind: KindMem0SQLite, Vectors: filepath.Join(m, "vector_store.db"), Entities: filepath.Join(m, "vector_store_entities.db"), History: filepath.Join(m, "memory.db"),
	})
	config.Anchors = []AnchorConfig{{File: c.anchor}}
	return config
}

// copied returns a copy to be made ill.
func (c *clinic) copied(t *testing.T) *clinic {
	t.Helper()
	twin := *c
	twin.t, twin.dir = t, t.TempDir()
	twin.anchor = filepath.Join(twin.dir, "elsewhere")
	if err := os.CopyFS(twin.dir, os.DirFS(c.dir)); err != nil {
		t.Fatal(err)
	}
	keepPrivate(t, twin.data())
	return &twin
}

// keepPrivate closes a folder that was copied to everybody else.
func keepPrivate(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.Chmod(path, 0o700)
		}
		return os.Chmod(path, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *clinic) patient() *ward {
	p := beside(c.config())
	p.around.uid, p.around.tokens = 1000, func(context.Context) (int, error) { return 1, nil }
	p.openFiles = func() uint64 { return 65536 }
	p.roomAt = func(string) (room, bool) { return room{free: 1 << 40, inodes: 1 << 20, counts: true}, true }
	return p
}

// sql changes the ledger behind Lethe's back.
func (c *clinic) sql(statements ...string) {
	c.t.Helper()
	db, err := sqlx.Open("sqlite3", filepath.Join(c.data(), ledgerFile))
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *clinic) remove(names ...string) {
	c.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(c.data(), name)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// served has the ledger's lock held, as a service would.
func (c *clinic) served() {
	c.t.Helper()
	lock, err := os.OpenFile(filepath.Join(c.data(), "ledger.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { lock.Close() })
}

// Each check finds the fault that it is for, and says what to do; and nothing else is
// found broken of an installation that is well.
func TestTheDoctorFindsEachIllness(t *testing.T) {
	t.Parallel()
	well := healthyInstallation(t)
	report := well.copied(t).patient().examine(t.Context(), func(string, int, int) {})
	for _, f := range report.Findings {
		if f.Level != api.LevelOK && f.Check != "running" && f.Check != "core_dumps" {
			t.Errorf("well: %+v", f)
		}
	}
	tested := map[string]bool{"config": true}
	for _, l := range looks() {
		tested[l.name] = true // see TestEachWeaknessIsFoundAndNothingElse
	}
	for _, ill := range illnesses() {
		t.Run(ill.check+" "+ill.what, func(t *testing.T) {
			c := well.copied(t)
			p := c.patient()
			ill.plant(c, p)
			report := p.examine(t.Context(), func(string, int, int) {})
			if !slices.ContainsFunc(report.Findings, func(f api.Finding) bool {
				return f.Check == ill.check && f.Level == ill.level && strings.Contains(f.What, ill.what) && strings.Contains(f.Fix, ill.fix)
			}) {
				t.Errorf("not found: %s %q, fix %q, in\n%s", ill.level, ill.what, ill.fix, inWords(report))
			}
			if text := inWords(report); strings.Contains(text, "canary") || strings.Contains(text, "hunter2") {
				t.Errorf("a name or a secret is told:\n%s", text)
			}
		})
		tested[ill.check] = true
	}
	for _, c := range checks() {
		if !tested[c.name] {
			t.Errorf("%s is not tested", c.name)
		}
	}
}

func inWords(report api.Checkup) (text string) {
	for _, f := range report.Findings {
		text += fmt.Sprintf("%s %s %s [%s]\n", f.Level, f.Check, f.What, f.Fix)
	}
	return text
}

// mtimes says of each file below a folder what would tell that it was written.
func mtimes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && !d.IsDir() {
			all[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheDoctorChangesNothing(t *testing.T) {
	t.Parallel()
	c := healthyInstallation(t)
	examine := func(dir string, p *ward) {
		t.Helper()
		before := mtimes(t, dir)
		if report := p.examine(t.Context(), func(string, int, int) {}); len(report.Findings) < len(checks()) {
			t.Errorf("%d findings", len(report.Findings))
		}
		if diff := cmp.Diff(before, mtimes(t, dir)); diff != "" {
			t.Errorf("changed (-before +after):\n%s", diff)
		}
	}
	examine(c.dir, beside(c.config()))
	none := t.TempDir()
	config, err := Load("", Overrides{Data: filepath.Join(none, "data")})
	if err != nil {
		t.Fatal(err)
	}
	examine(none, beside(config))
	r := start(t, c.config(), nil)
	before := bytesUnderKeys(t, c.data())
	if _, err := r.client.Doctor(t.Context()); err != nil {
		t.Error(err)
	}
	if status, out, _ := lethe(t, "doctor", "--data", c.data()); !strings.Contains(out, "running") {
		t.Errorf("beside the service: status %d: %s", status, out)
	}
	if diff := cmp.Diff(before, bytesUnderKeys(t, c.data())); diff != "" {
		t.Errorf("keys changed:\n%s", diff)
	}
	r.kinds()
}

// bytesUnderKeys reads what no database is.
func bytesUnderKeys(t *testing.T, data string) map[string][]byte {
	t.Helper()
	return bytesUnder(t, filepath.Join(data, keysFolder))
}

// The command says it in words and in JSON, and its status is the verdict; a
// configuration that cannot be read is a finding.
func TestTheDoctorsVerdictIsTheStatus(t *testing.T) {
	t.Parallel()
	c := healthyInstallation(t)
	text := fmt.Sprintf("data: %s\nanchors: [{file: %q}]\nstores:\n  - {name: assistant, kind: mem0-sqlite, vectors: %q, entities: %q, history: %q}\n", c.data(), c.anchor,
		c.config().Stores[0].Vectors, c.config().Stores[0].Entities, c.config().Stores[0].History)
	config := writeConfig(t, text)
	for _, row := range []struct {
		name   string
		status int
		args   []string
		wants  string
	}{
		{"weak", 0, []string{"--config", config}, "weak    running"},
		{"weak, strictly", 1, []string{"--config", config, "--strict"}, "weak    running"},
		{"JSON", 0, []string{"--config", config, "--json"}, `{"level":"weak","findings":[{"check":"config","level":"ok"`},
		{"no configuration", 1, []string{"--config", writeConfig(t, "stores: 7\n")}, "broken  config"},
		{"no server", 1, []string{"--server", "http://127.0.0.1:1"}, ""},
		{"usage", 2, []string{"--config", config, "more"}, ""},
	} {
		if status, out, talk := lethe(t, append([]string{"doctor"}, row.args...)...); status != row.status || !strings.Contains(out, row.wants) {
			t.Errorf("%s: status %d, want %d and %q: %s%s", row.name, status, row.status, row.wants, out, talk)
		}
	}
	c.remove(keysFolder + "/seal/" + c.waiting)
	if status, out, talk := lethe(t, "doctor", "--config", config); status != 1 || !strings.Contains(talk, "1 thing is broken") || !strings.Contains(out, "fix: ") {
		t.Errorf("broken: status %d: %s%s", status, out, talk)
	}
}

// A check that does not come back is told, and holds nobody up for longer.
func TestTheDoctorWaitsForNoOneForever(t *testing.T) {
	p := &ward{}
	found := p.make(t.Context(), check{"slow", "", time.Millisecond, func(ctx context.Context, _ *ward) []api.Finding {
		<-ctx.Done()
		return nil
	}})
	if len(found) != 1 || found[0].Level != api.LevelWeak || !strings.Contains(found[0].What, "not done within") {
		t.Errorf("%+v", found)
	}
}
