//go:build torture

package main

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"lethe/store"
)

// Find implements store.Store, or does not.
func (l *liar) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		ids, err := l.find(ctx, sel)
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
		if err != nil {
			yield(store.ID{}, err)
		}
	}
}

func (l *liar) find(ctx context.Context, sel store.Selector) (ids []store.ID, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	honest := l.matching(sel)
	ids = slices.Clone(honest)
	kind := l.wrong("find-")
	switch kind {
	case "find-fails":
		ids, err = nil, errLiar
	case "find-breaks-off":
		ids, err = ids[:len(ids)/2], errLiar
	case "find-repeats":
		ids = append(ids, ids...)
	case "find-skips":
		if ids = ids[:l.rng.IntN(len(ids)+1)]; len(ids) == len(honest) {
			kind = ""
		}
	case "find-stale":
		kind = ""
		if gone, ok := l.ghost(); ok && !slices.Contains(ids, gone) {
			ids, kind = append(ids, gone), "find-stale"
		}
	case "find-strangers":
		kind = ""
		if other, ok := l.stranger(); ok {
			ids, kind = append(ids, other), "find-strangers"
			if !sel.ByID() { // of a list of IDs, Lethe can tell
				l.misled[other] = true
			}
		}
	case "find-nameless":
		ids = append(ids, store.ID{Place: "memories"})
	case "find-panics":
		l.did(kind)
		panic("find")
	}
	if kind != "" {
		l.did(kind)
	}
	l.showings = append(l.showings, showing{at: l.now(), path: "find", shown: setOf(ids)})
	return ids, err
}

// ghost returns a row that was there and is gone.
func (l *liar) ghost() (store.ID, bool) {
	for _, one := range l.lives {
		if !one.history && !l.left(one.id) && l.asked[one.id] {
			return one.id, true
		}
	}
	return store.ID{}, false
}

func setOf(ids []store.ID) map[store.ID]bool {
	set := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// Count implements store.Store, or does not.
func (l *liar) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	var all []store.ID
	for sel, err := range sels {
		if err != nil {
			return store.Census{}, err
		}
		l.mu.Lock()
		all = append(all, l.matching(sel)...)
		l.mu.Unlock()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return store.Census{}, err
	}
	n := map[string]int{}
	for id := range setOf(all) {
		n[id.Place]++
		if id.Place == "memories" {
			n["history"] += l.history[id.Key]
		}
	}
	kind := l.wrong("count-")
	low, strange, unattributable := false, "messages", 0
	switch kind {
	case "count-fails":
		l.did(kind)
		return store.Census{}, errLiar
	case "count-panics":
		l.did(kind)
		panic("count")
	case "count-high":
		n["memories"] += 7
	case "count-low":
		low = len(all) > 0
		clear(n)
		if !low {
			kind = ""
		}
	case "count-negative":
		n["history"], n["memories"], unattributable = -3, -1, -5
	case "count-strange":
		strange = "Nobody's place, told by nobody"
	}
	if kind != "" {
		l.did(kind)
	}
	l.showings = append(l.showings, showing{at: l.now(), path: "count", low: low || kind == "count-negative"})
	return store.Census{Unattributable: unattributable, Places: []store.PlaceCount{
		{Place: strange, Found: n["messages"]}, {Place: "memories", Found: n["memories"]}, {Place: "history", Found: n["history"], With: "memories"},
	}}, nil
}

// Remaining implements store.Store, or does not.
func (l *liar) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	var left []store.ID
	for _, id := range ids {
		if l.left(id) && !slices.Contains(left, id) {
			left = append(left, id)
		}
	}
	honest := len(left)
	kind := l.wrong("remaining-")
	switch kind {
	case "remaining-fails":
		l.did(kind)
		return nil, errLiar
	case "remaining-panics":
		l.did(kind)
		panic("remaining")
	case "remaining-early": // a replica that knows of no row yet
		if left = nil; honest == 0 {
			kind = ""
		}
	case "remaining-late": // a replica that does not know of the erasure yet
		if left = slices.Clone(ids); honest == len(ids) {
			kind = ""
		}
	case "remaining-strangers":
		kind = ""
		if other, ok := l.stranger(); ok {
			left, kind = append(left, other), "remaining-strangers"
		}
	}
	if kind != "" {
		l.did(kind)
	}
	l.showings = append(l.showings, showing{at: l.now(), path: "remaining", about: setOf(ids), shown: setOf(left)})
	return left, nil
}

// Purge implements store.Purger, or does not.
func (l *liar) Purge(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return err
	}
	kind := l.wrong("purge-")
	if kind != "" {
		l.did(kind)
	}
	switch kind {
	case "purge-busy":
		return fmt.Errorf("purge: %w", store.ErrBusy)
	case "purge-fails":
		return errLiar
	case "purge-panics":
		panic("purge")
	}
	return nil
}
