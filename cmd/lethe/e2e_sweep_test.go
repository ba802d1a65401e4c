package main

import (
	"errors"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store/mem0"
)

// sweeping is a configuration with policies of the store mem0.
func sweeping(dir string, mem mem0.SQLiteConfig, policies ...PolicyConfig) Config {
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", mem))
	for _, p := range policies {
		p.Stores, p.Every = []string{"mem0"}, new(Duration(time.Hour))
		c.Policies = append(c.Policies, p)
	}
	return c
}

func expired() PolicyConfig {
	return PolicyConfig{Name: "expired", Where: WhereConfig{Expired: new(true)}}
}

func orphaned() PolicyConfig {
	return PolicyConfig{Name: "orphans", Where: WhereConfig{Orphaned: new(true)}}
}

// sweep runs a policy and returns the request that it has filed, or "".
func (r *running) sweep(policy string) string {
	r.t.Helper()
	result, err := r.client.RunPolicy(r.t.Context(), policy, false)
	if err != nil || len(result.Sweeps) != 1 || result.Sweeps[0].State == jobs.SweepRefused {
		r.t.Fatalf("%+v, %v", result, err)
	}
	if result.Sweeps[0].Request == nil {
		return ""
	}
	return *result.Sweeps[0].Request
}

// A sweep of expired memories erases all that is about them, and leaves every row
// of the others as it was. A second one finds nothing, and files nothing.
func TestASweepOfExpiredMemoriesLeavesExactlyTheUnexpired(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	before := rowsOf(t, mem)
	gone := map[string]bool{}
	for name, text := range before {
		if strings.HasPrefix(name, "vector_store.db vectors ") && strings.Contains(text, "2026-01-31") {
			gone[strings.TrimPrefix(name, "vector_store.db vectors ")] = true
		}
	}
	if len(gone) != 12 {
		t.Fatalf("%d of the fixture's memories have expired, want 12", len(gone))
	}
	r := start(t, sweeping(dir, mem, expired(), orphaned()), nil)
	plan, err := r.client.RunPolicy(t.Context(), "expired", true)
	if err != nil || len(plan.Plans) != 1 || plan.Plans[0].Found != 12 || plan.Plans[0].Oldest == nil || len(plan.Plans[0].Beyond) > 0 {
		t.Errorf("dry run: %+v, %v", plan, err)
	}
	if diff := cmp.Diff(before, rowsOf(t, mem)); diff != "" {
		t.Errorf("a dry run has changed something:\n%s", diff)
	}
	id := r.sweep("expired")
	if c := r.completed(id).Stores[0]; c.Found != 12 || c.Erased != 12 || c.Evidence != "purged" {
		t.Errorf("certificate: %s", said(c))
	}
	after := rowsOf(t, mem)
	for name, text := range before {
		switch ids := uuids.FindAllString(name+" "+text, -1); {
		case !slices.ContainsFunc(ids, func(id string) bool { return gone[id] }):
			if after[name] != text {
				t.Errorf("%s was %q, is %q", name, text, after[name])
			}
		case strings.Contains(name, " vectors ") || strings.Contains(name, " memory_history "):
			if after[name] != "" && !strings.HasPrefix(name, "vector_store_entities") {
				t.Errorf("%s is left", name)
			}
		}
	}
	for name, text := range after {
		if slices.ContainsFunc(uuids.FindAllString(name+" "+text, -1), func(id string) bool { return gone[id] }) {
			t.Errorf("%s names a memory that has expired: %q", name, text)
		}
	}
	if id := r.sweep("expired"); id != "" {
		t.Errorf("again: a request for nothing")
	}
	req, err := r.client.Request(t.Context(), id)
	if err != nil || req.Origin != jobs.OriginSweep || req.FiledBy != "open" {
		t.Errorf("%+v, %v", req, err)
	}
}

