package web_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
	"lethe/store/storetest"
)

// TestServerKeepsTheContract, but for what hangs on memories: the server's API
// shows no history that could be erased, and a list ends after 1000.
func TestServerKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture { return newServerFixture(t) })
}

// found returns what a selector finds, or the error.
func found(t *testing.T, s store.Store, sel store.Selector) (ids []store.ID, err error) {
	t.Helper()
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func mustFind(t *testing.T, s store.Store, sel store.Selector) []store.ID {
	t.Helper()
	ids, err := found(t, s, sel)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

// serverCalls counts the calls of a stand-in by method and route.
func serverCalls(api *webtest.Server) map[string]int {
	n := map[string]int{}
	for _, c := range api.Calls() {
		n[c.Method+" "+c.Route]++
	}
	return n
}

// TestServerErasesMoreThanAListHasInRounds: 2300 memories, of which a list has
// 1000. Each round erases what is listed; the plan says how many there are.
func TestServerErasesMoreThanAListHasInRounds(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 2300)...)
	api.Add(serverMemories("bob", 50)...)
	s := openServer(t, api, webtest.ServerUserKey)
	sel := store.Selector{UserID: "alice"}
	rounds, erased := []int{}, 0
	for {
		census, err := s.Count(t.Context(), sel.Only())
		if err != nil {
			t.Fatal(err)
		}
		if left := 2300 - erased; census.IDs() != left || census.Places[0].Total != max(left+50, left) {
			t.Errorf("after %d: %d counted of %d", erased, census.IDs(), census.Places[0].Total)
		}
		ids := mustFind(t, s, sel)
		if len(ids) == 0 {
			break
		}
		receipt, err := s.Erase(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
			t.Errorf("%d remaining, error %v", len(left), err)
		}
		rounds, erased = append(rounds, len(ids)), erased+receipt.Count(store.Erased)
	}
	if !slices.Equal(rounds, []int{1000, 1000, 300}) || erased != 2300 || len(api.Memories()) != 50 {
		t.Errorf("rounds %v, %d erased, %d memories left", rounds, erased, len(api.Memories()))
	}
	want := map[string]int{"GET /memories": 8, "GET /entities": 4, "DELETE /memories/{memory_id}": 2300, "GET /memories/{memory_id}": 2300}
	if got := serverCalls(api); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("calls %v, want %v: nothing is deleted but by its ID", got, want)
	}
	for _, c := range api.Calls() {
		if c.Route == "/memories" && c.Query != "show_expired=true&top_k=1000&user_id=alice" {
			t.Errorf("listed by %s", c.Query)
		}
	}
}

func TestServerFindsWhatItHides(t *testing.T) {
	all := serverMemories("alice", 3)
	all[1].ExpirationDate = "2020-01-01"
	s := openServer(t, webtest.NewServer(all...), webtest.ServerUserKey)
	if ids := mustFind(t, s, store.Selector{UserID: "alice"}); len(ids) != 3 {
		t.Errorf("%d found, want the expired one too", len(ids))
	}
}

