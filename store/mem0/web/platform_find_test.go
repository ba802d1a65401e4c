package web_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
)

// find returns what is found, in order, and fails the test otherwise.
func find(t *testing.T, p *web.Platform, sel store.Selector) []string {
	t.Helper()
	all := []string{}
	for id, err := range p.Find(t.Context(), sel) {
		if err != nil {
			t.Fatalf("find: %v", err)
		}
		all = append(all, id.String())
	}
	return all
}

// places are the IDs of memories and entities, sorted, as find returns them.
func places(memories []string, entities ...string) []string {
	all := []string{}
	for _, id := range memories {
		all = append(all, "memories/"+id)
	}
	slices.Sort(all)
	for _, e := range entities {
		all = append(all, "entities/"+e)
	}
	return all
}

// same compares what was found, memories in any order and entities last.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	entity := slices.IndexFunc(got, func(id string) bool { return strings.HasPrefix(id, "entities/") })
	if entity < 0 {
		entity = len(got)
	}
	slices.Sort(got[:entity])
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s: (-want +got)\n%s", what, diff)
	}
}

// count returns a census and fails the test otherwise.
func count(t *testing.T, p *web.Platform, sel store.Selector) store.Census {
	t.Helper()
	c, err := p.Count(t.Context(), sel.Only())
	if err != nil {
		t.Fatalf("count: %v", err)
	}
	return c
}

func TestHiddenRowsAreFound(t *testing.T) {
	for _, flags := range []string{"query", "body"} {
		p, world := platform(t, func(w *webtest.Platform) { w.Scoping, w.Flags = flags == "query", flags })
		var ids []string
		for range 150 { // more than a search shows
			ids = append(ids, world.Add(webtest.Memory{UserID: "alice", Merged: true}, webtest.Memory{UserID: "alice", Expired: true})...)
		}
		some := world.Add(
			webtest.Memory{UserID: "alice"},
			webtest.Memory{UserID: "alice", Expired: true},
			webtest.Memory{UserID: "alice", Merged: true},
			webtest.Memory{UserID: "alice", Expired: true, Merged: true, AgentID: "bot"},
			webtest.Memory{UserID: "alice", AgentID: "bot", RunID: "r1", AppID: "app"},
			webtest.Memory{UserID: "alice", Unlisted: true},
			webtest.Memory{UserID: "alice", RunID: "r2", ReplacedBy: "x"},
		)
		ids = append(ids, some...)
		world.Add(webtest.Memory{UserID: "bob", Unlisted: true}, webtest.Memory{AgentID: "bot"}, webtest.Memory{UserID: "Alice"})
		same(t, "a user", places(ids, "user/alice"), find(t, p, store.Selector{UserID: "alice"}))
		same(t, "a user with an agent", places(some[3:5]), find(t, p, store.Selector{UserID: "alice", AgentID: "bot"}))
		same(t, "IDs", places(ids), find(t, p, store.Selector{IDs: ids}))
		if c := count(t, p, store.Selector{UserID: "alice"}); c.Places[0].Found != len(ids) {
			t.Errorf("counted %d, want %d", c.Places[0].Found, len(ids))
		}
	}
}

func TestWhatOnlySearchStillShowsIsFoundUntilSearchForgetsIt(t *testing.T) {
	p, world := platform(t)
	world.Add(webtest.Memory{UserID: "bob"})
	const gone = "6d1f2a34-0000-4000-8000-000000000001"
	world.Haunt(webtest.Memory{ID: gone, UserID: "alice"}, webtest.Memory{ID: "6d1f2a34-0000-4000-8000-000000000002", UserID: "bob"})
	same(t, "haunted", places([]string{gone}), find(t, p, store.Selector{UserID: "alice"}))
	r, err := p.Erase(t.Context(), []store.ID{{Place: "memories", Key: gone}})
	if err != nil || r[0] != store.Absent {
		t.Errorf("receipt %s, error %v; want absent", r, err)
	}
	world.Haunt()
	same(t, "forgotten", places(nil), find(t, p, store.Selector{UserID: "alice"}))
}

func TestMetadataIsComparedHereToo(t *testing.T) {
	p, world := platform(t)
	add := func(metadata string) string {
		return world.Add(webtest.Memory{UserID: "alice", Metadata: json.RawMessage(metadata)})[0]
	}
	text, number, _, truth, dotted := add(`{"k":"1"}`), add(`{"k":1.0}`), add(`{"k":["1"]}`), add(`{"k":true}`), add(`{"a.b":"1"}`)
	add(`{"k":"true"}`)
	add(`{"K":"1"}`)
	one, _ := store.NumberValue("1")
	for name, c := range map[string]struct {
		sel  store.Selector
		want string
	}{
		"text":       {store.Selector{Metadata: map[string]store.Value{"k": store.StringValue("1")}}, text},
		"number":     {store.Selector{Metadata: map[string]store.Value{"k": one}}, number},
		"truth":      {store.Selector{UserID: "alice", Metadata: map[string]store.Value{"k": store.BoolValue(true)}}, truth},
		"not a path": {store.Selector{Metadata: map[string]store.Value{"a.b": store.StringValue("1")}}, dotted},
	} {
		same(t, name, places([]string{c.want}), find(t, p, c.sel))
	}
}

