package web_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
)

// TestWhateverGoesWrongNothingIsSaidThatIsNotSo lets each route of the API fail in
// each way, for as long as it lasts, under every method of the store. What needs
// the route must fail, must name nobody, and goes on when the trouble is over.
func TestWhateverGoesWrongNothingIsSaidThatIsNotSo(t *testing.T) {
	faults := map[string]webtest.Fault{
		"cut before":  {Cut: webtest.CutBefore},
		"cut after":   {Cut: webtest.CutAfter},
		"500":         {Status: 500, Body: `{"error":"SECRET-alice"}`},
		"503":         {Status: 503, Body: `SECRET-alice`},
		"another 404": {Status: 404, Body: `{"detail":"Not found."}`},
		"400":         {Status: 400, Body: `{"error":"SECRET-alice"}`},
		"403":         {Status: 403, Body: `{"error":"SECRET-alice"}`},
		"429":         {Status: 429, Header: http.Header{"Retry-After": {"3600"}}},
		"page":        {Body: "<html>SECRET-alice</html>"},
		"nothing":     {Body: " "},
		"null":        {Body: "null"},
		"object":      {Body: "{}"},
		"half":        {Body: `{"count":7,"next":null,"results":[{"id":"SECRET-alice"}]}`},
		"no end":      {Body: `{"count":7,"next":"SECRET-alice","results":[]}`},
	}
	const (
		ping, list, search, get = "GET /v1/ping/", "POST /v3/memories/", "POST /v3/memories/search/", "GET /v1/memories/{id}/"
		batch, named, entity    = "DELETE /v1/batch/", "GET /v1/entities/", "DELETE /v2/entities/{type}/{name}/"
		event, events           = "GET /v1/event/{id}/", "GET /v1/events/"
	)
	needs := map[string][]string{
		"find": {list, search, named, events}, "find IDs": {list, named}, "count": {list, search, named},
		"erase": {list, search, get, batch, named, entity, event, events}, "remaining": {get, named}, "matching": {list, named},
		"check": {ping, list, named, events},
	}
	// What a destructive call answers is not relied on, reading is. An empty page is
	// a good answer to a search, of writes, and to who asks for the count alone.
	sound := func(method, route, fault string) bool {
		return route == batch && faults[fault].Status == 0 && faults[fault].Cut == 0 || route == entity && fault == "object" ||
			fault == "no end" && (method == "check" || route == search || route == events)
	}
	var (
		mu    sync.Mutex
		at    string
		fault webtest.Fault
	)
	fail := func(route string, f webtest.Fault) {
		mu.Lock()
		defer mu.Unlock()
		at, fault = route, f
	}
	p, world, clock := platformAt(t, func(w *webtest.Platform) {
		w.Trouble = func(c webtest.Call) webtest.Fault {
			mu.Lock()
			defer mu.Unlock()
			if c.Route == at {
				return fault
			}
			return webtest.Fault{}
		}
	})
	alice := []webtest.Memory{{UserID: "SECRET-alice", RunID: "SECRET-run"}, {UserID: "SECRET-alice"}}
	for i, id := range world.Add(alice...) {
		alice[i].ID = id
	}
	all := append(memoryIDs(alice[0].ID, alice[1].ID), user("SECRET-alice")...)
	for name, f := range faults {
		for method, do := range methods(t, p, all) {
			for _, route := range []string{ping, list, search, get, batch, named, entity, event, events} {
				world.Add(alice...)
				fail(route, f)
				err := do()
				fail("", f)
				if err == nil && slices.Contains(needs[method], route) && !sound(method, route, name) {
					t.Errorf("%s, %s at %s: no error", method, name, route)
				}
				if err != nil && strings.Contains(err.Error(), "SECRET") {
					t.Errorf("%s, %s at %s: names somebody: %v", method, name, route, err)
				}
				_ = clock.sleep(t.Context(), 2*time.Hour) // what a 429 asks for is kept
			}
		}
		if r, err := p.Erase(t.Context(), all); err != nil || len(r) != 3 || len(world.Memories())+len(world.Entities()) > 1 {
			t.Fatalf("after %s: error %v, %d and %d left", name, err, len(world.Memories()), len(world.Entities()))
		}
	}
}

// methods are those of a store, each asked about alice.
func methods(t *testing.T, p *web.Platform, ids []store.ID) map[string]func() error {
	ctx := t.Context()
	find := func(sel store.Selector) func() error {
		return func() error {
			for _, err := range p.Find(ctx, sel) {
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	return map[string]func() error{
		"find":      find(store.Selector{UserID: "SECRET-alice", Related: true}),
		"find IDs":  find(store.Selector{IDs: []string{ids[0].Key, ids[1].Key, "user/SECRET-alice"}}),
		"count":     func() error { _, err := p.Count(ctx, store.Selector{UserID: "SECRET-alice"}.Only()); return err },
		"erase":     func() error { _, err := p.Erase(ctx, ids); return err },
		"remaining": func() error { _, err := p.Remaining(ctx, ids); return err },
		"matching":  func() error { _, err := p.Matching(ctx, store.Selector{UserID: "SECRET-alice"}, ids); return err },
		"check":     func() error { _, err := p.Check(ctx); return err },
	}
}
