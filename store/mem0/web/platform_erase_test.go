package web_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
)

func memoryIDs(keys ...string) (ids []store.ID) {
	for _, key := range keys {
		ids = append(ids, store.ID{Place: "memories", Key: key})
	}
	return ids
}

const (
	nobodys = "6d1f2a34-0000-4000-8000-000000000001"
	route   = "DELETE /v1/batch/"
)

// after returns the calls from the first of a route on.
func called(w *webtest.Platform, route string) (n int) {
	for _, c := range w.Calls() {
		if c.Route == route {
			n++
		}
	}
	return n
}

func TestOneSentenceBecomesAnOutcomeForEachID(t *testing.T) {
	p, world := platform(t)
	ids := world.Add(webtest.Memory{UserID: "alice"}, webtest.Memory{UserID: "alice", Merged: true}, webtest.Memory{UserID: "bob"})
	asked := memoryIDs(ids[0], nobodys, "no UUID", ids[1], strings.ToUpper(ids[2]))
	r, err := p.Erase(t.Context(), asked)
	if err != nil || string(outcomes(r)) != "eaaea" {
		t.Errorf("receipt %s, error %v; want eaaea", outcomes(r), err)
	}
	if _, ok := world.Memories()[ids[2]]; !ok || len(world.Memories()) != 1 {
		t.Error("bob's memory is gone by a name that is not its own")
	}
	if left, err := p.Remaining(t.Context(), append(asked, memoryIDs(ids[2])...)); err != nil || len(left) != 1 || left[0].Key != ids[2] {
		t.Errorf("%d remaining, error %v; want bob's", len(left), err)
	}
}

func outcomes(r store.Receipt) (text []byte) {
	for _, o := range r {
		text = append(text, byte(o))
	}
	return text
}

func TestAMemoryThatStaysIsNotSaidToBeErased(t *testing.T) {
	stubborn := ""
	p, world := platform(t, func(w *webtest.Platform) { w.Stays = func(id string) bool { return id == stubborn } })
	ids := world.Add(webtest.Memory{UserID: "alice"}, webtest.Memory{UserID: "alice"})
	stubborn = ids[1]
	if r, err := p.Erase(t.Context(), memoryIDs(ids...)); err == nil || r != nil || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("receipt %s, error %v; want an error that a retry may mend", r, err)
	}
	stubborn = ""
	if r, err := p.Erase(t.Context(), memoryIDs(ids...)); err != nil || string(outcomes(r)) != "ae" {
		t.Errorf("again: receipt %s, error %v", outcomes(r), err)
	}
}

// The worker halves a batch that fails with such an error, until it has the ID.
func TestAPoisonedBatchIsNoOutage(t *testing.T) {
	poison := ""
	p, world := platform(t, func(w *webtest.Platform) { w.Poison = func(id string) bool { return id == poison } })
	ids := world.Add(webtest.Memory{UserID: "alice"}, webtest.Memory{UserID: "alice"})
	poison = ids[1]
	_, err := p.Erase(t.Context(), memoryIDs(ids...))
	if err == nil || errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrBusy) || strings.Contains(err.Error(), poison) {
		t.Errorf("error %v", err)
	}
	if _, err := p.Remaining(t.Context(), memoryIDs(ids[1])); err != nil {
		t.Errorf("it still answers: %v", err)
	}
	if r, err := p.Erase(t.Context(), memoryIDs(ids[0])); err != nil || r[0] != store.Erased {
		t.Errorf("the other: receipt %s, error %v", r, err)
	}
}

func TestACutMidwayIsMendedByDoingItAgain(t *testing.T) {
	for _, cut := range []webtest.Cut{webtest.CutBefore, webtest.CutAfter} {
		cuts := 0
		p, world := platform(t, func(w *webtest.Platform) {
			w.Trouble = func(c webtest.Call) webtest.Fault {
				if c.Route == route && cuts == 0 {
					cuts++
					return webtest.Fault{Cut: cut}
				}
				return webtest.Fault{}
			}
		})
		ids := world.Add(webtest.Memory{UserID: "alice"}, webtest.Memory{UserID: "alice"})
		world.Add(webtest.Memory{UserID: "bob"})
		if _, err := p.Erase(t.Context(), memoryIDs(ids...)); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("cut %c: error %v, want ErrUnavailable", cut, err)
		}
		want := "ee"
		if cut == webtest.CutAfter {
			want = "aa" // the worker counts what a touched batch has no more as erased
		}
		if r, err := p.Erase(t.Context(), memoryIDs(ids...)); err != nil || string(outcomes(r)) != want || len(world.Memories()) != 1 {
			t.Errorf("cut %c: receipt %s, error %v, %d left", cut, outcomes(r), err, len(world.Memories()))
		}
	}
}

func user(name string) []store.ID { return []store.ID{{Place: "entities", Key: "user/" + name}} }

