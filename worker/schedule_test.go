package worker_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// TestNoScheduleLosesAHeldRow runs random schedules of holds against batches on a
// real ledger: holds are placed and released between any two steps of a worker,
// workers die between any two, and what a dead one has asked its store for may
// still happen as long as its lease lasts. No row may go once the hold on it has
// been answered, and every request must come to its end once the holds have.
//
// LETHE_SCHEDULES says how many (180), LETHE_SCHEDULE_SEED which (1).
func TestNoScheduleLosesAHeldRow(t *testing.T) {
	number := func(name string, otherwise uint64) uint64 {
		n, err := strconv.ParseUint(cmp.Or(os.Getenv(name), fmt.Sprint(otherwise)), 10, 64)
		if err != nil {
			t.Fatal(name)
		}
		return n
	}
	const shards = 16 // they wait more than they work
	n, seed := number("LETHE_SCHEDULES", 180), number("LETHE_SCHEDULE_SEED", 1)
	var mu sync.Mutex
	total := map[string]int{}
	t.Run("all", func(t *testing.T) {
		for shard := range uint64(shards) {
			t.Run(fmt.Sprint("Shard", shard), func(t *testing.T) {
				t.Parallel()
				var h *house
				for i := shard; i < n && !t.Failed(); i += shards {
					if i/shards%200 == 0 { // books do not grow for ever
						h = newHouse(t, "m")
					}
					s := newSchedule(h, seed, i)
					s.play()
					mu.Lock()
					for what, times := range s.tally {
						total[what] += times
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("seed %d, %d schedules: %v", seed, n, total)
	for _, what := range []string{"placed", "placed while a batch was at work", "died", "ghosts", "held", "erased"} {
		if total[what] == 0 && n >= 100 {
			t.Errorf("no schedule has %q: it shows nothing", what)
		}
	}
}

// A schedule is one case. What runs at once goes through its mutex only where it
// says so, so that Go's scheduler has its part in it.
type schedule struct {
	*house
	name  string
	rng   *rand.Rand // under mu
	m     *storetest.Memory
	world map[store.ID]storetest.Record
	all   sync.WaitGroup // of those who place holds

	mu     sync.Mutex
	orders []store.Selector          // of holds that are still to be placed
	placed map[string]store.Selector // answered, and nobody has begun to release them
	busy   int                       // batches at work
	ghosts [][]store.ID              // what the dead have asked for
	tally  map[string]int
	wrong  []string
}

func newSchedule(h *house, seed, number uint64) *schedule {
	s := &schedule{
		house: h, name: fmt.Sprintf("LETHE_SCHEDULE_SEED=%d, schedule %d", seed, number), rng: rand.New(rand.NewPCG(seed, number)),
		world: map[store.ID]storetest.Record{}, placed: map[string]store.Selector{}, tally: map[string]int{},
	}
	var all []storetest.Record
	for i := range 8 + s.rng.IntN(8) {
		r := storetest.Record{
			ID: fmt.Sprint("r", i), UserID: pick(s.rng, "alice", "Alice", "bob"), AgentID: pick(s.rng, "", "bot", "b_t"),
			Text: "t", Message: s.rng.IntN(3) == 0,
		}
		all = append(all, r)
		s.world[store.ID{Place: "memories", Key: r.ID}] = r
		if r.Message {
			s.world[store.ID{Place: "messages", Key: "of-" + r.ID}] = r
		}
	}
	s.m = storetest.NewMemory(all...)
	for range 1 + s.rng.IntN(3) {
		s.orders = append(s.orders, s.selector())
	}
	return s
}

func pick(rng *rand.Rand, from ...string) string { return from[rng.IntN(len(from))] }

func (s *schedule) selector() store.Selector {
	switch s.rng.IntN(4) {
	case 0:
		return store.Selector{IDs: []string{fmt.Sprint("r", s.rng.IntN(10)), fmt.Sprint("r", s.rng.IntN(10))}}
	case 1:
		return store.Selector{AgentID: pick(s.rng, "bot", "b_t")}
	case 2:
		return store.Selector{UserID: pick(s.rng, "alice", "bob"), AgentID: pick(s.rng, "bot", "b_t")}
	}
	return store.Selector{UserID: pick(s.rng, "alice", "Alice", "bob")}
}

// selects is the model of what a hold forbids.
func (s *schedule) selects(sel store.Selector, id store.ID) bool {
	r := s.world[id]
	if sel.ByID() {
		return id.Place == "memories" && slices.Contains(sel.IDs, id.Key)
	}
	return (sel.UserID == "" || sel.UserID == r.UserID) && (sel.AgentID == "" || sel.AgentID == r.AgentID)
}

func (s *schedule) chance(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n) == 0
}

func (s *schedule) count(what string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally[what] += n
}

// order places the next hold beside everything else, and may wait until it is
// added, or answered.
func (s *schedule) order() {
	s.mu.Lock()
	if len(s.orders) == 0 {
		s.mu.Unlock()
		return
	}
	sel := s.orders[0]
	s.orders = s.orders[1:]
	wait := time.Duration(s.rng.IntN(3)) * time.Millisecond
	if s.busy > 0 {
		s.tally["placed while a batch was at work"]++
	}
	s.mu.Unlock()
	s.all.Go(func() {
		c := s.custodian()
		c.Patience = time.Minute
		hold, err := c.PlaceHold(context.Background(), jobs.HoldOrder{Selector: sel, Reason: "litigation"}, jobs.ActorLocal)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			s.wrong = append(s.wrong, "place: "+err.Error())
			return
		}
		s.tally["placed"]++
		s.placed[hold.ID] = sel
	})
	time.Sleep(wait)
}

// releaseOne begins to release one hold, if there is any.
func (s *schedule) releaseOne() bool {
	s.mu.Lock()
	id := ""
	for _, one := range slices.Sorted(maps.Keys(s.placed)) {
		id = one
		break
	}
	delete(s.placed, id)
	s.mu.Unlock()
	if id == "" {
		return false
	}
	if _, err := s.custodian().ReleaseHold(context.Background(), id, "settled", jobs.ActorLocal); err != nil {
		s.complain("release: " + err.Error())
	}
	return true
}

func (s *schedule) complain(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, what)
}

// step is between any two steps of a worker.
func (s *schedule) step() {
	switch {
	case s.chance(6):
		s.order()
	case s.chance(12):
		s.releaseOne()
	case s.chance(25):
		s.count("died", 1)
		runtime.Goexit() // nobody recovers from that
	case s.chance(4):
		time.Sleep(200 * time.Microsecond)
	default:
		runtime.Gosched()
	}
}

// erase is what the store does: what it takes and what holds forbid then are
// looked at in one moment.
func (s *schedule) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left, err := s.m.Remaining(context.WithoutCancel(ctx), ids)
	if err != nil {
		return nil, err
	}
	for _, id := range left {
		for _, sel := range s.placed {
			if s.selects(sel, id) {
				s.wrong = append(s.wrong, "a held row was erased: "+id.String())
			}
		}
	}
	s.tally["erased"] += len(left)
	return s.m.Erase(ctx, ids)
}

// lease of one that has.
func (s *schedule) answer(e *worker.Eraser, r jobs.Ring) {
	ctx, die := context.WithCancel(context.Background())
	defer die()
	s.mu.Lock()
	s.busy++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.busy--
		s.mu.Unlock()
	}()
	if err := e.Handle(ctx, r); err != nil {
		s.complain("answer: " + err.Error())
	}
}

func (s *schedule) play() {
	var ids []string
	for range 1 + s.rng.IntN(2) {
		ids = append(ids, s.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: pick(s.rng, "alice", "bob", "Alice")}}))
	}
	e := s.eraser(&worker.Store{Store: watched{s.m, s}, Name: "m", Kind: "memory", Concurrency: 3})
	e.Ledger = stepping{s.ledger, s}
	over := func() bool {
		s.mu.Lock()
		done := len(s.orders) == 0
		s.mu.Unlock()
		for _, id := range ids {
			done = done && s.request(id).Status.Ended()
		}
		return done
	}
	for turn := 0; !over(); turn++ {
		if turn > 500 {
			s.t.Fatalf("%s: never ends\n%v", s.name, s.wrong)
		}
		rings := s.rings()
		var workers sync.WaitGroup
		for _, r := range rings {
			workers.Go(func() { s.answer(e, r) })
		}
		if s.chance(3) {
			s.order()
		}
		workers.Wait()
		if len(rings) == 0 {
			s.idle(turn)
		}
	}
	s.finishUp(ids)
}

