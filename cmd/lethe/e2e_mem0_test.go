package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/api"
	door "lethe/jobs/api/mem0"
	"lethe/store"
	"lethe/store/mem0"
)

// A mem0Client calls as Mem0's clients do.
type mem0Client struct {
	*running
	token string
}

// told is what a call was answered with.
type told struct {
	Status  int
	Message string
	Error   string
	Detail  string
	EventID string `json:"event_id"`
	Reason  string
}

func (c mem0Client) call(method, path, body string, answer any) int {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL()+"/mem0"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Token "+c.token)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Mem0-User-ID", "lethe")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err == nil {
		err = json.Unmarshal(text, answer)
	}
	if err != nil {
		c.t.Fatalf("%s: %v: %s", method, err, text)
	}
	return got.StatusCode
}

func (c mem0Client) event(id string) (e door.Event) {
	c.t.Helper()
	if got := c.call(http.MethodGet, "/v1/event/"+id+"/", "", &e); got != http.StatusOK {
		c.t.Fatalf("event: %d", got)
	}
	return e
}

// wants deletes, and wants to be told so. It returns the event.
func (c mem0Client) wants(status int, message, path, body string) string {
	c.t.Helper()
	var a told
	if got := c.call(http.MethodDelete, path, body, &a); got != status || !strings.Contains(a.Message+a.Error+a.Detail, message) {
		c.t.Errorf("DELETE %.60s: %d %+v, want %d %s", path, got, a, status, message)
	}
	return a.EventID
}

// succeeded polls an event until it ends well, as a client does.
func (c mem0Client) succeeded(id string) door.Event {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < patience; time.Sleep(10 * time.Millisecond) {
		switch e := c.event(id); e.Status {
		case "SUCCEEDED":
			return e
		case "FAILED":
			c.t.Fatalf("the event failed: %v", *e.Error)
		}
	}
	c.t.Fatal("the event never ends")
	return door.Event{}
}

// unnamed returns the rows that name none of the words.
func unnamed(rows map[string]string, words ...string) map[string]string {
	left := maps.Clone(rows)
	maps.DeleteFunc(left, func(_, row string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(row, w) })
	})
	return left
}

