package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lethe/audit/audittest"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/queue/queuetest"
)

// An auditor or an admin may ask the server how it is, which then looks from where it
// is: it sees itself at work.
func TestTheServerIsAskedHowItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := configFor(filepath.Join(dir, "data"), queuetest.Redis(t).URL(), configured("assistant", newMem0(t, filepath.Join(dir, "m"))))
	c.Ledger = Secret(audittest.Schema(t))
	path := writeConfig(t, "ledger_file: dsn\ndata: "+c.Data+"\n")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "dsn"), []byte(c.Ledger), 0o600); err != nil {
		t.Fatal(err)
	}
	level := func(report api.Checkup, check string) (all string) {
		for _, f := range report.Findings {
			if f.Check == check {
				all += f.Level + " " + f.What + "\n"
			}
		}
		return all
	}
	r := start(t, c, nil)
	report, err := r.client.Doctor(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []string{"stores", "queue", "ledger", "keys", "running", "clock"} {
		if found := level(report, check); !strings.HasPrefix(found, "ok ") {
			t.Errorf("the server, of itself: %s: %s", check, found)
		}
	}
	if found := level(report, "postgres_role"); !strings.Contains(found, "superuser") {
		t.Errorf("the looks of the start are no part of it: %s", found)
	}
	config, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(string, int, int) {}
	if found := level(beside(config).examine(t.Context(), nothing), "running"); !strings.HasPrefix(found, "ok ") {
		t.Errorf("beside the server: %s", found)
	}
	for role, want := range map[jobs.Role]int{jobs.RoleAdmin: 0, jobs.RoleAuditor: 0, jobs.RoleApprover: http.StatusForbidden, jobs.RoleSubmitter: http.StatusForbidden} {
		status, token, talk := lethe(t, "token", "create", "--role", string(role), "--name", "t", "--config", path)
		file := filepath.Join(dir, string(role))
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil || status != 0 {
			t.Fatal(err, talk)
		}
		status, out, talk := lethe(t, "doctor", "--server", r.s.URL(), "--token-file", file)
		if (want == 0) != (status == 0 && strings.Contains(out, "ok      running")) || want != 0 && !strings.Contains(talk, "role") {
			t.Errorf("%s: status %d: %s%s", role, status, out, talk)
		}
	}
	r.stop()
	if found := level(beside(config).examine(t.Context(), nothing), "running"); !strings.Contains(found, "nobody serves") {
		t.Errorf("once it has stopped: %s", found)
	}
}

// What the manual says of PostgreSQL's own tools is what is run here.
func TestTheManualsCommandsBackUpAndRestoreALedgerInPostgreSQL(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../deploy/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	command := func(tool string) string {
		line := regexp.MustCompile(`(?m)^` + tool + ` .*$`).FindString(string(manual))
		if line == "" {
			t.Fatalf("deploy/OPERATIONS.md does not show %s", tool)
		}
		return line
	}
	dir := t.TempDir()
	from, to := audittest.Postgres(t), audittest.Postgres(t)
	sh := func(line string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LETHE_LEDGER="+from, "LETHE_LEDGER_NEW="+to)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", line, err, out)
		}
	}
	memories := configured("assistant", newMem0(t, filepath.Join(dir, "m"), people("alice", "bob")...))
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, memories)
	c.Ledger = Secret(from)
	r := start(t, c, nil)
	r.completed(r.forget("alice"))
	sh(command("pg_dump"))
	if strings.Contains(command("pg_basebackup"), "--dbname") {
		sh(command("pg_basebackup"))
	}
	before := r.kinds()
	r.stop()
	sh(command("pg_restore"))
	c.Ledger = Secret(to)
	r = start(t, c, nil)
	if after := r.kinds(); after["erasure.completed/v1"] != before["erasure.completed/v1"] {
		t.Errorf("the log has %v, before %v", after, before)
	}
	r.completed(r.forget("bob"))
}
