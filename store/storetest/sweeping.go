package storetest

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

// noon is in the middle of the times of these promises.
func noon() time.Time { return time.Date(2026, 6, 15, 12, 0, 0, 0, time.UTC) }

// times are texts that say when something was, and the last instant that each can
// mean; the zero time for one that cannot be read.
func times() map[string]time.Time {
	const second = time.Second - 1
	return map[string]time.Time{
		"":                          {},
		"2026-06-15T12:00:00Z":      noon().Add(second),
		"2026-06-15T14:00:00+02:00": noon().Add(second),
		"2026-06-15T00:00:00-12:00": noon().Add(second),
		"2026-06-15T11:59:59+00:00": noon().Add(second - time.Second),
		"2026-06-15 12:00:00":       noon().Add(12*time.Hour + second),
		"2026-06-15":                noon().Add(24*time.Hour - 1),
		"2026-06-14":                noon().Add(-1),
		"2031-01-01T00:00:00Z":      time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC).Add(second),
		"9999-12-31":                time.Date(10000, 1, 1, 12, 0, 0, 0, time.UTC).Add(-1),
	}
}

// sweepable is the store, or skips the promise.
func (c contract) sweepable() store.Sweepable {
	c.Helper()
	s, ok := c.s.(store.Sweepable)
	if !ok {
		c.Skip("the store does not select by age")
	}
	return s
}

// reaches reports whether the store can compare rows of a place with sel.
func (c contract) reaches(place string, sel store.Selector) bool {
	l, ok := c.s.(store.Limiter)
	return !ok || !slices.Contains(l.Unreached(sel), place)
}

// ageIsNotIgnored: a store that passes over what a selector asks for would erase
// what is young.
func ageIsNotIgnored(c contract) {
	if _, ok := c.s.(store.Sweepable); ok {
		c.Skip("the store selects by age")
	}
	c.add(of("alice", 9)...)
	for _, sel := range []store.Selector{
		{CreatedBefore: noon()}, {ExpiredBefore: noon()}, {Orphaned: true}, {UserID: "alice", CreatedBefore: noon()}, {UserID: "alice", ExpiredBefore: noon()},
	} {
		if err := c.findError(c.ctx, sel); !errors.Is(err, store.ErrRefused) {
			c.Errorf("find: error %v, want ErrRefused", err)
		}
		if _, err := c.s.Count(c.ctx, sel.Only()); !errors.Is(err, store.ErrRefused) {
			c.Errorf("count: error %v, want ErrRefused", err)
		}
	}
}

// An aged world is records of two people whose times are any two of the texts.
func (c contract) aged() []Record {
	var world []Record
	for created := range times() {
		for expires := range times() {
			user := []string{"alice", "bob"}[len(world)%2]
			id := user + "-" + itoa(len(world))
			world = append(world, Record{
				ID: id, UserID: user, Text: "SECRET-" + user + " " + itoa(len(world)) + ".", Created: created, Expires: expires, Message: len(world)%3 == 0,
				Metadata: map[string]store.Value{"kind": store.StringValue([]string{"a", "b", "c"}[len(world)%3])},
			})
		}
	}
	c.add(world...)
	return world
}

// old is the model: what a record says is before a cut-off, however it is read.
func old(said string, cutoff time.Time) bool {
	at := times()[said]
	return cutoff.IsZero() || !at.IsZero() && at.Before(cutoff)
}

