//go:build torture

package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lethe/store"
)

// lieKinds returns all that a store can do wrong. The part before the first
// dash is the operation.
func lieKinds() []string {
	return []string{
		"erase-fails", "erase-fails-after", "erase-fails-half", "erase-lies", "erase-lies-half", "erase-short", "erase-long", "erase-strange",
		"erase-denies", "erase-too-much", "erase-panics", "erase-panics-after", "erase-outlived", "erase-holds",
		"erase-arrivals", "erase-resurrects", "erase-refuses-one", "erase-poison", "erase-poison-panics", "erase-slow", "erase-history",
		"remaining-fails", "remaining-early", "remaining-late", "remaining-strangers", "remaining-panics",
		"find-fails", "find-breaks-off", "find-repeats", "find-skips", "find-stale", "find-strangers", "find-nameless", "find-panics",
		"count-fails", "count-high", "count-low", "count-negative", "count-strange", "count-panics",
		"purge-busy", "purge-fails", "purge-panics",
	}
}

// spoils are the lies after which the store's own figures are not the truth:
// what it says it erased cannot be compared with what it did.
func spoils() []string {
	return []string{"erase-denies", "find-repeats", "find-stale", "remaining-late", "remaining-early"}
}

// Erase implements store.Store, or does not.
func (l *liar) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enter(ctx); err != nil {
		return nil, err
	}
	for _, id := range ids {
		l.asked[id] = true
	}
	kind := l.wrong("erase-")
	if err := l.before(kind, ids); err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		receipt[i] = l.eraseOne(kind, i, len(ids), id)
	}
	return l.after(kind, ids, receipt)
}

// before is what goes wrong before anything is erased.
func (l *liar) before(kind string, ids []store.ID) error {
	for _, id := range ids {
		switch l.poison[id] {
		case "erase-poison":
			return errLiar
		case "erase-poison-panics":
			panic("poison")
		}
	}
	switch kind {
	case "erase-fails":
		l.did(kind)
		return errLiar
	case "erase-panics":
		l.did(kind)
		panic("erase")
	case "erase-poison", "erase-poison-panics", "erase-refuses-one":
		if len(l.poison) == 0 {
			l.did(kind)
			l.poison[ids[l.rng.IntN(len(ids))]] = kind // and it stays so
		}
	case "erase-slow":
		l.did(kind)
		l.pass(time.Duration(l.rng.IntN(20)) * time.Second)
	case "erase-outlived": // another worker does the same meanwhile
		if hook := l.hook; hook != nil {
			l.did(kind)
			l.hook = nil
			l.mu.Unlock()
			hook()
			l.mu.Lock()
			l.hook = hook
		}
	case "erase-arrivals":
		l.did(kind)
		l.arrive()
	}
	return nil
}

// arrive adds memories: one of the subject, and one of a neighbour.
func (l *liar) arrive() {
	l.newcomers++
	for _, user := range []string{canary + "alice", canary + "bob"} {
		l.put(fmt.Sprintf("%s-late-%d", user, l.newcomers), user, l.rng.IntN(2) == 0)
	}
}

func (l *liar) eraseOne(kind string, i, n int, id store.ID) store.Outcome {
	there := l.left(id)
	switch {
	case l.poison[id] == "erase-refuses-one":
		return store.Refused
	case kind == "erase-holds" && i == 0 && there:
		l.did(kind)
		return store.Held
	case there && (kind == "erase-lies" || kind == "erase-lies-half" && i >= n/2):
		l.did(kind)
		return store.Erased
	case kind == "erase-fails-half" && i >= n/2:
		return store.Absent
	case !there:
		return store.Absent
	}
	user := l.rows[id]
	l.take(id)
	l.erasures[id]++
	switch kind {
	case "erase-resurrects":
		if user != "" {
			l.did(kind)
			l.coming = append(l.coming, comeback{id, user, l.calls + 1 + l.rng.IntN(4)})
		}
	case "erase-history": // an application writes about a memory that is gone
		if id.Place == "memories" {
			l.did(kind)
			l.write(id.Key)
		}
	case "erase-denies":
		l.did(kind)
		return store.Absent
	}
	return store.Erased
}

// after is what goes wrong once the rows are gone.
func (l *liar) after(kind string, ids []store.ID, receipt store.Receipt) (store.Receipt, error) {
	switch kind {
	case "erase-fails-after", "erase-fails-half":
		l.did(kind)
		return nil, errLiar
	case "erase-panics-after":
		l.did(kind)
		panic("erased")
	case "erase-short":
		l.did(kind)
		return receipt[:l.rng.IntN(len(receipt))], nil
	case "erase-long":
		l.did(kind)
		return append(receipt, store.Erased), nil
	case "erase-strange":
		l.did(kind)
		receipt[l.rng.IntN(len(receipt))] = store.Outcome("\x00xEz"[l.rng.IntN(4)])
	case "erase-too-much":
		if other, ok := l.stranger(); ok && !slices.Contains(ids, other) {
			l.did(kind)
			l.take(other)
			l.excess[other] = true
		}
	}
	return receipt, nil
}