func TestRelatedFactsComeOnlyWhenAskedForAndNeverThoseOfOthers(t *testing.T) {
	for _, scoping := range []bool{false, true} {
		p, world := platform(t, func(w *webtest.Platform) { w.Scoping = scoping })
		own := world.Add(
			webtest.Memory{UserID: "alice", AgentID: "bot", RunID: "alone"},
			webtest.Memory{UserID: "alice", AgentID: "bot", RunID: "together"},
			webtest.Memory{UserID: "alice", AppID: "app"},
		)
		about := world.Add(
			webtest.Memory{AgentID: "bot", RunID: "alone"},
			webtest.Memory{AgentID: "other-bot", RunID: "alone", Expired: true},
		)
		world.Add(
			webtest.Memory{UserID: "bob", RunID: "together"},
			webtest.Memory{AgentID: "bot", RunID: "together"}, // about alice or bob: nobody can tell
			webtest.Memory{AgentID: "bot", RunID: "another"},
			webtest.Memory{AgentID: "bot"},
			webtest.Memory{AppID: "app"}, // an app is everybody's
			webtest.Memory{RunID: "alone", AppID: "app"},
		)
		sel := store.Selector{UserID: "alice"}
		same(t, "not asked for", places(own, "user/alice"), find(t, p, sel))
		if c := count(t, p, sel); c.Places[0].Found != 3 || c.Related != 2 || c.Unattributable != 1 {
			t.Errorf("not asked for: found %d, related %d, unattributable %d; want 3, 2, 1", c.Places[0].Found, c.Related, c.Unattributable)
		}
		sel.Related = true
		same(t, "asked for", places(append(slices.Clone(own), about...), "user/alice"), find(t, p, sel))
		if c := count(t, p, sel); c.Places[0].Found != 5 || c.Related != 2 {
			t.Errorf("asked for: found %d, related %d; want 5, 2", c.Places[0].Found, c.Related)
		}
		sel.AgentID = "bot"
		same(t, "of one agent", places([]string{own[0], own[1], about[0]}), find(t, p, sel))
		same(t, "an agent's", places(nil), find(t, p, store.Selector{AgentID: "none", Related: true}))
	}
}

func TestIDsBringWhatTheyReplacedWhenAskedTo(t *testing.T) {
	p, world := platform(t)
	newest := world.Add(webtest.Memory{UserID: "alice", RunID: "r1"})[0]
	middle := world.Add(webtest.Memory{UserID: "alice", ReplacedBy: newest, Merged: true})[0]
	oldest := world.Add(webtest.Memory{UserID: "alice", ReplacedBy: middle, RunID: "r2"})[0]
	world.Add(
		webtest.Memory{UserID: "bob", ReplacedBy: newest}, // a lie: of somebody else
		webtest.Memory{UserID: "alice"},
		webtest.Memory{UserID: "alice", ReplacedBy: "6d1f2a34-0000-4000-8000-000000000001"},
	)
	sel := store.Selector{IDs: []string{newest}}
	same(t, "not asked to", places([]string{newest}), find(t, p, sel))
	if c := count(t, p, sel); c.Related != 2 || c.Places[0].Found != 1 {
		t.Errorf("related %d, found %d; want 2, 1", c.Related, c.Places[0].Found)
	}
	sel.Related = true
	same(t, "asked to", places([]string{newest, middle, oldest}), find(t, p, sel))
	sel.IDs = []string{middle}
	same(t, "from the middle", places([]string{middle, oldest}), find(t, p, sel))

	fact := world.Add(webtest.Memory{AgentID: "bot", RunID: "r3"})[0]
	older := world.Add(webtest.Memory{AgentID: "bot", RunID: "r3", ReplacedBy: fact})[0]
	world.Add(webtest.Memory{UserID: "bob", AgentID: "bot", RunID: "r3", ReplacedBy: fact}, webtest.Memory{AgentID: "other", RunID: "r3", ReplacedBy: fact})
	sel.IDs = []string{fact}
	same(t, "of no user", places([]string{fact, older}), find(t, p, sel))
}