// What a client of Mem0 deletes is gone from all places when it is told so, with a
// certificate; nothing else is touched; and nothing of what it sent stands in the
// logs, the metrics or the ledger.
func TestMem0ClientsDeleteThroughLethe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	id := func(n int) string { return uuid.NewSHA1(uuid.Nil, fmt.Append(nil, n)).String() }
	var all []mem0.Memory
	add := func(user string, n int, change func(*mem0.Memory)) (ids []string) {
		for range n {
			m := mem0.Memory{ID: id(len(all)), UserID: user, Text: "fact of " + user, Entities: []string{"Thing of " + user}, Message: true}
			if change != nil {
				change(&m)
			}
			ids, all = append(ids, m.ID), append(all, m)
		}
		return ids
	}
	single := add("kanari-single", 2, func(m *mem0.Memory) {
		m.Metadata, m.Message, m.Entities = map[string]any{"immutable": true}, false, nil
	})
	many := add("kanari-batch", 1000, func(m *mem0.Memory) { m.Entities, m.Message = nil, false })
	add("kanari-meta", 3, func(m *mem0.Memory) {
		m.Metadata, m.Message = map[string]any{"kanari-tier": 3, "kanari-is": "gold"}, false
	})
	add("kanari-user", 3, nil)
	add("kanari-server", 3, nil)
	add("kanari/agent", 3, func(m *mem0.Memory) { m.UserID, m.AgentID = "", m.UserID })
	add("stays", 5, func(m *mem0.Memory) { m.Metadata = map[string]any{"kanari-tier": "3"} })
	mem := newMem0(t, filepath.Join(dir, "m"), all...)
	before := rowsOf(t, mem)

	data := filepath.Join(dir, "data")
	_, token := newToken(t, data, jobs.RoleSubmitter)
	conf := configFor(data, queueEmbedded, configured("memories", mem))
	conf.LogOrigin = "" // the first token has made the log's key
	logs := &kept{}
	r := startLogging(t, conf, nil, slog.New(slog.NewJSONHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	r.client = r.asks(token)
	c := mem0Client{r, token}
	var events []string
	expect := func(words ...string) {
		t.Helper()
		before = unnamed(before, words...)
		if diff := cmp.Diff(slices.Sorted(maps.Keys(before)), slices.Sorted(maps.Keys(rowsOf(t, mem)))); diff != "" {
			t.Errorf("rows (-want +got)\n%.600s", diff)
		}
	}
	erased := func(status int, message, path, body string, words ...string) {
		t.Helper()
		event := c.wants(status, message, path, body)
		if strings.Contains(message, "in progress") {
			c.succeeded(event)
		}
		events = append(events, event)
		expect(words...)
	}
	batch := func(ids ...string) string {
		b := door.Batch{}
		for _, id := range ids {
			b.Memories = append(b.Memories, door.BatchMemory{MemoryID: id})
		}
		text, _ := json.Marshal(b)
		return string(text)
	}

	var pong door.Ping
	if got := c.call(http.MethodGet, "/v1/ping/", "", &pong); got != http.StatusOK || pong.Status != "ok" {
		t.Errorf("ping: %d %+v", got, pong)
	}
	c.wants(http.StatusBadRequest, "At least one filter", "/v1/memories/", "")
	c.wants(http.StatusBadRequest, "wildcard", "/v1/memories/?user_id=*&agent_id=*&app_id=*&run_id=*", "")
	c.wants(http.StatusBadRequest, "JSON.stringify", "/v1/memories/?metadata=%5Bobject+Object%5D", "")
	c.wants(http.StatusBadRequest, "Maximum of 1000", "/v1/batch/", batch(append(slices.Clone(many), single[0])...))
	c.wants(http.StatusNotFound, "Memory not found!", "/v1/memories/"+id(-1)+"/", "")
	expect() // nothing was touched so far

	erased(http.StatusOK, "Memory deleted successfully!", "/v1/memories/"+single[0]+"/", "", single[0])
	c.wants(http.StatusNotFound, "Memory not found!", "/v1/memories/"+single[0]+"/", "")
	erased(http.StatusOK, "Memory deleted successfully", "/memories/"+single[1], "", single[1])
	c.wants(http.StatusNotFound, "not found", "/memories/"+single[1], "")
	erased(http.StatusOK, "Successfully deleted 1000 memories", "/v1/batch/", batch(many...), many...)
	erased(http.StatusOK, "Delete in progress", "/v1/memories/?"+url.Values{"metadata": {`{"kanari-tier":3,"kanari-is":"gold"}`}}.Encode(), "", "fact of kanari-meta", "Thing of kanari-meta")
	erased(http.StatusOK, "Delete in progress", "/v1/memories/?user_id=kanari-user&org_id=lethe&project_id=lethe", "", "kanari-user")
	erased(http.StatusOK, "All relevant memories deleted", "/memories?user_id=kanari-server", "", "kanari-server")
	erased(http.StatusOK, "Delete in progress", "/v2/entities/agent/"+url.PathEscape("kanari/agent")+"/", "", "kanari/agent")

	for _, event := range events {
		said := r.completed(event)
		if got := r.s.request(t, event); got.Origin != jobs.OriginMem0 || said.Stores[0].Remaining != 0 || said.Stores[0].Erased == 0 {
			t.Errorf("origin %s, certificate %+v", got.Origin, said.Stores[0])
		}
	}
	var list door.Events
	if got := c.call(http.MethodGet, "/v1/events/", "", &list); got != http.StatusOK || list.Count != len(events) {
		t.Errorf("events: %d, %d of %d", got, list.Count, len(events))
	}
	metrics := r.get("/metrics", http.StatusOK)
	r.stop()
	wantNoWord(t, "a log", logs.take(), "kanari", single[0], many[0])
	wantNoWord(t, "the metrics", metrics, "kanari", single[0])
	if !strings.Contains(metrics, `lethe_requests_total{origin="mem0-api",outcome="completed"} 7`) {
		t.Error("the metrics do not count this door's requests")
	}
	for path, text := range bytesUnder(t, data) {
		wantNoWord(t, path, string(text), "kanari", single[0], many[0])
	}
}

func (s *service) request(t testing.TB, id string) jobs.Request {
	t.Helper()
	r, err := s.intake.Request(t.Context(), jobs.ActorLocal, id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantNoWord(t testing.TB, where, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if at := strings.Index(text, w); at >= 0 {
			t.Errorf("%s has %q: %.200s", filepath.Base(where), w, text[max(0, at-80):])
		}
	}
}

// A memory that Mem0 itself has deleted is one that there is: its history is there,
// with its text. It is erased once, and unknown from then on.
func TestMem0ClientsEraseWhatMem0HasLeft(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	left := worldOf(t, mem).orphan
	if len(left) == 0 {
		t.Fatal("the fixture has no history of what is gone")
	}
	id := uuids.FindString(left[0])
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("memories", mem)), nil)
	c := mem0Client{r, ""}
	before := rowsOf(t, mem)
	event := c.wants(http.StatusOK, "Memory deleted successfully!", "/v1/memories/"+id+"/", "")
	want := unnamed(before, id)
	if len(want) == len(before) {
		t.Fatal("there was nothing of it")
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(rowsOf(t, mem)))); diff != "" {
		t.Errorf("rows (-want +got)\n%.600s", diff)
	}
	_ = r.completed(event)
	c.wants(http.StatusNotFound, "Memory not found!", "/v1/memories/"+id+"/", "")
}

