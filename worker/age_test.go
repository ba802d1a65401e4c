package worker

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"lethe/store"
	"lethe/store/storetest"
)

// plain is a store that knows nothing of ages, whatever it is asked.
type plain struct{ store.Store }

// linked is a store behind a Link, open.
func linked(t *testing.T, s store.Store) *Store {
	t.Helper()
	l := &Link{Name: "s", Logger: slog.New(slog.DiscardHandler), Now: time.Now, Open: func(context.Context) (store.Store, error) { return s, nil }}
	if err := l.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
	return &Store{Store: l, Name: "s"}
}

// A store that does not know of ages finds all of alice's rows for a selector of her
// old ones.
func TestAgeIsAskedOnlyOfWhoKnowsOfIt(t *testing.T) {
	ctx := t.Context()
	m := storetest.NewMemory(storetest.Record{ID: "1", UserID: "alice", Text: "t", Created: "2026-01-01"}, storetest.Record{ID: "2", UserID: "alice", Text: "t"})
	sel := store.Selector{UserID: "alice", CreatedBefore: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}
	find := func(s *Store) (ids []store.ID, err error) {
		for id, err := range s.Find(ctx, sel) {
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
		return ids, nil
	}
	for name, s := range map[string]*Store{"itself": {Store: m, Name: "s"}, "behind a link": linked(t, m)} {
		sweeps, err := s.sweepable(ctx)
		lists, listErr := s.identifying(ctx)
		if !sweeps || !lists || err != nil || listErr != nil {
			t.Errorf("%s: it sweeps %v and lists %v, errors %v and %v", name, sweeps, lists, err, listErr)
		}
		if ids, err := find(s); len(ids) != 1 || err != nil {
			t.Errorf("%s: %d found, want the old one; error %v", name, len(ids), err)
		}
		if now, err := s.Now(ctx); err != nil || time.Since(now).Abs() > time.Minute {
			t.Errorf("%s: now is %v, error %v", name, now, err)
		}
		if oldest, _, err := s.Span(ctx, sel); err != nil || oldest.Year() != 2026 {
			t.Errorf("%s: the oldest is of %v, error %v", name, oldest, err)
		}
		if n, err := s.Undated(ctx, sel); err != nil || n["memories"] != 1 {
			t.Errorf("%s: undated %v, error %v", name, n, err)
		}
		if kept, err := s.Kept(ctx, sel, []store.ID{{Place: "memories", Key: "1"}, {Place: "memories", Key: "2"}}); err != nil || len(kept) != 1 {
			t.Errorf("%s: %d kept, error %v", name, len(kept), err)
		}
		n := 0
		for id, err := range s.Identifiers(ctx) {
			if n++; err != nil || id.Value != "alice" {
				t.Errorf("%s: an identifier with error %v", name, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d identifiers, want one", name, n)
		}
	}
	for name, s := range map[string]*Store{"itself": {Store: plain{m}, Name: "s"}, "behind a link": linked(t, plain{m})} {
		if ids, err := find(s); len(ids) > 0 || !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: %d found by a store that knows of no age, error %v", name, len(ids), err)
		}
		if _, err := s.Count(ctx, sel.Only()); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: count: error %v, want ErrRefused", name, err)
		}
		_, now := s.Now(ctx)
		_, kept := s.Kept(ctx, sel, nil)
		for _, err := range []error{now, kept} {
			if !errors.Is(err, store.ErrRefused) {
				t.Errorf("%s: error %v, want ErrRefused", name, err)
			}
		}
		for _, err := range s.Identifiers(ctx) {
			if !errors.Is(err, store.ErrRefused) {
				t.Errorf("%s: identifiers: error %v, want ErrRefused", name, err)
			}
		}
	}
}

// A receipt says kept only where something must still hold.
func TestKeptIsNoAnswerToAnOrdinaryErasure(t *testing.T) {
	m := storetest.NewMemory(storetest.Record{ID: "1", UserID: "alice", Text: "t"})
	s := &Store{Store: keeper{m}, Name: "s"}
	ids := []store.ID{{Place: "memories", Key: "1"}}
	if _, err := s.Erase(t.Context(), ids); !errors.Is(err, errAbsurd) {
		t.Errorf("error %v, want that it makes no sense", err)
	}
	if r, err := s.Erase(store.WithStill(t.Context(), store.Selector{Orphaned: true}), ids); err != nil || r.Count(store.Kept) != 1 {
		t.Errorf("receipt %s, error %v", r, err)
	}
}

// keeper keeps everything.
type keeper struct{ store.Store }

func (keeper) Erase(_ context.Context, ids []store.ID) (store.Receipt, error) {
	receipt := make(store.Receipt, len(ids))
	for i := range receipt {
		receipt[i] = store.Kept
	}
	return receipt, nil
}
