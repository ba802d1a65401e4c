package storetest_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"lethe/store"
	"lethe/store/storetest"
)

// found counts what a Memory yields for alice.
func found(t *testing.T, m *storetest.Memory) int {
	t.Helper()
	n := 0
	for _, err := range m.Find(t.Context(), store.Selector{UserID: "alice"}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestFaultsOfErase(t *testing.T) {
	ids := []store.ID{{Place: "memories", Key: "1"}, {Place: "memories", Key: "2"}}
	for _, c := range []struct {
		name                         string
		set                          func(*storetest.Faults)
		fails                        bool
		erased, remaining, foundThen int
	}{
		{"None", func(*storetest.Faults) {}, false, 2, 0, 0},
		{"Fail", func(f *storetest.Faults) { f.Fail = map[storetest.Op]int{storetest.Erase: 1} }, true, 0, 2, 2},
		{"FailAfter", func(f *storetest.Faults) { f.FailAfter = 1 }, true, 0, 0, 0},
		{"Lie", func(f *storetest.Faults) { f.Lie = 1 }, false, 2, 2, 2},
		{"Poison", func(f *storetest.Faults) { f.Poison = map[store.ID]bool{ids[1]: true} }, true, 0, 2, 2},
		{"Refuse", func(f *storetest.Faults) { f.Refuse = map[store.ID]bool{ids[1]: true} }, false, 1, 1, 1},
		{"Resurrect", func(f *storetest.Faults) { f.Resurrect = 1 }, false, 2, 0, 2},
		{"Arrive", func(f *storetest.Faults) { f.Arrive = []storetest.Record{{ID: "3", UserID: "alice"}} }, false, 2, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := storetest.NewMemory(storetest.Record{ID: "1", UserID: "alice"}, storetest.Record{ID: "2", UserID: "alice"})
			m.Set(c.set)
			r, err := m.Erase(t.Context(), ids)
			if errors.Is(err, storetest.ErrFault) != c.fails || r.Count(store.Erased) != c.erased {
				t.Errorf("erased %d, error %v", r.Count(store.Erased), err)
			}
			left, err := m.Remaining(t.Context(), ids)
			if err != nil || len(left) != c.remaining {
				t.Errorf("%d remaining, error %v; want %d", len(left), err, c.remaining)
			}
			if got := found(t, m); got != c.foundThen {
				t.Errorf("found %d afterwards, want %d", got, c.foundThen)
			}
			if m.Calls(storetest.Erase) != 1 {
				t.Errorf("%d calls, want 1", m.Calls(storetest.Erase))
			}
		})
	}
}

func TestBusyPurge(t *testing.T) {
	m := storetest.NewMemory()
	m.Set(func(f *storetest.Faults) { f.BusyPurges = 1 })
	if err := m.Purge(t.Context()); !errors.Is(err, store.ErrBusy) {
		t.Errorf("error %v, want ErrBusy", err)
	}
	if err := m.Purge(t.Context()); err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestSlowEndsWithItsContext(t *testing.T) {
	m := storetest.NewMemory()
	m.Set(func(f *storetest.Faults) { f.Slow = time.Hour })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.Erase(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