func TestAnEntityGoesOnlyAfterItsMemories(t *testing.T) {
	p, world := platform(t)
	ids := world.Add(webtest.Memory{UserID: "alice"}, webtest.Memory{UserID: "alice", Merged: true}, webtest.Memory{UserID: "alice", Unlisted: true}, webtest.Memory{UserID: "bob"})
	const del = "DELETE /v2/entities/{type}/{name}/"
	for i := range 3 {
		if _, err := p.Erase(t.Context(), user("alice")); !errors.Is(err, store.ErrBusy) || called(world, del) > 0 {
			t.Errorf("with %d left: error %v; want ErrBusy, and no call", 3-i, err)
		}
		if _, err := p.Erase(t.Context(), memoryIDs(ids[i])); err != nil {
			t.Fatal(err)
		}
	}
	r, err := p.Erase(t.Context(), user("alice"))
	if err != nil || r[0] != store.Erased || !slices.Equal(world.Entities(), []string{"user/bob"}) {
		t.Errorf("receipt %s, error %v, entities %v", r, err, world.Entities())
	}
	r, err = p.Erase(t.Context(), user("alice"))
	if err != nil || r[0] != store.Absent || called(world, del) != 1 {
		t.Errorf("again: receipt %s, error %v, %d calls", r, err, called(world, del))
	}
	if len(world.Memories()) != 1 {
		t.Errorf("%d memories left, want bob's", len(world.Memories()))
	}
}

func TestAnEventThatFailsOrNeverEndsIsAnError(t *testing.T) {
	for end, want := range map[string]error{"FAILED": nil, "RUNNING": store.ErrBusy, "SECRET": nil} {
		p, world := platform(t, func(w *webtest.Platform) { w.EventEnd = end })
		ids := world.Add(webtest.Memory{UserID: "SECRET-alice"})
		_, err := p.Erase(t.Context(), append(memoryIDs(ids...), user("SECRET-alice")...))
		if err == nil || errors.Is(err, store.ErrBusy) != (want != nil) || end == "FAILED" && !strings.Contains(err.Error(), end) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("an event that ends as %s: error %v, want %v", end, err, want)
		}
		if left, err := p.Remaining(t.Context(), user("SECRET-alice")); err != nil || len(left) != 1 {
			t.Errorf("%d remaining, error %v; want the entity", len(left), err)
		}
	}
}

func TestQueuedWritesAreWaitedFor(t *testing.T) {
	p, world := platform(t)
	world.Add(webtest.Memory{UserID: "alice"})
	end := world.Queue(map[string]any{"user_id": "alice", "agent_id": "bot"})
	world.Queue(map[string]any{"user_id": "bob"})
	world.Queue(nil)
	for _, sel := range []store.Selector{{UserID: "alice"}, {UserID: "alice", AgentID: "bot"}} {
		for _, err := range p.Find(t.Context(), sel) {
			if !errors.Is(err, store.ErrBusy) {
				t.Errorf("error %v, want ErrBusy while a write for them is queued", err)
			}
		}
	}
	find(t, p, store.Selector{UserID: "alice", AgentID: "other"})
	ids := world.Memories()
	for id := range ids {
		if _, err := p.Erase(t.Context(), memoryIDs(id)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Erase(t.Context(), user("alice")); !errors.Is(err, store.ErrBusy) || called(world, "DELETE /v2/entities/{type}/{name}/") > 0 {
		t.Errorf("the entity: error %v, want ErrBusy and no call", err)
	}
	for _, m := range ids {
		world.Add(m)
	}
	end()
	if got := find(t, p, store.Selector{UserID: "alice"}); len(got) != 2 {
		t.Errorf("found %d, want 2", len(got))
	}
}

func TestAHoldOnAMemoryHoldsItsEntity(t *testing.T) {
	p, world := platform(t)
	ids := world.Add(webtest.Memory{UserID: "alice", RunID: "r1"}, webtest.Memory{UserID: "alice", AgentID: "bot"}, webtest.Memory{UserID: "bob", RunID: "r1"})
	all := append(memoryIDs(append(ids, nobodys, "no UUID")...), user("alice")...)
	all = append(all, user("bob")...)
	for name, c := range map[string]struct {
		sel  store.Selector
		want []store.ID
	}{
		"a run":             {store.Selector{RunID: "r1"}, []store.ID{all[0], all[2], all[5], all[6]}},
		"a user":            {store.Selector{UserID: "alice"}, []store.ID{all[0], all[1], all[5]}},
		"a user in a run":   {store.Selector{UserID: "alice", RunID: "r1"}, []store.ID{all[0], all[5]}},
		"an ID":             {store.Selector{IDs: []string{ids[1], nobodys}}, []store.ID{all[1], all[5]}},
		"an entity":         {store.Selector{IDs: []string{"user/alice"}}, []store.ID{all[5]}},
		"somebody else":     {store.Selector{UserID: "Alice"}, nil},
		"an agent of alice": {store.Selector{AgentID: "bot"}, []store.ID{all[1], all[5]}},
	} {
		got, err := p.Matching(t.Context(), c.sel, append(slices.Clone(all), all...))
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: held %d, want %d; error %v", name, len(got), len(c.want), err)
		}
	}
}

func TestAWrongKeyIsDenied(t *testing.T) {
	p, world := platform(t)
	world.Add(webtest.Memory{UserID: "alice"})
	world.Key = "another" // as if it had been revoked
	if err := p.Ping(t.Context()); !errors.Is(err, store.ErrDenied) || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("ping: error %v, want ErrDenied", err)
	}
	if _, err := p.Erase(t.Context(), user("alice")); !errors.Is(err, store.ErrDenied) {
		t.Errorf("erase: error %v, want ErrDenied", err)
	}
}

func TestCheckSaysWhatTheAPIHides(t *testing.T) {
	p, _ := platform(t)
	findings, err := p.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waived := 0
	for _, f := range findings {
		if f.Waived != "" {
			waived++
		}
	}
	if waived != len(web.Excluded()) || len(findings) != waived+2 {
		t.Errorf("%d findings, %d waived; want two places and %d exclusions", len(findings), waived, len(web.Excluded()))
	}
}
