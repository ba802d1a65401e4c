package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// An installation is one that is lost, and what is kept of it elsewhere.
type installation struct {
	t                                 *testing.T
	data, config, backup, mirror, key string
	id                                map[string]string // of the request about each person
}

// lostInstallation erases alice, is backed up while eve's request is open, erases bob,
// takes in frank's request and loses its data folder, keys and all. Elsewhere are the
// backup, a copy of the log, and the three files that are kept once; with anchored also
// an anchor.
func lostInstallation(t *testing.T, anchored bool) *installation {
	t.Helper()
	dir := t.TempDir()
	in := &installation{
		t: t, data: filepath.Join(dir, "data"), backup: filepath.Join(dir, "ledger.backup"), mirror: filepath.Join(dir, "mirror"), key: filepath.Join(dir, "offline"),
		id: map[string]string{},
	}
	c := newMem0(t, filepath.Join(dir, "m"), people("alice", "bob", "eve", "frank")...)
	text := fmt.Sprintf("data: %s\nlisten: 127.0.0.1:0\nlog_origin: lethe.example/log\nlimits: {max_rows: 1000, max_fraction: 1}\nstores:\n  - {name: assistant, kind: mem0-sqlite, vectors: %q, entities: %q, history: %q}\n",
		in.data, c.Vectors, c.Entities, c.History)
	if anchored {
		text += fmt.Sprintf("anchors: [{file: %q}]\n", filepath.Join(dir, "anchor"))
	}
	in.config = writeConfig(t, text)
	r := in.start()
	forget := func(name string, grace time.Duration) {
		in.id[name] = r.submit(api.Submission{Selector: store.Selector{UserID: name}, Grace: grace, Ticket: "T-" + name})
		if grace == 0 {
			r.completed(in.id[name])
		}
	}
	forget("alice", 0)
	forget("eve", time.Hour)
	in.lethe(0, "backup", in.backup, "--config", in.config)
	forget("bob", 0)
	forget("frank", time.Hour)
	in.lethe(0, "log", "export", in.mirror, "--config", in.config)
	r.stop()
	for _, name := range []string{logKeyFile, logKeyFile + publicSuffix, keysFolder + "/secret"} {
		in.copyFile(filepath.Join(in.data, name), filepath.Join(in.key, name))
	}
	if err := os.RemoveAll(in.data); err != nil {
		t.Fatal(err)
	}
	return in
}

// putBack does what deploy/OPERATIONS.md says, up to the first start.
func (in *installation) putBack() {
	in.t.Helper()
	if err := os.MkdirAll(filepath.Join(in.data, keysFolder), 0o700); err != nil {
		in.t.Fatal(err)
	}
	in.copyFile(in.backup, filepath.Join(in.data, ledgerFile))
	for _, name := range []string{logKeyFile, logKeyFile + publicSuffix, keysFolder + "/secret"} {
		in.copyFile(filepath.Join(in.key, name), filepath.Join(in.data, name))
	}
}

func (in *installation) copyFile(from, to string) {
	in.t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.WriteFile(to, text, 0o600))
	}
	if err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) load() Config {
	in.t.Helper()
	c, err := Load(in.config, Overrides{})
	if err != nil {
		in.t.Fatal(err)
	}
	return c
}

func (in *installation) start() *running { in.t.Helper(); return start(in.t, in.load(), nil) }

// lethe runs a command that must end with that status.
func (in *installation) lethe(want int, args ...string) (stdout, stderr string) {
	in.t.Helper()
	status, out, talk := lethe(in.t, args...)
	if status != want {
		in.t.Fatalf("%s: status %d, want %d: %s%s", args[0], status, want, out, talk)
	}
	return out, talk
}

// refuses makes sure that a service on the ledger appends nothing, and says why.
func (in *installation) refuses(reason error, fix string) {
	in.t.Helper()
	s, err := openService(in.t.Context(), in.load(), slog.New(slog.DiscardHandler))
	if err != nil {
		in.t.Fatal(err)
	}
	defer s.Close()
	refusal := s.ledger.Refusal(in.t.Context())
	if !errors.Is(refusal, reason) || !strings.Contains(waysFor(refusal), fix) {
		in.t.Errorf("refusal = %v, want %v and %q in %q", refusal, reason, fix, waysFor(refusal))
	}
	if len(s.ready(in.t.Context())) == 0 {
		in.t.Error("it is ready")
	}
	_, _, err = s.intake.Submit(in.t.Context(), jobs.Submission{Origin: jobs.OriginAPI, By: jobs.ActorOpen, Selector: store.Selector{UserID: "grace"}})
	if !errors.Is(err, audit.ErrRefused) {
		in.t.Errorf("a request is taken in: %v", err)
	}
}

