package jobs

import (
	"context"
	"errors"
	"slices"
	"time"

	"lethe/store"
)

// A SweepState says what became of a tick.
type SweepState string

// The states of a Sweep.
const (
	SweepOpen    SweepState = "open"    // not run yet, and tried again each minute
	SweepFiled   SweepState = "filed"   // its Request stands
	SweepEmpty   SweepState = "empty"   // it found nothing that may be erased
	SweepCovered SweepState = "covered" // it could not be run before the next tick, which covers it
	SweepRefused SweepState = "refused" // run by hand, and could not be
)

// Why a sweep could not be run. They label a metric, so they are a closed set. A
// tick of a schedule stays open then.
const (
	RefusedDown    = "store-down"
	RefusedError   = "store-error"
	RefusedUnable  = "store-unable" // the store cannot select by age
	RefusedSkew    = "clock-skew"   // between the store's clock and ours
	RefusedBack    = "clock-back"   // the store's clock, or ours, was set back
	RefusedJump    = "clock-jump"   // ours was set forward while we ran
	RefusedOverlap = "overlap"      // the request of an earlier sweep has not ended
)

// SweepRefusals returns every reason.
func SweepRefusals() []string {
	return []string{RefusedDown, RefusedError, RefusedUnable, RefusedSkew, RefusedBack, RefusedJump, RefusedOverlap}
}

// ExplainRefusal says in words why a sweep could not be run, and what to do.
func ExplainRefusal(reason string) string {
	switch reason {
	case RefusedDown:
		return "the store is down: the sweep is run when it is back; /readyz says why"
	case RefusedError:
		return "the store did not answer as it should: the service's log says how"
	case RefusedUnable:
		return "the store cannot select what the policy asks for: it keeps no such times"
	case RefusedSkew:
		return "the store's clock and ours differ by more than a minute: set them right"
	case RefusedBack:
		return "the clock was set back since the last sweep: set it right or, if it is right now, run the policy by hand once"
	case RefusedJump:
		return "the clock was set forward while the service ran: set it right or, if it is right now, run the policy by hand once"
	case RefusedOverlap:
		return "the request of an earlier sweep has not ended: it is run when that has; lethe status says how far it is"
	}
	return reason
}

// A Sweep is one run of a policy in one store: a tick of its schedule, or one by
// hand.
type Sweep struct {
	ID            string // UUID version 7
	Policy, Store string
	DueAt         time.Time
	By            string // opaque ID of who ran it by hand; "" for a tick
	Missed        int    // earlier ticks that it covers, in which no service ran
	State         SweepState
	Reason        string    // why it could not be run, when it was last tried; "" otherwise
	NextAt        time.Time // when an open one is tried next
	AsOf          time.Time // of the store's clock, from which the cut-offs are taken; zero before
	Found         int       // rows
	Held          int       // IDs that holds forbid to erase, if it found nothing else
	Undated       int       // rows that do not say how old they are in a way that can be read; left alone
	Request       string    // ID, or ""
	Status        Status    // of the request, or ""
	DoneAt        *time.Time
}

// A Swept is what the ledger knows of a policy in a store.
type Swept struct {
	Since  time.Time // when it was first seen: ticks count from then on
	Newest time.Time // the newest tick that was taken; Since before the first
	Open   *Sweep    // a tick that was taken and is not done
	AsOf   time.Time // of the last sweep that was done; zero before the first
	Busy   bool      // a request of it has not ended
	Usual  []int     // what the last sweeps found that found anything, but for what was rejected or cancelled
}

// Errors of a ledger that is asked to take down what became of a sweep.
var (
	ErrSwept   = errors.New("the sweep has been run") // by another process, or a later tick covers it
	ErrOverlap = errors.New("an earlier sweep has not ended")
)

