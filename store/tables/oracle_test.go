package tables_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/store"
	"lethe/store/tables"
)

// A world is random rows of three tables and a random map of them, with a plain
// model of what a selector selects. It knows no engine.
type world struct {
	m      tables.Map // Files are the engine's
	things []thing
	kids   []kid
	grand  []grandkid
}

// A thing is identified by T, by I or by both: each alone is unique.
type thing struct {
	T         string
	I         int64
	Name      *string // text that compares without regard to case where the engine has that
	Plain     *string // text
	Number    *int64
	Doc       *string // JSON
	malformed bool
}

// A kid hangs on a thing by T, by I or by both, and a grandkid on a kid.
type kid struct {
	ID int64
	T  *string
	I  *int64
}

type grandkid struct {
	ID  int64
	Kid *int64
}

// A laboratory is an engine with the tables of a world: things (t, i, name,
// plain, number, doc), kids (id, t, i) and grandkids (id, kid).
type laboratory interface {
	fill(t *rapid.T, w world) // replaces all rows
	open(t *rapid.T, m tables.Map) store.Store
	rows(t *rapid.T) []string // of what fill has written: t of things, "kid n" and "grandkid n"
	malformed() bool          // documents need not be JSON
}

func some[T any](t *rapid.T, label string, of ...T) T { return rapid.SampledFrom(of).Draw(t, label) }

func maybe[T any](t *rapid.T, label string, of ...T) *T {
	if rapid.IntRange(0, 4).Draw(t, label+" there") == 0 {
		return nil
	}
	v := some(t, label, of...)
	return &v
}

func strange() []string {
	return []string{"alice", "Alice", "alice ", "7", "07", "7.0", "-1", "' OR 1=1 --", `"a"`, "null", "true", "zo\u00eb", "zoe\u0308", "$1", "?1", "a%", "{}"}
}

func drawWorld(t *rapid.T, malformed bool) world {
	var w world
	integers := []int64{0, 7, -1, 42, 1 << 62, -1 << 63}
	texts := []string{"a", "A", "a ", "07", "7", `["<é"]`, "it's"}
	ts := rapid.Permutation(texts).Draw(t, "t")
	is := rapid.Permutation(integers).Draw(t, "i")
	for n := range rapid.IntRange(0, len(integers)).Draw(t, "things") {
		x := thing{T: ts[n], I: is[n], Name: maybe(t, "name", strange()...), Plain: maybe(t, "plain", strange()...), Number: maybe(t, "number", integers...)}
		text := drawDocument(t, 0)
		if malformed && rapid.IntRange(0, 5).Draw(t, "malformed") == 0 {
			text, x.malformed = some(t, "broken", `{"a":`, `[]`, `"alice"`, `7`, ``, `{"a":"alice"}}`), true
		}
		if x.malformed || rapid.IntRange(0, 5).Draw(t, "document") > 0 {
			x.Doc = &text
		}
		w.things = append(w.things, x)
	}
	for n := range rapid.IntRange(0, 8).Draw(t, "kids") {
		w.kids = append(w.kids, kid{int64(n), maybe(t, "t of", texts[:6]...), maybe(t, "i of", integers...)})
	}
	for n := range rapid.IntRange(0, 8).Draw(t, "grandkids") {
		w.grand = append(w.grand, grandkid{int64(n), maybe[int64](t, "kid of", 0, 1, 2, 3, 9)})
	}
	w.m = drawMap(t)
	return w
}

func names3() []string { return []string{"a", "b", "A", "it's", `q"`, "a.b"} }

// drawDocument draws a JSON object, with members of the same name and others
// below.
func drawDocument(t *rapid.T, depth int) string {
	text := "{"
	for i := range rapid.IntRange(0, 4).Draw(t, "members") {
		if i > 0 {
			text += ","
		}
		name, _ := json.Marshal(some(t, "member", names3()...))
		value, _ := json.Marshal(some(t, "text", strange()...))
		switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
		case kind == 0:
			value = []byte(some(t, "scalar", "7", "7.0", "true", "false", "null", "9007199254740993", "[]", `["alice"]`))
		case kind < 4 && depth < 2:
			value = []byte(drawDocument(t, depth+1))
		}
		text += string(name) + ":" + string(value)
	}
	return text + "}"
}

func drawMember(t *rapid.T, label string) tables.Member {
	if rapid.Bool().Draw(t, label+" in column") {
		return tables.Member{Column: some(t, label, "name", "plain", "number")}
	}
	return tables.Member{Column: "doc", Path: rapid.SliceOfN(rapid.SampledFrom(names3()[:4]), 1, 3).Draw(t, label)}
}