// The whole of it: what was erased after the backup is known from the log, what was open
// is told by its ID, and the log goes on as the one that everybody holds heads of.
func TestNoErasureIsLostSilentlyWhenTheLedgerIsRestored(t *testing.T) {
	t.Parallel()
	in := lostInstallation(t, true)
	in.putBack()
	in.refuses(audit.ErrBehind, "lethe log import")
	_, talk := in.lethe(5, "log", "check", "--config", in.config)
	if !strings.Contains(talk, "missing") {
		t.Errorf("log check: %s", talk)
	}
	lost, talk := in.lethe(0, "log", "import", in.mirror, "--config", in.config)
	if lost != in.id["frank"]+"\n" || !strings.Contains(talk, "1 request had ended that the ledger does not know") {
		t.Errorf("to be asked for again: %q, want frank's %s: %s", lost, in.id["frank"], talk)
	}
	report, _ := in.lethe(1, "doctor", "--config", in.config)
	if !strings.Contains(report, "1 open request cannot be carried out, for its key is gone: "+in.id["eve"]) || strings.Contains(report, in.id["alice"]) {
		t.Errorf("the doctor does not name eve's request alone:\n%s", report)
	}
	r := in.start()
	eve, err := r.client.Request(t.Context(), in.id["eve"])
	if err != nil || eve.Status.Ended() || eve.Ticket != "T-eve" {
		t.Errorf("eve's request: %+v, %v, want it open, with the ticket", eve, err)
	}
	for _, name := range []string{"alice", "bob"} {
		if _, err := r.client.Reissued(t.Context(), in.id[name], false); err != nil {
			t.Errorf("%s's certificate: %v", name, err)
		}
	}
	if _, err := r.client.Cancel(t.Context(), in.id["eve"]); err != nil {
		t.Errorf("a request without a key cannot be cancelled: %v", err)
	}
	for _, name := range []string{"eve", "frank"} {
		if n := r.completed(r.forget(name)).Stores[0].Erased; n == 0 {
			t.Errorf("%s's memories were not erased when asked for again", name)
		}
	}
	if kinds := r.kinds(); kinds["erasure.completed/v1"] != 4 || kinds["erasure.cancelled/v1"] != 1 {
		t.Errorf("the log has %v", kinds)
	}
	r.stop()
	in.lethe(0, "log", "check", "--config", in.config)
	if report, talk := in.lethe(0, "doctor", "--config", in.config); strings.Contains(report, "broken") {
		t.Errorf("still broken:\n%s%s", report, talk)
	}
}

// Without an anchor nothing outside tells that the log had gone on: only that the
// ledger is a backup.
func TestARestoredLedgerThatNothingVouchesForSignsNoFork(t *testing.T) {
	t.Parallel()
	in := lostInstallation(t, false)
	in.putBack()
	in.refuses(audit.ErrRestored, "lethe log import")
	in.refuses(audit.ErrRestored, "lethe log succeed") // still, at the second start
	in.lethe(5, "log", "check", "--config", in.config)
	before := filepath.Join(t.TempDir(), "before")
	in.copyFile(filepath.Join(in.data, ledgerFile), before)

	t.Log("with the copy of the log")
	in.lethe(0, "log", "import", in.mirror, "--config", in.config)
	r := in.start()
	r.completed(r.forget("frank"))
	r.stop()
	in.lethe(0, "log", "check", "--config", in.config)
	if isBackup(filepath.Join(in.data, ledgerFile)) {
		t.Error("the mark is still there")
	}

	t.Log("without one: another log, which names this one")
	if err := os.RemoveAll(in.data); err != nil {
		t.Fatal(err)
	}
	in.backup = before
	in.putBack()
	in.refuses(audit.ErrRestored, "lethe log succeed")
	in.config = writeConfig(t, strings.Replace(in.text(), "log_origin: lethe.example/log\n", "", 1))
	in.lethe(0, "log", "succeed", "--reason", "restored", "--config", in.config)
	r = in.start()
	r.completed(r.forget("bob"))
	r.stop()
	in.lethe(0, "log", "check", "--config", in.config)
}

func (in *installation) text() string {
	in.t.Helper()
	text, err := os.ReadFile(in.config)
	if err != nil {
		in.t.Fatal(err)
	}
	return string(text)
}

// A service that was stopped, backed up and moved goes on at once: its log.head vouches.
func TestABackupOfAServiceThatWasStoppedGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, moved := filepath.Join(dir, "data"), filepath.Join(dir, "moved")
	memories := configured("assistant", newMem0(t, filepath.Join(dir, "m"), people("alice", "bob")...))
	r := start(t, configFor(data, queueEmbedded, memories), nil)
	r.completed(r.forget("alice"))
	r.stop()
	file := backedUp(t, data)
	if err := os.CopyFS(moved, os.DirFS(data)); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{ledgerFile, ledgerFile + "-wal", ledgerFile + "-shm"} {
		_ = os.Remove(filepath.Join(moved, left))
	}
	text, err := os.ReadFile(file)
	if err := errors.Join(err, os.WriteFile(filepath.Join(moved, ledgerFile), text, 0o600)); err != nil {
		t.Fatal(err)
	}
	keepPrivate(t, moved)
	r = start(t, configFor(moved, queueEmbedded, memories), nil)
	r.completed(r.forget("bob"))
}