func selectsByAgeExactly(c contract) {
	s := c.sweepable()
	world := c.aged()
	kept := c.has("messages")
	rng := rand.New(rand.NewPCG(8, 1))
	cutoffs := []time.Time{noon(), noon().AddDate(0, 0, 3)}
	for _, at := range times() {
		if !at.IsZero() {
			cutoffs = append(cutoffs, at, at.Add(1), at.Add(-1))
		}
	}
	slices.SortFunc(cutoffs, time.Time.Compare)
	some := func() time.Time {
		if rng.IntN(3) == 0 {
			return time.Time{}
		}
		return cutoffs[rng.IntN(len(cutoffs))]
	}
	for i := range 30 {
		sel := store.Selector{CreatedBefore: some(), ExpiredBefore: some()}
		if rng.IntN(2) == 0 {
			sel.UserID = "alice"
		}
		if rng.IntN(3) == 0 {
			sel.Metadata = map[string]store.Value{"kind": store.StringValue("b")}
		}
		if sel.Validate() != nil {
			continue
		}
		want, ends, messages := []string{}, []time.Time{}, 0
		for _, r := range world {
			if r.Message && r.selects(sel) && old(r.Created, sel.CreatedBefore) && c.reaches("messages", sel) {
				messages++
			}
			if r.selects(sel) && old(r.Created, sel.CreatedBefore) && old(r.Expires, sel.ExpiredBefore) && c.reaches("memories", sel) {
				want = append(want, r.ID)
				ends = append(ends, times()[r.Expires])
			}
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, c.memories(sel)); diff != "" {
			c.Fatalf("created before %v, expired before %v: (-want +got)\n%s", sel.CreatedBefore, sel.ExpiredBefore, diff)
		}
		if got := c.in("messages", sel); kept && got != messages {
			c.Errorf("created before %v, expired before %v: %d messages, want %d", sel.CreatedBefore, sel.ExpiredBefore, got, messages)
		}
		if i%5 == 0 {
			c.agrees(sel)
		}
		oldest, newest, err := s.Span(c.ctx, sel)
		if err != nil {
			c.Fatal(err)
		}
		if sel.ExpiredBefore.IsZero() || len(ends) == 0 || !sel.ByAge() {
			continue
		}
		if !oldest.Equal(slices.MinFunc(ends, time.Time.Compare)) || !newest.Equal(slices.MaxFunc(ends, time.Time.Compare)) {
			c.Errorf("expired before %v: span %v to %v of %d", sel.ExpiredBefore, oldest, newest, len(ends))
		}
	}
}

// has reports whether the store has a place.
func (c contract) has(place string) bool {
	c.Helper()
	census, err := c.s.Count(c.ctx, store.Selector{UserID: "alice"}.Only())
	if err != nil {
		c.Fatal(err)
	}
	return slices.ContainsFunc(census.Places, func(p store.PlaceCount) bool { return p.Place == place && p.With == "" })
}

// in counts what is found in a place.
func (c contract) in(place string, sel store.Selector) int {
	c.Helper()
	return len(slices.DeleteFunc(c.find(sel), func(id store.ID) bool { return id.Place != place }))
}

// agrees compares what other methods say of a selector with Find.
func (c contract) agrees(sel store.Selector) {
	c.Helper()
	ids := c.find(sel)
	census, err := c.s.Count(c.ctx, sel.Only())
	if err != nil || census.IDs() != len(ids) {
		c.Fatalf("count %d, find %d, error %v", census.IDs(), len(ids), err)
	}
	for _, id := range ids {
		if !c.reaches(id.Place, sel) {
			c.Errorf("a row of place %s is found, which the selector cannot reach", id.Place)
		}
	}
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		if kept, err := c.sweepable().Kept(c.ctx, sel, batch); err != nil || len(kept) > 0 {
			c.Errorf("%d of %d found IDs would be kept, error %v", len(kept), len(batch), err)
		}
	}
}