func drawMap(t *rapid.T) tables.Map {
	id := some(t, "id", []string{"t"}, []string{"i"}, []string{"t", "i"}, []string{"i", "t"})
	p := tables.Place{Name: "things", File: "f", Table: "things", ID: id, Explicit: true, Match: make(map[string]tables.Member)}
	for _, key := range []string{"user_id", "agent_id", "app_id", "run_id"} {
		if rapid.Bool().Draw(t, key) {
			p.Match[key] = drawMember(t, key)
		}
	}
	if len(p.Match) == 0 || rapid.Bool().Draw(t, "metadata") {
		p.Metadata = &tables.Member{Column: "doc", Path: rapid.SliceOfN(rapid.SampledFrom(names3()), 0, 2).Draw(t, "metadata at")}
	}
	return tables.Map{Places: []tables.Place{
		{Name: "grandkids", File: "f", Table: "grandkids", ID: []string{"id"}, With: "kids", By: []string{"kid"}},
		p,
		{Name: "kids", File: "f", Table: "kids", ID: []string{"id"}, With: "things", By: id},
	}}
}

// drawAny draws a selector of any valid text whatever, or of texts that rows
// have.
func drawAny(t *rapid.T) store.Selector {
	text := rapid.OneOf(rapid.SampledFrom(strange()), rapid.String(), rapid.SampledFrom([]string{""}))
	sel := store.Selector{UserID: text.Draw(t, "user"), AgentID: text.Draw(t, "agent"), AppID: text.Draw(t, "app"), RunID: text.Draw(t, "run")}
	keep := rapid.IntRange(0, 15).Draw(t, "keys")
	for i, v := range []*string{&sel.UserID, &sel.AgentID, &sel.AppID, &sel.RunID} {
		if keep>>i&1 == 0 {
			*v = ""
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "metadata") {
		v := store.StringValue(text.Draw(t, "value"))
		switch rapid.IntRange(0, 3).Draw(t, "value kind") {
		case 0:
			v = store.BoolValue(rapid.Bool().Draw(t, "bool"))
		case 1:
			v, _ = store.NumberValue(some(t, "number", "7", "9007199254740993", "9007199254740992", "0.5"))
		}
		if sel.Metadata == nil {
			sel.Metadata = make(map[string]store.Value)
		}
		sel.Metadata[rapid.OneOf(rapid.SampledFrom(names3()), rapid.String()).Draw(t, "name")] = v
	}
	if sel.Validate() != nil {
		return store.Selector{UserID: "alice"}
	}
	return sel
}

// at is what JSON text has at a path, of members of the same name the last.
func at(doc *string, path []string) (json.RawMessage, bool) {
	if doc == nil {
		return nil, false
	}
	raw := json.RawMessage(*doc)
	for _, name := range path {
		var members map[string]json.RawMessage
		if json.Unmarshal(raw, &members) != nil || members[name] == nil {
			return nil, false
		}
		raw = members[name]
	}
	return raw, true
}

// text is the text of a member of a thing, and false if it has none.
func (x thing) text(m tables.Member) (string, bool) {
	switch {
	case m.Column == "number" && x.Number != nil:
		return strconv.FormatInt(*x.Number, 10), true
	case m.Column == "name" && x.Name != nil:
		return *x.Name, true
	case m.Column == "plain" && x.Plain != nil:
		return *x.Plain, true
	case m.Column == "doc":
		var s string
		raw, ok := at(x.Doc, m.Path)
		ok = ok && raw[0] == '"' && json.Unmarshal(raw, &s) == nil
		return s, ok
	}
	return "", false
}

func (w world) place() tables.Place { return w.m.Places[1] }

// selects is the model of what a selector means.
func (w world) selects(sel store.Selector, x thing) bool {
	p := w.place()
	for _, f := range sel.Identity() {
		m, ok := p.Match[f.Name]
		if !ok {
			return false
		}
		if text, ok := x.text(m); !ok || text != f.Value {
			return false
		}
	}
	for k, v := range sel.Metadata {
		if p.Metadata == nil {
			return false
		}
		raw, ok := at(x.Doc, append(slices.Clone(p.Metadata.Path), k))
		if !ok || !equal(string(raw), v) {
			return false
		}
	}
	return true
}

// key is a thing's key in the world's map.
func (w world) key(x thing) string {
	var values []string
	for _, c := range w.place().ID {
		values = append(values, map[string]string{"t": x.T, "i": strconv.FormatInt(x.I, 10)}[c])
	}
	return tables.FormatKey(values)
}

// parent returns the thing that a kid hangs on.
func (w world) parent(k kid) (thing, bool) {
	i := slices.IndexFunc(w.things, func(x thing) bool {
		return !slices.ContainsFunc(w.place().ID, func(c string) bool {
			return c == "t" && (k.T == nil || *k.T != x.T) || c == "i" && (k.I == nil || *k.I != x.I)
		})
	})
	if i < 0 {
		return thing{}, false
	}
	return w.things[i], true
}

// An expectation is what the model says about one selector.
type expectation struct {
	Keys           []string       // that Find yields
	Counts         map[string]int // by place
	Unattributable int
	Left           []string // rows after erasing all that Find yields
}

func (w world) expect(sel store.Selector) expectation {
	e := expectation{Counts: map[string]int{"things": 0, "kids": 0, "grandkids": 0}}
	for _, x := range w.things {
		if x.malformed && w.looksInside() {
			e.Unattributable++
		}
		if w.selects(sel, x) {
			e.Keys = append(e.Keys, w.key(x))
			e.Counts["things"]++
		} else {
			e.Left = append(e.Left, "thing "+x.T)
		}
	}
	gone, lost := make(map[int64]bool), make(map[int64]bool)
	for _, k := range w.kids {
		x, ok := w.parent(k)
		switch {
		case ok && w.selects(sel, x):
			gone[k.ID] = true
			e.Counts["kids"]++
			continue
		case !ok:
			lost[k.ID] = true
			e.Unattributable++
		}
		e.Left = append(e.Left, fmt.Sprint("kid ", k.ID))
	}
	for _, g := range w.grand {
		if g.Kid != nil && gone[*g.Kid] {
			e.Counts["grandkids"]++
			continue
		}
		if g.Kid == nil || *g.Kid >= int64(len(w.kids)) || lost[*g.Kid] {
			e.Unattributable++
		}
		e.Left = append(e.Left, fmt.Sprint("grandkid ", g.ID))
	}
	slices.Sort(e.Keys)
	slices.Sort(e.Left)
	return e
}

// looksInside reports whether the map looks for anyone in the document.
func (w world) looksInside() bool {
	p := w.place()
	return p.Metadata != nil || slices.ContainsFunc(slices.Collect(maps.Values(p.Match)), func(m tables.Member) bool { return len(m.Path) > 0 })
}

// equalsTheModel puts an engine beside the model.
func equalsTheModel(t *testing.T, lab laboratory) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t, lab.malformed())
		lab.fill(t, w)
		s := lab.open(t, w.m)
		defer s.Close()
		for range 3 {
			compare(t, lab, s, w, w.drawSelector(t))
			lab.fill(t, w) // as another process
		}
	})
}