// What waits for somebody is not said to be deleted: a hold, an approval, a store
// that is down. The event tells why, and goes on when it may.
func TestMem0ClientsAreToldWhatWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	held, gone := uuid.NewString(), uuid.NewString()
	var large []mem0.Memory
	for range 8 {
		large = append(large, mem0.Memory{UserID: "large"})
	}
	mem := newMem0(t, filepath.Join(dir, "m"), append(large, mem0.Memory{ID: held, UserID: "held"})...)
	away := newMem0(t, filepath.Join(dir, "away"), mem0.Memory{ID: gone, UserID: "gone"})
	conf := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("memories", mem), configured("away", away))
	conf.Limits = &LimitsConfig{MaxRows: new(Count(5)), MaxFraction: new(1.0)}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	move("away", "hidden")
	r := startWith(t, conf, slog.New(slog.DiscardHandler), quick)
	r.down("away", "")
	c := mem0Client{r, ""}
	ask := func(status int, reason, path string) string {
		t.Helper()
		var a told
		if got := c.call(http.MethodDelete, path, "", &a); got != status || a.Reason != reason || !strings.Contains(a.Message, "in progress") {
			t.Errorf("%d %+v, want %d %s", got, a, status, reason)
		}
		return a.EventID
	}
	wants := func(id, status, reason string) {
		t.Helper()
		if e := c.event(id); e.Status != status || e.Metadata.Reason != reason || (e.Error != nil) != (status == "FAILED") || e.Metadata.Certificate != nil != e.Metadata.Status.Ended() {
			t.Errorf("%+v, want %s, %s", e, status, reason)
		}
	}

	id := ask(http.StatusAccepted, jobs.NoteStoreDown, "/v1/memories/"+gone+"/")
	wants(id, "PENDING", jobs.NoteStoreDown)
	move("hidden", "away")
	_ = r.completed(id)
	wants(id, "SUCCEEDED", "completed")
	if left := rowsOf(t, away); len(unnamed(left, gone)) != len(left) {
		t.Error("the memory is still there")
	}

	hold, err := r.client.PlaceHold(t.Context(), api.Submission{Selector: store.Selector{UserID: "held"}}, "litigation-1", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	id = ask(http.StatusAccepted, "held", "/v1/memories/"+held+"/")
	wants(id, "RUNNING", "held")
	if _, err := r.client.ReleaseHold(t.Context(), hold.ID, "released"); err != nil {
		t.Fatal(err)
	}
	_ = r.completed(id)
	wants(id, "SUCCEEDED", "completed")

	id = ask(http.StatusAccepted, "awaiting_approval", "/memories?user_id=large")
	wants(id, "PENDING", "awaiting_approval")
	if _, err := r.client.Reject(t.Context(), id, "not-identified"); err != nil {
		t.Fatal(err)
	}
	wants(id, "FAILED", "rejected")
}
