package storetest

import (
	"context"
	"errors"
	"strings"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
)

// findError returns the only answer of a Find that must fail.
func (c contract) findError(ctx context.Context, sel store.Selector) error {
	c.Helper()
	var failed error
	n := 0
	for id, err := range c.s.Find(ctx, sel) {
		n++
		failed = err
		if id != (store.ID{}) {
			c.Error("an id comes with the error")
		}
	}
	if n != 1 || failed == nil {
		c.Errorf("%d answers, error %v; want one error", n, failed)
	}
	return failed
}

func refusesEmptySelector(c contract) {
	c.add(of("alice", 3)...)
	for _, sel := range []store.Selector{
		{},
		{UserID: " "},
		{UserID: "*"},
		{IDs: []string{""}},
		{IDs: []string{"a"}, UserID: "b"},
		{UserID: "a", RunID: "%"},
		{Metadata: map[string]store.Value{}},
		{Metadata: map[string]store.Value{"k": {}}},
		{Metadata: map[string]store.Value{"": store.BoolValue(true)}},
	} {
		if err := c.findError(c.ctx, sel); !errors.Is(err, store.ErrSelector) {
			c.Errorf("find: error %v, want ErrSelector", err)
		}
		if _, err := c.s.Count(c.ctx, sel.Only()); !errors.Is(err, store.ErrSelector) {
			c.Errorf("count: error %v, want ErrSelector", err)
		}
	}
}

func batchOverLimitIsRefused(c contract) {
	c.add(of("alice", 3)...)
	before := c.rows()
	ids := make([]store.ID, store.MaxBatch+1)
	keys := make([]string, len(ids))
	for i := range ids {
		keys[i] = "alice-" + itoa(i)
		ids[i] = store.ID{Place: "memories", Key: keys[i]}
	}
	if _, err := c.s.Erase(c.ctx, ids); !errors.Is(err, store.ErrRefused) {
		c.Errorf("erase: error %v, want ErrRefused", err)
	}
	if _, err := c.s.Remaining(c.ctx, ids); !errors.Is(err, store.ErrRefused) {
		c.Errorf("remaining: error %v, want ErrRefused", err)
	}
	if err := c.findError(c.ctx, store.Selector{IDs: keys}); !errors.Is(err, store.ErrRefused) {
		c.Errorf("find: error %v, want ErrRefused", err)
	}
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		c.Errorf("rows changed:\n%s", diff)
	}
}

func unknownPlaceIsRefused(c contract) {
	c.add(of("alice", 3)...)
	before := c.rows()
	for _, place := range []string{"", "nowhere", "history"} {
		ids := []store.ID{{Place: "memories", Key: "alice-a-0"}, {Place: place, Key: "alice-a-0"}}
		if _, err := c.s.Erase(c.ctx, ids); !errors.Is(err, store.ErrRefused) {
			c.Errorf("erase in place %q: error %v, want ErrRefused", place, err)
		}
		if _, err := c.s.Remaining(c.ctx, ids); !errors.Is(err, store.ErrRefused) {
			c.Errorf("remaining in place %q: error %v, want ErrRefused", place, err)
		}
	}
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		c.Errorf("rows changed:\n%s", diff)
	}
}

func stopsOnCancel(c contract) {
	c.add(of("alice", 30)...)
	before := c.rows()
	ids := c.find(store.Selector{UserID: "alice"})
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	n := 0
	var last error
	for _, err := range c.s.Find(ctx, store.Selector{UserID: "alice"}) {
		cancel()
		n++
		last = err
	}
	if n < len(ids) && !errors.Is(last, context.Canceled) {
		c.Errorf("find ended after %d of %d with error %v, want context.Canceled", n, len(ids), last)
	}
	calls := map[string]func() error{
		"find":      func() error { return c.findError(ctx, store.Selector{UserID: "alice"}) },
		"find ids":  func() error { return c.findError(ctx, store.Selector{IDs: []string{"alice-a-0"}}) },
		"count":     func() error { _, err := c.s.Count(ctx, store.Selector{UserID: "alice"}.Only()); return err },
		"erase":     func() error { _, err := c.s.Erase(ctx, ids); return err },
		"remaining": func() error { _, err := c.s.Remaining(ctx, ids); return err },
	}
	if p, ok := c.s.(store.Purger); ok {
		calls["purge"] = func() error { return p.Purge(ctx) }
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			c.Errorf("%s: error %v, want context.Canceled", name, err)
		}
	}
	if diff := cmp.Diff(before, c.rows()); diff != "" {
		c.Errorf("rows changed:\n%s", diff)
	}
	c.erase(ids) // the store is still good
}

func errorsNameNobody(c contract) {
	const who = "someone-SECRET-alice"
	c.add(of("alice", 3)...)
	ctx, cancel := context.WithCancel(c.ctx)
	cancel()
	id := store.ID{Place: "memories", Key: who}
	var all []error
	note := func(err error) { all = append(all, err) }
	note(c.findError(ctx, store.Selector{UserID: who}))
	note(c.findError(c.ctx, store.Selector{UserID: who, IDs: []string{who}}))
	note(c.findError(c.ctx, store.Selector{UserID: who + strings.Repeat("x", store.MaxValueBytes)}))
	note(c.findError(c.ctx, store.Selector{UserID: who, Metadata: map[string]store.Value{who: {}}}))
	_, err := c.s.Count(ctx, store.Selector{UserID: who}.Only())
	note(err)
	_, err = c.s.Erase(ctx, []store.ID{id})
	note(err)
	_, err = c.s.Erase(c.ctx, []store.ID{{Place: who, Key: who}})
	note(err)
	_, err = c.s.Remaining(ctx, []store.ID{id})
	note(err)
	_, err = c.s.Remaining(c.ctx, []store.ID{{Place: who, Key: who}})
	note(err)
	for i, err := range all {
		if err == nil {
			c.Errorf("call %d has no error", i)
		} else if strings.Contains(err.Error(), "SECRET") {
			c.Errorf("call %d names someone: %v", i, err)
		}
	}
}
