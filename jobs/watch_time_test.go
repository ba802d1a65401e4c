package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// errDead is what a process is told that was killed.
var errDead = errors.New("killed")

// A grip is what a process has of the yard until it is killed.
type grip struct {
	*yard
	mu   sync.Mutex
	dead bool
}

func (g *grip) kill() { g.mu.Lock(); g.dead = true; g.mu.Unlock() }

func (g *grip) alive() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dead {
		return errDead
	}
	return nil
}

func (g *grip) TakeWatches(ctx context.Context, name string, until time.Time, limit int) ([]jobs.Watched, error) {
	if err := g.alive(); err != nil {
		return nil, err
	}
	return g.yard.TakeWatches(ctx, name, until, limit)
}

func (g *grip) EndWatches(ctx context.Context, done []jobs.Watched) error {
	if err := g.alive(); err != nil {
		return err
	}
	return g.yard.EndWatches(ctx, done)
}

func (g *grip) PutOff(ctx context.Context, list []jobs.Watched, until time.Time) error {
	if err := g.alive(); err != nil {
		return err
	}
	return g.yard.PutOff(ctx, list, until)
}

func (g *grip) Accept(ctx context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	if err := g.alive(); err != nil {
		return nil, nil, err
	}
	return g.yard.Accept(ctx, a)
}

// A watched is one world of this test: two stores, two processes.
type watched struct {
	t       *testing.T
	y       *yard
	d       *depot
	random  *rand.Rand
	group   sync.WaitGroup
	stops   [2]context.CancelFunc
	grips   [2]*grip
	afters  []time.Duration
	nobody  []span // times in which no process ran, or no store was up
	came    map[string]time.Time
	settled map[string]bool
}

type span struct {
	store    string // "" for both
	from, to time.Time
}

func (w *watched) start(i int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.grips[i], w.stops[i] = &grip{yard: w.y}, cancel
	keys := &ring{open: map[string]bool{}}
	names := []string{"s0", "s1"}
	in := &jobs.Intake{Ledger: w.grips[i], Keys: keys, Now: w.y.now, Stores: []jobs.StoreName{{Name: "s0", Kind: "memory"}, {Name: "s1", Kind: "memory"}}}
	one := &jobs.Watch{Ledger: w.grips[i], Keys: keys, Intake: in, Stores: w.d, Names: names, Erase: map[string]bool{}, Now: w.y.now, Logger: slog.New(slog.DiscardHandler), Turn: 10 * time.Minute}
	w.group.Go(func() { _ = one.Run(ctx) })
}

// complete is the end of a request that has erased a row in each store. At a random
// time after it a row of one store is back.
func (w *watched) complete(n int) {
	now := w.y.now()
	request := fmt.Sprint("r", n)
	m := jobs.NewMarker(jobs.EpochOf(now), make([]byte, 32))
	id := store.ID{Place: "rows", Key: request}
	w.y.mu.Lock()
	for _, name := range []string{"s0", "s1"} {
		w.y.graves = append(w.y.graves, jobs.Grave{Request: request, ErasedAt: now, Epoch: m.Epoch, Marks: m.Marks(name, []store.ID{id})})
		for _, after := range w.afters {
			due := now.Add(after)
			w.y.looks = append(w.y.looks, &look{Watched: jobs.Watched{Request: request, Store: name, DueAt: due}, next: due})
		}
	}
	w.y.mu.Unlock()
	if n%2 == 0 {
		return
	}
	name := fmt.Sprint("s", n/2%2)
	back := now.Add(time.Duration(w.random.Int64N(int64(28 * 24 * time.Hour))))
	w.came[name+request] = back
	time.AfterFunc(back.Sub(now), func() {
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		w.d.rows[name][id] = store.Row{ID: id, Made: now.Add(-time.Hour)}
	})
}

// erase does what workers do with what the watches have filed.
func (w *watched) erase() {
	w.y.mu.Lock()
	defer w.y.mu.Unlock()
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for request, ids := range w.y.filed {
		if w.y.ended[request] {
			continue
		}
		w.y.ended[request] = true
		for _, text := range ids {
			id, err := store.ParseID(text)
			if err != nil {
				w.t.Error(err)
			}
			gone := 0
			for _, rows := range w.d.rows {
				if _, there := rows[id]; there {
					gone++
					delete(rows, id)
				}
			}
			if gone != 1 {
				w.t.Errorf("%s was filed and is there %d times", text, gone)
			}
		}
	}
}