func anUnreadableTimeIsNeverOld(c contract) {
	s := c.sweepable()
	far := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	if !c.reaches("memories", store.Selector{CreatedBefore: far}) || !c.reaches("memories", store.Selector{ExpiredBefore: far}) {
		c.Skip("memories do not say when they were made, and when they end")
	}
	odd := []string{
		" ", "yesterday", "15/06/2026", "06-15-2026", "2026-6-15", "2026-02-30", "2026-06-15T25:00:00Z", "2026-06-15T12:00:00+99:00", "2026-06-15T12",
		"0001-01-01T00:00:00Z", "1970-01-01", "20260615", "2026-06-15T12:00:00ZZ", "2026-W25", "null", "now", "2026-06-15\x01", "二〇二六",
	}
	for i, text := range odd {
		c.add(
			Record{ID: "made" + itoa(i), UserID: "alice", Text: "t", Created: text, Message: true},
			Record{ID: "ends" + itoa(i), UserID: "bob", Text: "t", Created: "2026-06-15T12:00:00Z", Expires: text},
		)
	}
	c.add(Record{ID: "silent", UserID: "alice", Text: "t"}, Record{ID: "endless", UserID: "bob", Text: "t", Created: "2026-06-15T12:00:00Z"})
	for _, sel := range []store.Selector{{UserID: "alice", CreatedBefore: far}, {ExpiredBefore: far}} {
		if got := c.find(sel); len(got) > 0 {
			c.Errorf("%d rows are old whose times cannot be read", len(got))
		}
	}
	made, err := s.Undated(c.ctx, store.Selector{UserID: "alice", CreatedBefore: far})
	if err != nil || made["memories"] != len(odd)+1 {
		c.Errorf("%d memories do not say when they were made, want %d; error %v", made["memories"], len(odd)+1, err)
	}
	ends, err := s.Undated(c.ctx, store.Selector{ExpiredBefore: far})
	if err != nil || ends["memories"] != len(odd) {
		c.Errorf("%d memories end nobody knows when, want %d; error %v", ends["memories"], len(odd), err)
	}
	both, err := s.Undated(c.ctx, store.Selector{CreatedBefore: noon(), ExpiredBefore: far})
	if err != nil || both["memories"] != 0 {
		c.Errorf("%d memories could be selected but for a time that cannot be read, want none: they have no end, or are too young; error %v", both["memories"], err)
	}
}

// whatIsNotSelectedIsKept: an erasure that must still hold leaves whatever its
// selector does not select, and all that hangs on it.
func whatIsNotSelectedIsKept(c contract) {
	s := c.sweepable()
	world := c.aged()
	sel := store.Selector{UserID: "alice", CreatedBefore: noon().AddDate(0, 0, 3)}
	found := c.find(sel)
	if len(found) == 0 {
		c.Skip("memories do not say when they were made")
	}
	all := append(c.find(store.Selector{UserID: "alice"}), c.find(store.Selector{UserID: "bob"})...)
	all = append(all, store.ID{Place: "memories", Key: "nobody's"})
	before := c.rows()
	if kept, err := s.Kept(c.ctx, sel, all); err != nil || len(kept) != len(all)-len(found)-1 {
		c.Fatalf("%d of %d would be kept, want all but %d; error %v", len(kept), len(all), len(found)+1, err)
	}
	receipt, err := c.s.Erase(store.WithStill(c.ctx, sel), all)
	if err != nil {
		c.Fatal(err)
	}
	for i, id := range all {
		want := store.Kept
		switch {
		case slices.Contains(found, id):
			want = store.Erased
		case id.Key == "nobody's":
			want = store.Absent
		}
		if receipt[i] != want {
			c.Errorf("place %s: outcome %c, want %c", id.Place, receipt[i], want)
		}
	}
	after := c.rows()
	for _, r := range world {
		gone := slices.Contains(found, store.ID{Place: "memories", Key: r.ID})
		for name, text := range before {
			if !strings.Contains(text, r.Text) {
				continue
			}
			if _, still := after[name]; still == gone {
				c.Errorf("row %s is there %v, and was selected %v", name, still, gone)
			}
		}
	}
	if left := c.find(sel); len(left) > 0 {
		c.Errorf("%d left", len(left))
	}
	if _, err := c.s.Erase(store.WithStill(c.ctx, store.Selector{}), all[:1]); !errors.Is(err, store.ErrSelector) {
		c.Errorf("a selector of nobody: error %v, want ErrSelector", err)
	}
}
