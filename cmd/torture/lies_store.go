//go:build torture

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"lethe/store"
)

// A liar is a store that does what the case says it does wrong, and a book of
// what is true. Its places are memories and messages, and history, which hangs
// on memories. The book is the lab's: Lethe sees only what the methods say.
type liar struct {
	mu    sync.Mutex
	rng   *rand.Rand
	now   func() time.Time
	kinds []string // what it does wrong
	odds  float64  // how often; 0 once the faults have stopped
	done  map[string]int

	rows    map[store.ID]string // whose each row is
	history map[string]int      // rows that hang on a memory
	poison  map[store.ID]string // to the kind of trouble it makes
	coming  []comeback
	calls   int
	hook    func()              // what happens elsewhere while an Erase takes long
	pass    func(time.Duration) // lets time pass
	erased  func()              // is told of each Erase once the rows are gone

	lives     []lifespan            // of everything that was ever there
	alive     map[store.ID][]int    // which of them are of what is there now
	erasures  map[store.ID]int      // how often a call that named it took something away
	excess    map[store.ID]bool     // taken away without having been named
	misled    map[store.ID]bool     // others' rows that it said were the subject's
	asked     map[store.ID]bool     // named in an Erase
	showings  []showing             // what each reading left out
	subject   func(string) bool     // whether a user's rows are what the request is about
	selected  func(key string) bool // whether a key is among the IDs asked for
	newcomers int
}

// A lifespan is one row, or a memory's history, from when to when it was there.
type lifespan struct {
	id       store.ID
	user     string
	history  bool
	from, to time.Time // to is zero while it lives
}

// A comeback is a row that returns at the n-th call.
type comeback struct {
	id   store.ID
	user string
	call int
}

// A showing is one reading by one path: which of the subject's IDs it was to
// show and did not.
type showing struct {
	at    time.Time
	path  string
	about map[store.ID]bool // for "remaining": what was asked
	shown map[store.ID]bool
	low   bool // for "count": it counted fewer than there were
}

// errLiar is what the store says when it fails.
var errLiar = errors.New("the store does not feel like it")

func newLiar(rng *rand.Rand, now func() time.Time) *liar {
	return &liar{
		rng: rng, now: now, done: map[string]int{}, rows: map[store.ID]string{}, history: map[string]int{}, poison: map[store.ID]string{},
		alive: map[store.ID][]int{}, erasures: map[store.ID]int{}, excess: map[store.ID]bool{}, misled: map[store.ID]bool{}, asked: map[store.ID]bool{},
	}
}

func memoryID(key string) store.ID  { return store.ID{Place: "memories", Key: key} }
func messageID(key string) store.ID { return store.ID{Place: "messages", Key: "of-" + key} }

// put adds one memory, with its history and maybe its message.
func (l *liar) put(key, user string, message bool) {
	l.place(memoryID(key), user)
	l.write(key)
	if message {
		l.place(messageID(key), user)
	}
}

func (l *liar) place(id store.ID, user string) {
	if _, ok := l.rows[id]; !ok {
		l.lives = append(l.lives, lifespan{id: id, user: user, from: l.now()})
		l.alive[id] = append(l.alive[id], len(l.lives)-1)
	}
	l.rows[id] = user
}

// write adds to a memory's history.
func (l *liar) write(key string) {
	if l.history[key] == 0 {
		l.lives = append(l.lives, lifespan{id: memoryID(key), history: true, from: l.now()})
		l.alive[memoryID(key)] = append(l.alive[memoryID(key)], len(l.lives)-1)
	}
	l.history[key]++
}

// take removes a row with what hangs on it, and reports whether there was any.
func (l *liar) take(id store.ID) bool {
	if !l.left(id) {
		return false
	}
	at := l.now()
	for _, i := range l.alive[id] {
		l.lives[i].to = at
	}
	delete(l.alive, id)
	delete(l.rows, id)
	if id.Place == "memories" {
		delete(l.history, id.Key)
	}
	return true
}

func (l *liar) left(id store.ID) bool {
	_, ok := l.rows[id]
	return ok || id.Place == "memories" && l.history[id.Key] > 0
}

// enter begins a call: what was to come back by now does.
func (l *liar) enter(ctx context.Context) error {
	l.calls++
	l.coming = slices.DeleteFunc(l.coming, func(c comeback) bool {
		if c.call > l.calls {
			return false
		}
		l.place(c.id, c.user)
		return true
	})
	return ctx.Err()
}

// wrong draws what this call does wrong: one of its kinds that begins with the
// name of the operation, or "".
func (l *liar) wrong(op string) string {
	if l.odds == 0 || l.rng.Float64() >= l.odds {
		return ""
	}
	var mine []string
	for _, k := range l.kinds {
		if strings.HasPrefix(k, op) {
			mine = append(mine, k)
		}
	}
	if len(mine) == 0 {
		return ""
	}
	return mine[l.rng.IntN(len(mine))]
}

// did counts a fault that really was one.
func (l *liar) did(kind string) { l.done[kind]++ }

// stop ends all faults: from now on the store is as good as any.
func (l *liar) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.odds, l.poison = 0, map[store.ID]string{}
	for _, c := range l.coming {
		l.place(c.id, c.user)
	}
	l.coming = nil
}

// matching returns the IDs that sel selects, sorted.
func (l *liar) matching(sel store.Selector) []store.ID {
	var ids []store.ID
	if sel.ByID() {
		for _, key := range sel.IDs {
			if id := memoryID(key); l.left(id) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for id, user := range l.rows {
		if user == sel.UserID {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b store.ID) int { return strings.Compare(a.String(), b.String()) })
	return ids
}

// stranger returns a row that is not the subject's.
func (l *liar) stranger() (store.ID, bool) {
	var ids []store.ID
	for id, user := range l.rows {
		if !l.subject(user) && !l.selected(id.Key) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return store.ID{}, false
	}
	slices.SortFunc(ids, func(a, b store.ID) int { return strings.Compare(a.String(), b.String()) })
	return ids[l.rng.IntN(len(ids))], true
}

// Close implements store.Store.
func (l *liar) Close() error { return nil }