// drawSelector draws a selector that selects something more often than not.
func (w world) drawSelector(t *rapid.T) store.Selector {
	sel := drawAny(t)
	if len(w.things) == 0 || rapid.IntRange(0, 3).Draw(t, "any") == 0 {
		return sel
	}
	x := some(t, "of", w.things...)
	keep := rapid.IntRange(1, 15).Draw(t, "of keys")
	sel = store.Selector{}
	for i, v := range []*string{&sel.UserID, &sel.AgentID, &sel.AppID, &sel.RunID} {
		m, ok := w.place().Match[[]string{"user_id", "agent_id", "app_id", "run_id"}[i]]
		if ok && keep>>i&1 == 1 {
			*v, _ = x.text(m)
		}
	}
	if sel.Validate() != nil {
		return store.Selector{UserID: "alice"}
	}
	return sel
}

func compare(t *rapid.T, lab laboratory, s store.Store, w world, sel store.Selector) {
	var got expectation
	var ids []store.ID
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		ids, got.Keys = append(ids, id), append(got.Keys, id.Key)
	}
	census, err := s.Count(t.Context(), sel.Only())
	if err != nil {
		t.Fatal(err)
	}
	got.Unattributable, got.Counts = census.Unattributable, make(map[string]int)
	for _, p := range census.Places {
		got.Counts[p.Place] = p.Found
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) != len(ids) {
		t.Fatalf("%d of %d remaining before, error %v", len(left), len(ids), err)
	}
	hold := w.drawSelector(t)
	if diff := cmp.Diff(w.held(sel, hold), matching(t, s, hold, ids)); diff != "" {
		t.Fatalf("%+v, held by %+v\n(-model +engine)\n%s", sel.Identity(), hold.Identity(), diff)
	}
	if r, err := s.Erase(t.Context(), ids); err != nil || r.Count(store.Erased) != len(ids) {
		t.Fatalf("receipt %s, error %v", r, err)
	}
	if left, err := s.Remaining(t.Context(), ids); err != nil || len(left) > 0 {
		t.Fatalf("%d remaining, error %v", len(left), err)
	}
	got.Left = lab.rows(t)
	slices.Sort(got.Keys)
	slices.Sort(got.Left)
	if diff := cmp.Diff(w.expect(sel), got); diff != "" {
		t.Fatalf("%+v\n(-model +engine)\n%s", sel.Identity(), diff)
	}
}