// TestServerMatchesExactly: what the server lists is wider than what is asked,
// for it trims names and knows neither apps nor metadata.
func TestServerMatchesExactly(t *testing.T) {
	all := serverMemories("alice", 10)
	for i, user := range []string{"alice", "alice", "alice", "alice", " alice", "alice ", "al ice", "7", "7", "7.0"} {
		all[i].UserID = user
	}
	all[8].Numbers, all[9].Numbers = true, true
	all[0].Metadata = map[string]json.RawMessage{"tier": inJSON("1"), "app_id": inJSON("shop")}
	all[1].Metadata = map[string]json.RawMessage{"tier": json.RawMessage("1.0"), "app_id": inJSON("Shop")}
	all[2].Metadata = map[string]json.RawMessage{"tier": json.RawMessage("true"), "a": json.RawMessage(`{"tier":"1"}`)}
	all[3].Metadata = map[string]json.RawMessage{"tier": json.RawMessage("null")}
	api := webtest.NewServer(all...)
	one, err := store.NumberValue("1")
	if err != nil {
		t.Fatal(err)
	}
	tier := func(v store.Value) map[string]store.Value { return map[string]store.Value{"tier": v} }
	for _, c := range []struct {
		name string
		sel  store.Selector
		want []int
	}{
		{"a name", store.Selector{UserID: "alice"}, []int{0, 1, 2, 3}},
		{"space before it", store.Selector{UserID: " alice"}, []int{4}},
		{"space behind it", store.Selector{UserID: "alice "}, []int{5}},
		{"space within it", store.Selector{UserID: "al ice"}, []int{6}},
		{"digits", store.Selector{UserID: "7"}, []int{7, 8}},
		{"an app", store.Selector{AppID: "shop"}, []int{0}},
		{"a name and an app", store.Selector{UserID: "alice", AppID: "Shop"}, []int{1}},
		{"a text", store.Selector{UserID: "alice", Metadata: tier(store.StringValue("1"))}, []int{0}},
		{"a number", store.Selector{Metadata: tier(one)}, []int{1}},
		{"a boolean", store.Selector{Metadata: tier(store.BoolValue(true))}, []int{2}},
		{"null's name", store.Selector{Metadata: tier(store.StringValue("null"))}, nil},
		{"no ID", store.Selector{IDs: []string{"2", "../reset", "*/x", "{" + all[2].ID + "}", "urn:uuid:" + all[2].ID}}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var want []store.ID
			for _, i := range c.want {
				want = append(want, store.ID{Place: "memories", Key: all[i].ID})
			}
			s := openServer(t, api, webtest.ServerAdminKey)
			if got := mustFind(t, s, c.sel); !slices.Equal(got, want) {
				t.Errorf("found %v, want %v", got, want)
			}
			for _, asked := range api.Calls() {
				if strings.Contains(strings.ToLower(asked.Query), "app") || strings.Contains(asked.Query, "tier") {
					t.Errorf("asked with %s: what the server does not know says only who is meant", asked.Query)
				}
			}
		})
	}
}