// idle is how long of a span of time nobody could look into a store.
func (w *watched) idle(name string, from, to time.Time) (d time.Duration) {
	for _, s := range w.nobody {
		if s.store != "" && s.store != name {
			continue
		}
		a, b := s.from, s.to
		if a.Before(from) {
			a = from
		}
		if b.After(to) {
			b = to
		}
		d += max(0, b.Sub(a))
	}
	return d
}

// For months two processes watch two stores. Requests end, rows come back; processes
// stop and are killed in the midst of a reading, one or both; stores are down when
// their time has come. Each look is done once, none is missed, and none later than
// two hours after somebody could; whatever came back before the last look is found by
// the first that is due after it.
func TestEveryLookIsDoneOnceWhateverHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const requests = 60
		w := &watched{
			t: t, random: rand.New(rand.NewPCG(8, 8)), came: map[string]time.Time{},
			afters: []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour},
			y:      &yard{now: func() time.Time { return time.Now().UTC() }, filed: map[string][]string{}, ended: map[string]bool{}, staged: map[string][]string{}},
			d:      &depot{rows: map[string]map[store.ID]store.Row{"s0": {}, "s1": {}}, down: map[string]bool{}},
		}
		w.start(0)
		w.start(1)
		pause := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); w.erase() {
				time.Sleep(min(time.Until(end), 20*time.Minute))
			}
		}
		for n := range requests {
			w.complete(n)
			pause(time.Duration(w.random.Int64N(int64(30 * time.Hour))))
			began := w.y.now()
			switch n % 6 {
			case 1: // one is killed in the midst of what it does, and another begins
				w.grips[0].kill()
				w.stops[0]()
				w.start(0)
			case 2: // nobody runs for days
				for i := range 2 {
					w.grips[i].kill()
					w.stops[i]()
				}
				pause(50 * time.Hour)
				w.nobody = append(w.nobody, span{"", began, w.y.now()})
				w.start(0)
				w.start(1)
			case 4: // a store is down
				name := fmt.Sprint("s", n/6%2)
				w.d.mu.Lock()
				w.d.down[name] = true
				w.d.mu.Unlock()
				pause(40 * time.Hour)
				w.nobody = append(w.nobody, span{name, began, w.y.now()})
				w.d.mu.Lock()
				w.d.down[name] = false
				w.d.mu.Unlock()
			case 5: // one stops in good order
				w.stops[1]()
				w.start(1)
			}
		}
		pause(32 * 24 * time.Hour)
		w.stops[0]()
		w.stops[1]()
		w.group.Wait()
		w.judge(requests)
	})
}

func (w *watched) judge(requests int) {
	w.t.Helper()
	found := map[string]time.Time{}
	late := time.Duration(0)
	for _, l := range w.y.looks {
		at := l.Store + l.Request
		switch {
		case l.done.IsZero():
			w.t.Errorf("the look at %s into %s, due at %s, was never done", l.Request, l.Store, l.DueAt)
			continue
		case l.done.Before(l.DueAt):
			w.t.Errorf("the look at %s was done before it was due", l.Request)
		}
		d := l.done.Sub(l.DueAt) - w.idle(l.Store, l.DueAt, l.done)
		if late = max(late, d); d > 2*time.Hour {
			w.t.Errorf("the look at %s into %s, due at %s, was done %s late", l.Request, l.Store, l.DueAt, d)
		}
		if l.Back > 0 {
			if !found[at].IsZero() && l.done.Sub(found[at]) > time.Hour {
				w.t.Errorf("%s was found twice", at)
			}
			found[at] = l.done
			if l.filed == "" {
				w.t.Errorf("of %s nothing was filed", at)
			}
		}
	}
	for at, back := range w.came {
		if found[at].IsZero() {
			w.t.Errorf("%s came back at %s and was never found", at, back)
		}
	}
	if w.y.doubled > 0 {
		w.t.Errorf("%d looks were answered by two", w.y.doubled)
	}
	left := len(w.d.rows["s0"]) + len(w.d.rows["s1"])
	if len(w.y.looks) != requests*8 || len(w.came) != requests/2 || len(found) != len(w.came) || left > 0 {
		w.t.Errorf("%d looks, %d came back, %d were found, %d are left", len(w.y.looks), len(w.came), len(found), left)
	}
	w.t.Logf("%d looks, at most %s late; %d came back", len(w.y.looks), late, len(w.came))
}
