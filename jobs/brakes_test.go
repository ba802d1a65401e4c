package jobs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// LETHE_BRAKES is how many random policies are tried: make torture asks for more.
func brakesTried(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("LETHE_BRAKES"))
	if err != nil {
		return 500
	}
	return n
}

// A field is a table of rows with ages, and the rows that are held.
type field struct {
	total, old int
}

// Whatever a policy says, and however its store comes to be: nothing of a sweep is
// erased without an approval that is beyond its brakes. The oracle counts for
// itself, from the numbers that were drawn.
func TestNoPolicyErasesBeyondItsBrakes(t *testing.T) {
	erased, waited := 0, 0
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	for n := range brakesTried(t) {
		random := rand.New(rand.NewPCG(uint64(n), 8))
		p, rules := randomPolicy(random), randomRules(random)
		if err := p.Check(); err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		s := newShelf(func() time.Time { return now })
		f := field{}
		l := larder{
			clock: func(string) (time.Time, error) { return now, nil },
			sight: func(string, store.Selector) (jobs.SweepSight, error) { return rows(f.old, f.total) },
		}
		sweeper := newSweeper(s, l, func() time.Time { return now }, p)
		var usual []int // what was erased before, newest last
		for range 1 + random.IntN(10) {
			f.total = random.IntN(3000)
			f.old = random.IntN(f.total + 1)
			if random.IntN(3) > 0 {
				f.old = min(f.old, 20+random.IntN(200))
			}
			list, err := sweeper.Sweep(t.Context(), jobs.ActorLocal, p.Name)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d: %v", n, err)
			}
			now = now.Add(time.Hour)
			if list[0].State != jobs.SweepFiled {
				if f.old > 0 {
					t.Fatalf("%d: %d rows are old and %s", n, f.old, list[0].State)
				}
				continue
			}
			r := s.requests[list[0].Request]
			planned := f.old + random.IntN(3)*random.IntN(200) // rows may have come since
			total := max(f.total, planned)
			beyond := rules.Under(r.Brakes).Judge([]jobs.Job{{Store: "s", Places: []jobs.PlaceCount{{Place: "memories", Found: planned, Total: total}}}})
			if why := beyondBrakes(p, rules, planned, total, usual); (why != "") != (len(beyond) > 0) {
				t.Fatalf("%d: %d of %d rows, usual %v, policy %d rows %g, rules %+v: judged %v, want %q", n, planned, total, usual, p.MaxRows, p.MaxFraction, rules, beyond, why)
			}
			if len(beyond) > 0 {
				waited++
				r.status = jobs.Rejected // and what was refused is no usual count
				continue
			}
			erased++
			usual = append(usual, f.old)
		}
	}
	t.Logf("%d sweeps erased, %d waited", erased, waited)
	if n := brakesTried(t); erased < n/2 || waited < n/2 {
		t.Errorf("%d policies show nothing: %d sweeps erased, %d waited", n, erased, waited)
	}
}

// beyondBrakes says in its own words why so many rows are too many.
func beyondBrakes(p jobs.Policy, rules jobs.Rules, found, total int, usual []int) string {
	maxRows, maxFraction, from := rules.MaxRows, rules.MaxFraction, rules.FractionFrom
	if own, ok := rules.Stores["s"]; ok {
		maxRows, maxFraction, from = own.MaxRows, own.MaxFraction, own.FractionFrom
	}
	if p.MaxRows > 0 {
		maxRows = p.MaxRows
	}
	if p.MaxFraction > 0 {
		maxFraction, from = p.MaxFraction, 0
	}
	switch {
	case rules.Always:
		return "always"
	case maxRows > 0 && found > maxRows:
		return "rows"
	case maxFraction > 0 && found > 0 && found >= from && float64(found)/float64(total) > maxFraction+1e-12:
		return "fraction"
	}
	if usual = usual[max(0, len(usual)-7):]; len(usual) > 0 && found > 100 {
		below := 0 // the middle one, by counting
		for _, u := range usual {
			smaller, same := 0, 0
			for _, v := range usual {
				if v < u {
					smaller++
				} else if v == u {
					same++
				}
			}
			if smaller <= (len(usual)-1)/2 && smaller+same > (len(usual)-1)/2 {
				below = u
			}
		}
		if found > 5*below {
			return "unusual"
		}
	}
	return ""
}

func randomPolicy(random *rand.Rand) jobs.Policy {
	every, _ := jobs.Every(time.Hour * time.Duration(1+random.IntN(1000)))
	p := jobs.Policy{Name: fmt.Sprint("p", random.IntN(1000)), Stores: []string{"s"}, Schedule: every}
	switch random.IntN(3) {
	case 0:
		p.Expired = true
	case 1:
		p.OlderThan = jobs.MinAge + time.Duration(random.IntN(10000))*time.Hour
	default:
		p.Expired, p.OlderThan, p.Who.AgentID = true, 24*time.Hour, "support-bot"
	}
	if random.IntN(2) == 0 {
		p.MaxRows = 1 + random.IntN(1000)
	}
	if random.IntN(2) == 0 {
		p.MaxFraction = 1 - random.Float64()
	}
	return p
}

func randomRules(random *rand.Rand) jobs.Rules {
	limits := func() jobs.Limits {
		return jobs.Limits{MaxRows: random.IntN(2) * random.IntN(2000), MaxFraction: float64(random.IntN(2)) * random.Float64(), FractionFrom: 1 + random.IntN(1500)}
	}
	r := jobs.Rules{Limits: limits(), Always: random.IntN(20) == 0}
	if random.IntN(3) == 0 {
		r.Stores = map[string]jobs.Limits{"s": limits()}
	}
	return r
}