// After a sweep of orphaned history no byte of it is in any file, and all else is
// as it was.
func TestAfterASweepOfOrphanedHistoryNoByteOfItIsLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	before := rowsOf(t, mem)
	memories := map[string]bool{}
	for name := range before {
		if id, ok := strings.CutPrefix(name, "vector_store.db vectors "); ok {
			memories[id] = true
		}
	}
	var secrets []string
	orphans := 0
	rest := maps.Clone(before)
	for name, text := range before {
		if !strings.HasPrefix(name, "memory.db memory_history ") || memories[uuids.FindString(text)] {
			continue
		}
		orphans++
		secrets = append(secrets, regexp.MustCompile(`SECRET-[A-Z]+-[a-z]+-\d+`).FindAllString(text, -1)...)
		delete(rest, name)
	}
	if orphans != 12 || len(secrets) == 0 {
		t.Fatalf("%d orphans in the fixture, with %d secrets", orphans, len(secrets))
	}
	for _, text := range rest {
		secrets = slices.DeleteFunc(secrets, func(s string) bool { return strings.Contains(text, s) })
	}
	r := start(t, sweeping(dir, mem, orphaned()), nil)
	id := r.sweep("orphans")
	if c := r.completed(id).Stores[0]; c.Erased == 0 || c.Unattributable != 0 || c.Evidence != "purged" {
		t.Errorf("certificate: %s", said(c))
	}
	if diff := cmp.Diff(rest, rowsOf(t, mem)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	r.stop()
	for path, b := range bytesUnder(t, dir) {
		for _, secret := range secrets {
			if strings.Contains(string(b), secret) {
				t.Errorf("%s: %s is left", filepath.Base(path), secret)
			}
		}
	}
	if len(secrets) == 0 {
		t.Error("nothing to look for")
	}
}

// A service that was away for a month runs a policy once when it is back, and says
// how many ticks that is for. While a store is down its tick stays open, is counted,
// and is run once the store is back.
func TestATickThatWasMissedIsCaughtUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	c := sweeping(dir, mem, expired())
	r := start(t, c, nil)
	eventually(t, "the policy is seen", func() bool {
		_, err := r.s.ledger.Swept(t.Context(), "expired", "mem0")
		return err == nil
	})
	r.stop()
	raw, err := sqlx.Open("sqlite3", "file:"+filepath.Join(c.Data, "ledger.db")+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	raw.MustExec(`UPDATE policies SET newest = newest - ?`, (30 * 24 * time.Hour).Milliseconds())
	raw.Close()
	r = start(t, c, nil)
	var list []api.Policy
	eventually(t, "the month is caught up", func() bool {
		list, err = r.client.Policies(t.Context())
		return err == nil && len(list) == 1 && len(list[0].Sweeps) > 0 && list[0].Sweeps[0].Request != nil
	})
	s := list[0].Sweeps[0]
	if len(list[0].Sweeps) != 1 || s.Missed < 719 || s.Missed > 720 || s.RunBy != "" || s.Found < 12 {
		t.Errorf("%+v", s)
	}
	if c := r.completed(*s.Request).Stores[0]; c.Erased != 12 {
		t.Errorf("certificate: %s", said(c))
	}
	if req, err := r.client.Request(t.Context(), *s.Request); err != nil || req.FiledBy != "policy/expired" || req.Origin != jobs.OriginSweep {
		t.Errorf("%+v, %v", req, err)
	}
}

// A policy whose brakes are beyond what it finds waits for somebody else than who
// has run it. What it does not find, and who asks for what is not there, is said.
func TestASweepBeyondItsBrakesWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	p := expired()
	p.MaxFraction = new(0.05) // 12 of 133
	r := start(t, sweeping(dir, mem, p), nil)
	before := rowsOf(t, mem)
	id := r.sweep("expired")
	var req api.Request
	eventually(t, "it waits", func() (waits bool) {
		var err error
		req, err = r.client.Request(t.Context(), id)
		return err == nil && req.Status == jobs.AwaitingApproval
	})
	if len(req.Approval.Beyond) == 0 || req.Approval.Beyond[0].Code != jobs.BeyondFraction {
		t.Errorf("%+v", req.Approval)
	}
	if _, err := r.client.Approve(t.Context(), id, req.PlanHash); err == nil {
		t.Error("who has run it has approved it")
	}
	if diff := cmp.Diff(before, rowsOf(t, mem)); diff != "" {
		t.Error(diff)
	}
	again, err := r.client.RunPolicy(t.Context(), "expired", false)
	if err != nil || again.Sweeps[0].State != jobs.SweepRefused || again.Sweeps[0].Reason != jobs.RefusedOverlap {
		t.Errorf("while one waits: %+v, %v", again, err)
	}
	_, err = r.client.RunPolicy(t.Context(), "exired", false)
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != 404 {
		t.Errorf("no such policy: %v", err)
	}
}

// eventually waits for what takes a second or two.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
