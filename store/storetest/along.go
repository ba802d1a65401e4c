package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

// errTold is what whoever is told answers, for once.
var errTold = errors.New("told, and not to be")

// tellsWhatGoesAlong: what an erasure removes besides its IDs, and could be asked
// for by another one, it tells before it commits; exactly that, and nothing of
// it goes if who is told says no.
func tellsWhatGoesAlong(c contract) {
	c.add(of("alice", 9)...)
	c.add(of("bob", 3)...)
	var memories, others []store.ID
	for _, id := range c.find(store.Selector{UserID: "alice"}) {
		if id.Place == "memories" {
			memories = append(memories, id)
		} else {
			others = append(others, id)
		}
	}
	before := c.rows()
	told := false
	no := store.WithAlong(c.ctx, func(context.Context, []store.ID) error { told = true; return errTold })
	if _, err := c.s.Erase(no, memories); told {
		if !errors.Is(err, errTold) {
			c.Errorf("error %v, want that of who was told", err)
		}
		if diff := cmp.Diff(before, c.rows()); diff != "" {
			c.Errorf("rows have gone in spite of who was told: (-before +after)\n%s", diff)
		}
	}
	c.erasesTelling(memories[:4], others)
	asked, rest := c.remaining(others), []store.ID(nil)
	if len(asked) > 0 {
		asked, rest = asked[:1], asked[1:]
	}
	c.erasesTelling(append(slices.Clone(memories[4:]), asked...), rest)
}

// erasesTelling erases ids, and wants to be told which of others have gone too.
func (c contract) erasesTelling(ids, others []store.ID) {
	c.Helper()
	there := c.remaining(others)
	var told []store.ID
	ctx := store.WithAlong(c.ctx, func(_ context.Context, also []store.ID) error { told = slices.Clone(also); return nil })
	if _, err := c.s.Erase(ctx, ids); err != nil {
		c.Fatalf("erase: %v", err)
	}
	left := c.remaining(others)
	want := slices.DeleteFunc(slices.Clone(there), func(id store.ID) bool { return slices.Contains(left, id) })
	if got, want := texts(told), texts(want); !slices.Equal(got, want) {
		c.Errorf("told that %v go along, %v did", got, want)
	}
}

func texts(ids []store.ID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.String()
	}
	slices.SortFunc(all, strings.Compare)
	return all
}
