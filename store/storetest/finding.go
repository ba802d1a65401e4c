package storetest

import (
	"slices"
	"strconv"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

func itoa(n int) string { return strconv.Itoa(n) }

func findSeesEveryPlace(c contract) {
	c.add(of("alice", 7)...)
	c.add(of("bob", 5)...)
	census, err := c.s.Count(c.ctx, store.Selector{UserID: "alice"}.Only())
	if err != nil {
		c.Fatal(err)
	}
	found := make(map[string]int)
	for _, id := range c.find(store.Selector{UserID: "alice"}) {
		found[id.Place]++
	}
	for _, p := range census.Places {
		if p.Found == 0 {
			c.Errorf("place %s: nothing found; does the fixture write to it?", p.Place)
		}
		if p.With == "" && p.Found != found[p.Place] {
			c.Errorf("place %s: count says %d, find yields %d", p.Place, p.Found, found[p.Place])
		}
	}
	if found["memories"] != 7 {
		c.Errorf("found %d memories, want 7", found["memories"])
	}
}

func findMatchesByType(c contract) {
	number := func(literal string) store.Value {
		v, err := store.NumberValue(literal)
		if err != nil {
			c.Fatal(err)
		}
		return v
	}
	values := map[string]store.Value{
		"text": store.StringValue("1"), "number": number("1"), "half": number("1.5"), "true": store.BoolValue(true),
		"false": store.BoolValue(false), "zero": number("0"), "word": store.StringValue("true"), "padded": store.StringValue("01"),
		"large": number("9007199254740993"), "larger": number("9007199254740992"), "null": store.StringValue("null"),
	}
	for id, v := range values {
		c.add(Record{ID: id, UserID: "u", Text: "t", Metadata: map[string]store.Value{"k.e'y\"$[0]": v}})
	}
	for id, v := range values {
		got := c.memories(store.Selector{Metadata: map[string]store.Value{"k.e'y\"$[0]": v}})
		if diff := cmp.Diff([]string{id}, got); diff != "" {
			c.Errorf("value %s: (-want +got)\n%s", id, diff)
		}
	}
	if got := c.memories(store.Selector{Metadata: map[string]store.Value{"k": number("1")}}); len(got) > 0 {
		c.Errorf("a key that is part of another selects %v", got)
	}
	both := store.Selector{UserID: "v", Metadata: map[string]store.Value{"k.e'y\"$[0]": number("1")}}
	if got := c.memories(both); len(got) > 0 {
		c.Errorf("keys are not ANDed: %v", got)
	}
}

func findByIDSeesWhatIsLeft(c contract) {
	c.add(of("alice", 4)...)
	all := c.memories(store.Selector{UserID: "alice"})
	asked := append([]string{"nobody's", all[0], all[0]}, all[1:]...)
	if diff := cmp.Diff(all, c.memories(store.Selector{IDs: asked})); diff != "" {
		c.Errorf("by id: (-want +got)\n%s", diff)
	}
	c.erase([]store.ID{{Place: "memories", Key: all[0]}})
	if diff := cmp.Diff(all[1:], c.memories(store.Selector{IDs: asked})); diff != "" {
		c.Errorf("by id, one gone: (-want +got)\n%s", diff)
	}
	c.history(all[0], "written after")
	if diff := cmp.Diff(all, c.memories(store.Selector{IDs: asked})); diff != "" {
		c.Errorf("by id, one with history only: (-want +got)\n%s", diff)
	}
}

func findMayBeLeftEarly(c contract) {
	c.add(of("alice", 20)...)
	for _, err := range c.s.Find(c.ctx, store.Selector{UserID: "alice"}) {
		if err != nil {
			c.Fatal(err)
		}
		break
	}
	for id, err := range c.s.Find(c.ctx, store.Selector{UserID: "alice"}) {
		if err != nil {
			c.Fatal(err)
		}
		c.erase([]store.ID{id}) // no lock is held while the caller works
	}
	if left := c.find(store.Selector{UserID: "alice"}); len(left) > 0 {
		c.Errorf("%d left", len(left))
	}
}

func neighboursAreUntouched(c contract) {
	users := []string{
		"alice", "Alice", "alice2", "alic", "alice ", " alice", "ａlice", "a_b", "axb", "a%b", "a%25b", "a&b=c", "a=b", "a+b",
		"o'brien", `say "hi"`, `back\slash`, `\u0061lice`, "alice@example.org", "Alice@example.org", "07", "7", "7.0", "0x7", "1e1", "10",
		"zo\u00eb", "zoe\u0308", "<b>", "null", "true", "日本", "🜛", "user_id=alice", "['alice']", "alice\u2028", "ALICE", "straße", "strasse",
	}
	for i, u := range users {
		c.add(Record{ID: "m" + itoa(i), UserID: u, Text: "t", Entities: []string{"thing " + itoa(i)}, Message: true})
	}
	for i, u := range users {
		before := len(c.rows())
		ids := c.find(store.Selector{UserID: u})
		census, err := c.s.Count(c.ctx, store.Selector{UserID: u}.Only())
		if err != nil {
			c.Fatal(err)
		}
		for _, p := range census.Places {
			if p.Found != 1 {
				c.Errorf("user %q: %d in place %s, want 1", u, p.Found, p.Place)
			}
		}
		if !slices.Contains(ids, store.ID{Place: "memories", Key: "m" + itoa(i)}) {
			c.Errorf("user %q: own memory not found", u)
		}
		c.erase(ids)
		if gone := before - len(c.rows()); gone != len(census.Places) {
			c.Errorf("user %q: %d rows went, want %d", u, gone, len(census.Places))
		}
	}
}

func sizesAroundABatch(c contract) {
	most := 1 << 30
	if short, ok := c.fix.(Short); ok {
		most = short.Listed()
	}
	for _, n := range []int{0, 1, 999, 1000, 1001, 2500} {
		user := "size" + itoa(n)
		c.add(of(user, n)...)
		sel := store.Selector{UserID: user}
		for left := n; ; left -= most { // in rounds, for a store that lists so many
			want := max(0, min(left, most))
			if got := len(c.memories(sel)); got != want {
				c.Fatalf("of %d: found %d memories, want %d", n, got, want)
			}
			if want == 0 {
				break
			}
			c.eraseAndRead(n, c.find(sel))
		}
		if left := c.find(sel); len(left) > 0 {
			c.Errorf("of %d: %d found after", n, len(left))
		}
	}
}

func (c contract) eraseAndRead(n int, ids []store.ID) {
	c.Helper()
	if got := c.erase(ids).Count(store.Erased); got != len(ids) {
		c.Errorf("of %d: erased %d, want %d", n, got, len(ids))
	}
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		if left := c.remaining(batch); len(left) > 0 {
			c.Errorf("of %d: %d remaining", n, len(left))
		}
	}
}