// TestServerIDsInCapitalsAreTheSameMemories, called as they were asked for.
func TestServerIDsInCapitalsAreTheSameMemories(t *testing.T) {
	all := serverMemories("alice", 2)
	api := webtest.NewServer(all...)
	s := openServer(t, api, webtest.ServerUserKey)
	loud := strings.ToUpper(all[0].ID)
	ids := mustFind(t, s, store.Selector{IDs: []string{loud, all[0].ID}})
	if want := []store.ID{{Place: "memories", Key: loud}}; !slices.Equal(ids, want) {
		t.Fatalf("found %v, want %v", ids, want)
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || !slices.Equal(left, ids) {
		t.Errorf("remaining %v, error %v", left, err)
	}
	if held, err := s.Matching(t.Context(), store.Selector{UserID: "alice"}, ids); err != nil || !slices.Equal(held, ids) {
		t.Errorf("held %v, error %v", held, err)
	}
	if r, err := s.Erase(t.Context(), ids); err != nil || string(toBytes(r)) != "e" || len(api.Memories()) != 1 {
		t.Errorf("receipt %s, error %v, %d memories left", toBytes(r), err, len(api.Memories()))
	}
}

func TestServerKeyOfNoAdminSaysWhatItLacks(t *testing.T) {
	api := webtest.NewServer(serverMemories("alice", 3)...)
	s := openServer(t, api, webtest.ServerUserKey)
	_, err := found(t, s, store.Selector{AppID: "shop"})
	if err == nil || errors.Is(err, store.ErrDenied) || !strings.Contains(err.Error(), "an admin's key") {
		t.Errorf("error %v: want one that does not take the store down", err)
	}
	if ids := mustFind(t, s, store.Selector{UserID: "alice", AppID: "shop"}); len(ids) != 0 {
		t.Errorf("%d found", len(ids))
	}
	findings, err := s.Check(t.Context())
	if err != nil || !strings.Contains(findings[0].Note, "no admin") || len(findings) != 5 {
		t.Errorf("findings %+v, error %v", findings, err)
	}
}

// TestServerListThatIsCutOffIsNoEmptyAnswer: whoever is meant may be behind the
// 1000 that are listed.
func TestServerListThatIsCutOffIsNoEmptyAnswer(t *testing.T) {
	api := webtest.NewServer(serverMemories("bob", 999)...)
	s := openServer(t, api, webtest.ServerAdminKey)
	sel := store.Selector{Metadata: map[string]store.Value{"tier": store.StringValue("gold")}}
	if ids := mustFind(t, s, sel); len(ids) != 0 {
		t.Errorf("%d found", len(ids))
	}
	last := serverMemories("alice", 2)
	last[1].Metadata = map[string]json.RawMessage{"tier": inJSON("gold")}
	api.Add(last...)
	if ids, err := found(t, s, sel); err == nil || errors.Is(err, store.ErrRefused) || !strings.Contains(err.Error(), "mem0-postgres") {
		t.Errorf("%d found, error %v", len(ids), err)
	}
	if _, err := s.Count(t.Context(), sel.Only()); err == nil {
		t.Error("it is counted as nothing")
	}
}

// TestServerHoldsReachBehindTheList: a hold protects also who is not listed.
func TestServerHoldsReachBehindTheList(t *testing.T) {
	all := serverMemories("alice", 1003)
	for i := range all {
		all[i].RunID = "run"
	}
	s := openServer(t, webtest.NewServer(all...), webtest.ServerUserKey)
	ids := []store.ID{{Place: "memories", Key: all[1002].ID}, {Place: "memories", Key: serverMemories("bob", 1)[0].ID}}
	for _, sel := range []store.Selector{{RunID: "run"}, {UserID: "alice"}, {IDs: []string{all[1002].ID, all[0].ID}}} {
		if held, err := s.Matching(t.Context(), sel, ids); err != nil || !slices.Equal(held, ids[:1]) {
			t.Errorf("held %v, error %v", held, err)
		}
	}
}

func TestServerKeepsAResidue(t *testing.T) {
	all := serverMemories("alice", 3)
	all[0].Messages, all[0].Entities = []string{"SECRET-alice said so"}, []string{"SECRET-alice"}
	api := webtest.NewServer(all...)
	s := openServer(t, api, webtest.ServerUserKey)
	if r, err := s.Erase(t.Context(), mustFind(t, s, store.Selector{UserID: "alice"})); err != nil || r.Count(store.Erased) != 3 {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	residue := api.Residue()
	for _, name := range web.ServerResidue() {
		if name == "request-log" && strings.Contains(fmt.Sprint(residue[name]), all[0].ID) {
			continue
		}
		if !strings.Contains(fmt.Sprint(residue[name]), "SECRET-alice") {
			t.Errorf("the stand-in keeps nothing in its %s: %v", name, residue[name])
		}
	}
	h := httptest.NewServer(api)
	defer h.Close()
	req := httptest.NewRequest(http.MethodGet, "/memories/"+all[0].ID+"/history", nil)
	req.Header.Set("X-API-Key", webtest.ServerUserKey)
	rec := httptest.NewRecorder()
	api.ServeHTTP(rec, req)
	if n := strings.Count(rec.Body.String(), "SECRET-alice"); rec.Code != http.StatusOK || n != 2 {
		t.Errorf("the history answers %d with %d texts, want it to say the text twice", rec.Code, n)
	}
}

func BenchmarkServerErase(b *testing.B) {
	for b.Loop() {
		api := webtest.NewServer(serverMemories("alice", 1000)...)
		s := openServer(b, api, webtest.ServerUserKey)
		var ids []store.ID
		for _, m := range api.Memories() {
			ids = append(ids, store.ID{Place: "memories", Key: m.ID})
		}
		if _, err := s.Erase(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
	}
}
