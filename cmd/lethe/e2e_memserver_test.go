package main

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/store/mem0/webtest"
)

// memServer puts a stand-in for Mem0's server on a port, and returns the
// configuration of a store that reaches it.
func memServer(t testing.TB, stand *webtest.Server, key string) StoreConfig {
	t.Helper()
	h := httptest.NewServer(stand)
	t.Cleanup(h.Close)
	c := StoreConfig{Name: "server", Kind: KindMem0Server, URL: h.URL, TokenFile: filepath.Join(t.TempDir(), "key"), CallRate: 10_000, Burst: 10_000}
	giveKey(t, c, key)
	return c
}

func giveKey(t testing.TB, c StoreConfig, key string) {
	t.Helper()
	if err := os.WriteFile(c.TokenFile, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func standInMemories(user string, n int) []webtest.ServerMemory {
	all := make([]webtest.ServerMemory, n)
	for i := range all {
		all[i] = webtest.ServerMemory{ID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(user+strconv.Itoa(i))).String(), UserID: user, Text: user + " likes tea " + strconv.Itoa(i)}
	}
	return all
}

// TestAliceIsErasedFromMem0sServer, who has more memories than a list shows, and
// hidden ones. Nobody is told that it was verified.
func TestAliceIsErasedFromMem0sServer(t *testing.T) {
	t.Parallel()
	const alices = 1030
	all := standInMemories("alice", alices)
	for i := range 10 {
		all[i*100].ExpirationDate = "2020-01-01"
	}
	stand := webtest.NewServer(all...)
	stand.Add(standInMemories("bob", 20)...)
	c := memServer(t, stand, webtest.ServerUserKey)
	dir := t.TempDir()
	r := logged(t, configFor(filepath.Join(dir, "data"), queueEmbedded, c))

	plan, err := r.client.Plan(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
	if err != nil {
		t.Fatal(err)
	}
	if p := plan.Stores[0].Places[0]; p.Found != alices || p.Total != alices+20 {
		t.Errorf("the plan says %d of %d memories", p.Found, p.Total)
	}
	id := r.forget("alice")
	result := r.statement(id)
	e := result.Entry.(*proof.Completed)
	if got, want := said(e.Stores[0])+" "+e.Stores[0].Method, "requested 1030 found 1030 erased 1030 absent 0 unattributable 0 rounds 2 erased remaining+find"; got != want {
		t.Errorf("certificate: %s\nwant %s", got, want)
	}
	want := proof.Exclusions{{Code: "residue-entities"}, {Code: "residue-history"}, {Code: "residue-messages"}, {Code: "residue-request-log"}, {Code: proof.ExcludesWAL}}
	for i := range want {
		want[i].Store = "server"
	}
	if diff := cmp.Diff(want, e.Exclusions); diff != "" {
		t.Errorf("exclusions (-want +got)\n%s", diff)
	}
	if left := stand.Memories(); len(left) != 20 || slices.ContainsFunc(left, func(m webtest.ServerMemory) bool { return m.UserID == "alice" }) {
		t.Errorf("%d memories are left", len(left))
	}
	for _, call := range stand.Calls() {
		if call.Method != http.MethodGet && call.Route != "/memories/{memory_id}" {
			t.Errorf("%s %s: what destroys goes by ID alone", call.Method, call.Route)
		}
	}

	_, page := r.visitor(t).see("GET", "/console/requests/"+id, nil)
	metrics := r.get("/metrics", http.StatusOK)
	var table bytes.Buffer
	answer, err := r.client.Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := (&console{stdout: &table, stderr: io.Discard}).showRequest(answer, false); err != nil {
		t.Fatal(err)
	}
	claim := regexp.MustCompile(`(?i)"verified"|(\bis|\bwas|[^T]) verified\b|read again, nothing left`)
	for name, text := range map[string]string{
		"status": r.get("/v1/requests/"+id, http.StatusOK), "table": table.String(), "page": page, "metrics": metrics, "certificate": result.String(),
	} {
		if said := claim.FindString(text); said != "" {
			t.Errorf("the %s says %q", name, said)
		}
		if name != "metrics" && !strings.Contains(text, "erased") {
			t.Errorf("the %s does not say erased:\n%s", name, text)
		}
	}
	if !strings.Contains(page, "keeps what it does not show") {
		t.Errorf("the page does not say what erased means:\n%s", page)
	}
	r.stop()
	log := bytesUnder(t, filepath.Join(dir, "data", "lethe.log"))
	for _, text := range log {
		if bytes.Contains(text, []byte(all[0].ID)) || bytes.Contains(text, []byte("alice")) || bytes.Contains(text, []byte(webtest.ServerUserKey)) {
			t.Error("the log names someone, or the key")
		}
	}
}

// TestAServerThatFailsMidwayIsErasedInTheEnd: connections end before and after
// what they were for, the server is without its database, somebody adds, and the
// key is changed. The counts are right.
func TestAServerThatFailsMidwayIsErasedInTheEnd(t *testing.T) {
	t.Parallel()
	const each = 40
	stand := webtest.NewServer()
	r := startWith(t, configFor(t.TempDir(), queueEmbedded, memServer(t, stand, webtest.ServerUserKey)), slog.New(slog.DiscardHandler), quick)
	for name, fault := range map[string]webtest.ServerFaults{
		"cut before":  {Only: http.MethodDelete, Skip: 11, CutBefore: 1},
		"cut after":   {Only: http.MethodDelete, Skip: 11, CutAfter: 2},
		"no database": {Only: http.MethodDelete, Skip: 5, Fail: 3},
		"a page":      {Skip: 50, Page: 3},
		"half":        {Skip: 30, Malformed: 2},
		"a lie":       {Lie: 1},
		"an arrival":  {Arrive: standInMemories("an-arrival", each+1)[each:]},
	} {
		t.Run(name, func(t *testing.T) {
			n, user := each+len(fault.Arrive), strings.ReplaceAll(name, " ", "-")
			stand.Add(standInMemories(user, each)...)
			stand.Set(func(f *webtest.ServerFaults) { *f = fault })
			s := r.completed(r.submit(api.Submission{Selector: store.Selector{UserID: user}})).Stores[0]
			if s.Erased != n || s.Absent != 0 || s.Evidence != proof.EvidenceErased || len(stand.Memories()) != 0 {
				t.Errorf("certificate: %s, want %d erased; %d memories are left", said(s), n, len(stand.Memories()))
			}
		})
	}
}

// TestAServerWithAWrongKeyWaitsForTheRightOne, and loses nothing.
func TestAServerWithAWrongKeyWaitsForTheRightOne(t *testing.T) {
	t.Parallel()
	stand := webtest.NewServer(standInMemories("alice", 3)...)
	c := memServer(t, stand, "m0sk_wrong")
	r := startWith(t, configFor(t.TempDir(), queueEmbedded, c), slog.New(slog.DiscardHandler), quick)
	id := r.forget("alice")
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		answer, err := r.client.Request(t.Context(), id)
		if err != nil || time.Now().After(end) {
			t.Fatalf("error %v, request %+v", err, answer)
		}
		if answer.Stores[0].Note == jobs.NoteStoreDown {
			break
		}
	}
	if ready := r.get("/readyz", http.StatusOK); !strings.Contains(ready, "token_file") || strings.Contains(ready, "m0sk") {
		t.Errorf("/readyz says %s", ready)
	}
	giveKey(t, c, webtest.ServerUserKey)
	if s := r.completed(id).Stores[0]; s.Erased != 3 || len(stand.Memories()) != 0 {
		t.Errorf("certificate: %s", said(s))
	}
}

// TestAHoldIsKeptOnMem0sServer: what it protects stays, and is said to.
func TestAHoldIsKeptOnMem0sServer(t *testing.T) {
	t.Parallel()
	all := standInMemories("alice", 12)
	for i := range 5 {
		all[i].RunID = "case-7"
	}
	stand := webtest.NewServer(all...)
	r := start(t, configFor(t.TempDir(), queueEmbedded, memServer(t, stand, webtest.ServerUserKey)), nil)
	if _, err := r.client.PlaceHold(t.Context(), api.Submission{Selector: store.Selector{RunID: "case-7"}}, "litigation", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	id := r.forget("alice")
	for end := time.Now().Add(patience); len(stand.Memories()) > 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing is erased")
		}
	}
	hold, err := r.client.Holds(t.Context())
	if err != nil || len(hold) != 1 || len(stand.Memories()) != 5 {
		t.Fatalf("%d memories are left, %d holds, error %v", len(stand.Memories()), len(hold), err)
	}
	if _, err := r.client.ReleaseHold(t.Context(), hold[0].ID, "ended"); err != nil {
		t.Fatal(err)
	}
	if s := r.completed(id).Stores[0]; s.Erased != 12 || s.Held != 0 || len(stand.Memories()) != 0 {
		t.Errorf("certificate: %s", said(s))
	}
}

func TestStoresCheckSaysWhatMem0sServerHides(t *testing.T) {
	stand := webtest.NewServer()
	for _, c := range []struct {
		key    string
		want   []string
		status int
	}{
		{webtest.ServerUserKey, []string{"evidence erased, and no more", "the key is no admin's", "residue-history", "residue-request-log"}, exitDone},
		{webtest.ServerAdminKey, []string{"residue-messages", "residue-entities"}, exitDone},
		{"m0sk_wrong", []string{"PROBLEM", "token_file"}, exitError},
	} {
		var out bytes.Buffer
		err := (&console{stdout: &out, stderr: io.Discard}).checkStores(t.Context(), []StoreConfig{memServer(t, stand, c.key)}, checking{strict: true})
		if exitStatus(err) != c.status {
			t.Errorf("%s: error %v\n%s", c.key, err, out.String())
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, out.String())
			}
		}
		if strings.Contains(out.String(), c.key) {
			t.Error("it shows the key")
		}
	}
}