func countEqualsFind(c contract) {
	c.add(of("alice", 33)...)
	c.add(of("bob", 21)...)
	for _, sel := range []store.Selector{
		{UserID: "alice"}, {UserID: "nobody"}, {IDs: []string{"alice-a-0", "bob-b-1", "nobody's"}}, {UserID: "bob", AgentID: "x"},
	} {
		census, err := c.s.Count(c.ctx, sel.Only())
		if err != nil {
			c.Fatal(err)
		}
		if got, want := census.IDs(), len(c.find(sel)); got != want {
			c.Errorf("count %d, find %d", got, want)
		}
	}
}

func countChangesNothing(c contract) {
	c.add(of("alice", 9)...)
	before := c.rows()
	if _, err := c.s.Count(c.ctx, store.Selector{UserID: "alice"}.Only()); err != nil {
		c.Fatal(err)
	}
	c.find(store.Selector{UserID: "alice"})
	c.remaining([]store.ID{{Place: "memories", Key: "alice-a-0"}})
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		c.Errorf("rows changed:\n%s", diff)
	}
}

// countKnowsTheWhole: whether a plan takes too large a part of a place can be
// judged by what Count says, whoever the other rows are of.
func countKnowsTheWhole(c contract) {
	c.add(of("alice", 9)...)
	c.add(of("bob", 5)...)
	count := func(user string) []store.PlaceCount {
		census, err := c.s.Count(c.ctx, store.Selector{UserID: user}.Only())
		if err != nil {
			c.Fatal(err)
		}
		return census.Places
	}
	alice, bob, nobody := count("alice"), count("bob"), count("nobody")
	for i, p := range alice {
		if found := p.Found + bob[i].Found; p.Total < found || p.Place == "memories" && p.Total != found {
			c.Errorf("place %s: %d rows in all, want the %d that two people have", p.Place, p.Total, found)
		}
		if bob[i].Total != p.Total || nobody[i].Total != p.Total {
			c.Errorf("place %s: it has %d, %d or %d rows, by who is asked for", p.Place, p.Total, bob[i].Total, nobody[i].Total)
		}
	}
}