// A SweepLedger is what a Sweeper needs of the book's keeper. Filing is done by
// Ledger.Accept: in one transaction with the sweep's row, if that is still open and
// nothing of the policy in that store is under way; else its error wraps ErrSwept
// or ErrOverlap and nothing is written.
type SweepLedger interface {
	// Swept returns what is known, and notes the time of the first call.
	Swept(ctx context.Context, policy, storeName string) (Swept, error)
	// OpenSweep takes a tick, if after is still the newest that was taken. A tick
	// that is open is covered by it. Of several that take it, one does.
	OpenSweep(ctx context.Context, s Sweep, after time.Time) (taken bool, err error)
	// RunSweep notes a sweep by hand. Ticks that were taken for the future by a clock
	// that was wrong do not count any more.
	RunSweep(ctx context.Context, s Sweep) error
	// TrySweep says that an open tick is being run, and not to be tried by others
	// until a time; false if it is not open, or not to be tried yet.
	TrySweep(ctx context.Context, id string, until time.Time) (bool, error)
	// RefuseSweep counts that a policy could not be run. With an ID the sweep says
	// why; one by hand has ended with it.
	RefuseSweep(ctx context.Context, id, policy, reason string) error
	// EndSweep says of an open sweep that it found nothing; ErrSwept if it is not.
	EndSweep(ctx context.Context, s Sweep) error
	// LastSweeps returns the newest sweeps of a policy, newest first.
	LastSweeps(ctx context.Context, policy string, limit int) ([]Sweep, error)
}

// A SweepSight is what a policy would erase in one store now. It may be asked for
// with or without the ages, which cost one more reading.
type SweepSight struct {
	Store          string
	AsOf           time.Time
	Places         []PlaceCount
	IDs            int            // of the rows that stand on their own
	Held           int            // of them, those that holds forbid to erase
	Undated        map[string]int // by place
	Oldest, Newest time.Time      // of the rows found, when they were made or ended; zero if not asked, or for none
	Beyond         []Excess       // why its request would wait for an approval
	Refused        string         // why it could not be run, or ""; nothing else is told then
}

// rows is how many rows would be erased.
func (s SweepSight) rows(orphaned bool) int {
	j := Job{Places: s.Places, Found: s.IDs}
	if orphaned {
		j.Places = hanging(j.Places)
	}
	return j.rows()
}

func (s SweepSight) undated() int {
	n := 0
	for _, of := range s.Undated {
		n += of
	}
	return n
}

// AgedStores is how a Sweeper looks into stores. An error wraps store.ErrUnavailable
// if the store is down, and ErrUnable if it cannot select by age.
type AgedStores interface {
	// Clock returns the time by the clock of the store's own database.
	Clock(ctx context.Context, storeName string) (time.Time, error)
	// Sight counts what a selector selects; with ages, how old that is.
	Sight(ctx context.Context, storeName string, sel store.Selector, ages bool) (SweepSight, error)
}

// ErrUnable is wrapped for a store that cannot select by age.
var ErrUnable = errors.New("the store cannot select by age")

// A PolicyView is a policy with what has become of it.
type PolicyView struct {
	Policy
	Next   time.Time // the next tick; zero for none
	Sweeps []Sweep   // the newest, newest first
}

// Sweeps is what a door may ask about policies. *Sweeper is one.
//
// Methods may be called concurrently. Their errors wrap ErrForbidden, or
// ErrNotFound for a policy that is not configured.
type Sweeps interface {
	Policies(ctx context.Context, by Actor) ([]PolicyView, error)
	// Preview says what a policy would erase now. It changes nothing.
	Preview(ctx context.Context, by Actor, policy string) ([]SweepSight, error)
	// Sweep runs a policy now, in each of its stores. It is filed by the actor, so he
	// is none who could approve it. A store in which it cannot be run has a Sweep
	// that says why.
	Sweep(ctx context.Context, by Actor, policy string) ([]Sweep, error)
}

// median returns the middle one of some numbers, the lower of two.
func median(of []int) int {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[(len(sorted)-1)/2]
}