func TestARowThatIsNoneIsAnError(t *testing.T) {
	const good = `"user_id":"alice","agent_id":null,"app_id":null,"session_id":null,"metadata":null`
	for name, row := range map[string]string{
		"no UUID":         `{"id":"SECRET",` + good + `}`,
		"no id":           `{` + good + `}`,
		"an upper-case":   `{"id":"6D1F2A34-0000-4000-8000-000000000001",` + good + `}`,
		"no user":         `{"id":"6d1f2a34-0000-4000-8000-000000000001","agent_id":null,"app_id":null,"session_id":null}`,
		"no run":          `{"id":"6d1f2a34-0000-4000-8000-000000000001","user_id":"alice","agent_id":null,"app_id":null}`,
		"a user's number": `{"id":"6d1f2a34-0000-4000-8000-000000000001","user_id":7,"agent_id":null,"app_id":null,"session_id":null}`,
		"odd metadata":    `{"id":"6d1f2a34-0000-4000-8000-000000000001","user_id":"alice","agent_id":null,"app_id":null,"session_id":null,"metadata":["SECRET"]}`,
	} {
		p, _ := platform(t, func(w *webtest.Platform) {
			w.Trouble = func(c webtest.Call) webtest.Fault {
				if c.Route == "POST /v3/memories/" {
					return webtest.Fault{Body: `{"count":1,"next":null,"results":[` + row + `]}`}
				}
				return webtest.Fault{}
			}
		})
		for _, err := range p.Find(t.Context(), store.Selector{UserID: "alice"}) {
			if !errors.Is(err, store.ErrSchema) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("%s: error %v, want ErrSchema", name, err)
			}
		}
	}
}

func TestAnotherMemoryThanTheOneAskedForIsAnError(t *testing.T) {
	p, _ := platform(t, func(w *webtest.Platform) {
		w.Trouble = func(c webtest.Call) webtest.Fault {
			if c.Route == "GET /v1/memories/{id}/" {
				return webtest.Fault{Body: `{"id":"6d1f2a34-0000-4000-8000-000000000002","user_id":"bob","agent_id":null,"app_id":null,"run_id":null}`}
			}
			return webtest.Fault{}
		}
	})
	if _, err := p.Remaining(t.Context(), memoryIDs(nobodys)); !errors.Is(err, store.ErrSchema) {
		t.Errorf("error %v, want ErrSchema", err)
	}
}

func TestRowsThatMoveBetweenPagesAreFound(t *testing.T) {
	var world *webtest.Platform
	var moving []string
	moves := 0
	p, world := platform(t, func(w *webtest.Platform) {
		w.Trouble = func(c webtest.Call) webtest.Fault {
			if c.Route == "POST /v3/memories/" && c.Page == "2" && moves < 3 {
				moves++ // the newest go while the list is read, and the others move up
				world.Remove(moving[len(moving)-50*moves:][:50]...)
			}
			return webtest.Fault{}
		}
	})
	var all []webtest.Memory
	for range 700 {
		all = append(all, webtest.Memory{UserID: "alice"})
	}
	ids := world.Add(all...)
	moving = ids
	found := find(t, p, store.Selector{UserID: "alice"})
	for _, id := range ids[:550] {
		if !slices.Contains(found, "memories/"+id) {
			t.Fatalf("a row that moved is missing; %d found", len(found))
		}
	}
	if moves != 3 {
		t.Errorf("rows moved %d times, want 3", moves)
	}
}

func TestAListThatNeverHoldsStillIsAnError(t *testing.T) {
	var world *webtest.Platform
	p, world := platform(t, func(w *webtest.Platform) {
		w.Trouble = func(c webtest.Call) webtest.Fault {
			if c.Page == "2" {
				world.Add(webtest.Memory{UserID: "alice"})
			}
			return webtest.Fault{}
		}
	})
	for range 300 {
		world.Add(webtest.Memory{UserID: "alice"})
	}
	for _, err := range p.Find(t.Context(), store.Selector{UserID: "alice"}) {
		if err == nil || !strings.Contains(err.Error(), "changes while it is read") {
			t.Errorf("error %v", err)
		}
		break
	}
}

func TestOthersAreNotYieldedWhateverTheListSays(t *testing.T) {
	wide := `{"count":1,"next":null,"results":[{"id":"6d1f2a34-0000-4000-8000-000000000001","user_id":"bob","agent_id":null,"app_id":null,"session_id":null,"metadata":null}]}`
	p, world := platform(t, func(w *webtest.Platform) {
		w.Trouble = func(c webtest.Call) webtest.Fault {
			if c.Route == "POST /v3/memories/" {
				return webtest.Fault{Body: wide}
			}
			return webtest.Fault{}
		}
	})
	world.Add(webtest.Memory{ID: "6d1f2a34-0000-4000-8000-000000000001", UserID: "bob"})
	same(t, "a filter that is not kept", places(nil), find(t, p, store.Selector{UserID: "alice"}))
	same(t, "IDs that were not asked for", places(nil), find(t, p, store.Selector{IDs: []string{"6d1f2a34-0000-4000-8000-000000000002"}}))
}