// idle lets happen what the dead have asked for, and then their leases end. It
// must be in this order: that of the lease and the end of its worker's time.
func (s *schedule) idle(turn int) {
	s.order()
	for range 2 {
		if s.chance(2) { // a service begins anew
			s.restart()
		}
		time.Sleep(time.Millisecond) // for who places a hold
	}
	s.mu.Lock()
	ghosts := s.ghosts
	s.ghosts = nil
	s.mu.Unlock()
	for _, ids := range ghosts {
		if _, err := s.erase(context.Background(), ids); err != nil {
			s.complain("a ghost: " + err.Error())
		}
	}
	s.clock.add(9 * time.Second)
	s.reconcile()
	if err := s.custodian().Turn(context.Background()); err != nil {
		s.complain("turn: " + err.Error())
	}
	if turn > 20 {
		s.all.Wait()
		s.releaseOne()
	}
}

func (s *schedule) finishUp(ids []string) {
	s.all.Wait()
	for s.releaseOne() {
	}
	for _, id := range ids {
		c := s.completed(id).Stores[0]
		if c.Held != 0 || c.Erased+c.Absent != c.Found {
			s.complain(fmt.Sprintf("certified: found %d erased %d absent %d held %d", c.Found, c.Erased, c.Absent, c.Held))
		}
	}
	if list, err := s.ledger.Holds(context.Background()); err != nil || len(list) != 0 {
		s.complain(fmt.Sprintf("%d holds stand, error %v", len(list), err))
	}
	s.tally["schedules"]++
	if len(s.wrong) > 0 {
		s.t.Errorf("%s\n%v", s.name, s.wrong)
	}
}
