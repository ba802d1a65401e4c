package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/store/mem0/webtest"
)

// A hosted Platform is one that fails as a script says, and on which the service
// is killed.
type hosted struct {
	*webtest.Platform
	mu   sync.Mutex
	seen map[string]int // calls so far, by route
	kill func()         // once, after the second batch is gone and before that is known
}

// trouble answers a list, a search, a batch and an event with "later", and kills
// the service when it reads what became of its second batch.
func (h *hosted) trouble(c webtest.Call) webtest.Fault {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.seen[c.Route]++
	later := webtest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"1"}}}
	switch n := h.seen[c.Route]; c.Route {
	case "POST /v3/memories/":
		if n == 3 {
			return later
		}
		if h.kill != nil && h.seen["DELETE /v1/batch/"] == 3 { // one of the three was put off
			h.kill()
			h.kill = nil
			return webtest.Fault{Cut: webtest.CutBefore}
		}
	case "POST /v3/memories/search/", "DELETE /v1/batch/", "GET /v1/event/{id}/":
		if n == 1 {
			return later
		}
	}
	return webtest.Fault{}
}

// newHosted has 2,500 memories of SECRET-alice, of every kind that a list hides,
// 300 of others, and facts that an assistant keeps about her, and about her or bob.
func newHosted(t *testing.T) (*hosted, []string) {
	t.Helper()
	h := &hosted{Platform: webtest.NewPlatform(platformKey), seen: map[string]int{}}
	h.Scoping, h.Trouble = true, h.trouble
	var alice, rest []webtest.Memory
	for i := range 2500 {
		m := webtest.Memory{UserID: "SECRET-alice", Text: fmt.Sprintf("SECRET-text %d", i), Expired: i%10 == 3, Merged: i%10 == 6}
		if i%4 == 1 {
			m.AgentID, m.RunID = "bot", fmt.Sprintf("run-%d", i%8)
		}
		alice = append(alice, m)
	}
	for i := range 300 {
		rest = append(rest, webtest.Memory{UserID: "bob", AgentID: "bot", RunID: fmt.Sprintf("run-%d", i%2), Text: "SECRET-text of bob"})
	}
	rest = append(rest, webtest.Memory{AgentID: "bot", RunID: "run-5", Text: "SECRET-text about alice"}, webtest.Memory{AgentID: "bot", RunID: "run-1", Text: "SECRET-text about alice or bob"})
	h.Add(alice...)
	others := h.Add(rest...)
	slices.Sort(others)
	return h, others
}

const platformKey = "m0-SECRET-key"

func platformCluster(t *testing.T, h http.Handler) *cluster {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c := &cluster{t: t, config: writeConfig(t, "listen: 127.0.0.1:0\ndata: data\nlimits: {max_rows: 10000000, max_fraction: 1}\n"+
		"stores:\n  - {name: platform, kind: mem0-platform, url: \""+server.URL+"\", token_file: key, rate: 5000}\n")}
	if err := os.WriteFile(filepath.Join(filepath.Dir(c.config), "key"), []byte(platformKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestAPlatformErasureSurvivesPausesAndAKill shows, with -v, every call that is
// made to erase 2,500 memories.
func TestAPlatformErasureSurvivesPausesAndAKill(t *testing.T) {
	t.Parallel()
	h, others := newHosted(t)
	c := platformCluster(t, h)
	first := c.join(allRoles)
	killed := make(chan struct{})
	var before int // calls that the first process made
	h.mu.Lock()
	h.kill = func() {
		first.kill()
		before = len(h.Calls())
		close(killed)
	}
	h.mu.Unlock()
	id := first.forget("SECRET-alice")
	select {
	case <-killed:
	case <-time.After(patience):
		t.Fatalf("it never came to its second batch:\n%s", first.said())
	}
	second := c.join(allRoles)
	done := second.completed(id)
	calls := h.Calls()
	for _, line := range callByCall(calls, before) {
		t.Log(line)
	}

	if s := done.Stores[0]; s.Found != 2501 || s.Erased != 2501 || s.Absent != 0 || s.Evidence != proof.EvidenceVerified || len(done.Stores) != 1 {
		t.Errorf("the certificate says %s", said(s))
	}
	var codes []string
	for _, x := range done.Exclusions {
		codes = append(codes, x.Code)
	}
	if diff := cmp.Diff([]string{
		"platform-derived", "platform-events", "platform-exports", "platform-history", "platform-queued-writes", "platform-webhooks", "related-rows", "wal",
	}, codes); diff != "" {
		t.Errorf("exclusions (-want +got)\n%s", diff)
	}
	var left []string
	for id := range h.Memories() {
		left = append(left, id)
	}
	slices.Sort(left)
	if !slices.Equal(left, others) {
		t.Errorf("%d memories are left, want the %d that are not alice's", len(left), len(others))
	}
	if e := h.Entities(); slices.Contains(e, "user/SECRET-alice") || !slices.Contains(e, "user/bob") || len(e) < 5 {
		t.Errorf("entities left: %v", e)
	}
	keepsTheRules(t, calls, before)
	if text := c.checked(); !strings.Contains(text, "2 entries") {
		t.Errorf("log check: %s", text)
	}
	for _, m := range []*member{first, second} {
		if strings.Contains(m.said(), "SECRET") {
			t.Errorf("the logs name somebody, or the key:\n%s", m.said())
		}
	}
}

// keepsTheRules looks at every call: no batch is too large, nothing is deleted by
// a filter, hidden rows are always asked for, the entity goes last, and nobody
// asks before the time that a 429 has said.
func keepsTheRules(t *testing.T, calls []webtest.Call, before int) {
	t.Helper()
	entity := slices.IndexFunc(calls, func(c webtest.Call) bool { return c.Route == "DELETE /v2/entities/{type}/{name}/" })
	later := 0
	for i, c := range calls {
		switch {
		case c.IDs > 1000, c.Route == "unknown", c.Route == "DELETE /v1/memories/",
			c.Route == "POST /v3/memories/" && !c.Hidden,
			c.Route == "DELETE /v1/batch/" && i > entity:
			t.Errorf("call %s", c)
		}
		if c.Status != http.StatusTooManyRequests {
			continue
		}
		later++
		if i+1 == len(calls) || i+1 == before {
			continue
		}
		pause := calls[i+1].At.Sub(c.At)
		crossed := calls[i+1].Route == "GET /v1/ping/" && pause < 250*time.Millisecond // was on its way already
		if pause < time.Second && !crossed {
			t.Errorf("asked again after %s: %s", pause, c)
		}
	}
	if later != 4 || entity < 0 {
		t.Errorf("%d calls were put off, want 4; the entity's deletion is call %d", later, entity)
	}
}

// callByCall is the log of the calls, those of one kind in a row on one line.
func callByCall(calls []webtest.Call, before int) (lines []string) {
	plain := func(c webtest.Call) string {
		c.N, c.Page = 0, ""
		return c.String()
	}
	for i := 0; i < len(calls); {
		n := 1
		for i+n < len(calls) && i+n != before && plain(calls[i+n]) == plain(calls[i]) {
			n++
		}
		line := calls[i].String()
		if n > 1 {
			line += fmt.Sprintf("   (and %d more)", n-1)
		}
		lines = append(lines, line)
		if i += n; i == before {
			lines = append(lines, "      -- the service is killed, and started again --")
		}
	}
	return lines
}

// A job whose Platform does not accept the key waits, says why, and goes on once
// the file has the right one.
func TestAPlatformThatDeniesTheKeyIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := webtest.NewPlatform(platformKey)
	h.Add(webtest.Memory{UserID: "SECRET-alice"}, webtest.Memory{UserID: "bob"})
	c := platformCluster(t, h)
	key := filepath.Join(filepath.Dir(c.config), "key")
	write := func(text string) {
		if err := os.WriteFile(key, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("m0-SECRET-of-yesterday\n")
	m := c.join(allRoles)
	id := m.forget("SECRET-alice")
	if text, _ := m.get("/readyz"); !strings.Contains(text, "store denied") || !strings.Contains(text, "token_file") || strings.Contains(text, "SECRET") {
		t.Errorf("readyz says %s", text)
	}
	check := c.command("stores", "check")
	if text, err := check.CombinedOutput(); err == nil || !strings.Contains(string(text), "PROBLEM") || strings.Contains(string(text), "SECRET") {
		t.Errorf("stores check with the wrong key: %v\n%s", err, text)
	}
	write(platformKey + "\n")
	if s := m.completed(id).Stores[0]; s.Erased != 2 || len(h.Memories()) != 1 {
		t.Errorf("the certificate says %s", said(s))
	}
	if text := c.lethe("stores", "check"); !strings.Contains(text, "certificates say platform-history") || strings.Contains(text, "PROBLEM") {
		t.Errorf("stores check:\n%s", text)
	}
	if text := c.lethe("serve", "--check"); strings.Contains(text, "SECRET") {
		t.Errorf("serve --check:\n%s", text)
	}
}
