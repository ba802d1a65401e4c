package jobs

import (
	"regexp"
	"time"

	"lethe/audit/fault"
	"lethe/store"
)

// Bounds of the age that a policy may ask for. Below, a mistaken unit is likelier
// than a will; above, nothing is that old.
const (
	MinAge = time.Hour
	MaxAge = 100 * 365 * 24 * time.Hour
)

// A Policy is a retention rule: what is erased by the clock, and nobody has to
// ask for. Each of its sweeps files an ordinary Request in each of its stores.
// All that is given of Who, Expired and OlderThan must hold of a row.
type Policy struct {
	Name     string
	Stores   []string // names, in the order of the configuration
	Schedule Schedule
	When     string // the schedule, as people write it

	Who       store.Selector // identity keys and metadata; may be zero
	Expired   bool           // rows that say when they end, and have
	OlderThan time.Duration  // rows that were made so long ago; 0 for any
	Orphaned  bool           // rows that hang on one that is gone; nothing else then

	MaxRows     int     // of one sweep in one store, beyond which it waits for an approval; 0 for the limits for all
	MaxFraction float64 // likewise, of the rows of any one place, however few there are
	Regime      string  // "" for the default
}

// Check returns an *Invalid that says what of a policy cannot be meant. Whether
// its stores are there is not asked.
func (p Policy) Check() error {
	switch {
	case !regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,39}$`).MatchString(p.Name):
		return &Invalid{"name", "must be 1 to 40 of a-z, 0-9, dot, dash and underscore, and start with a letter or digit"}
	case len(p.Stores) == 0:
		return &Invalid{"stores", "must name the stores: a policy is never for all by omission"}
	case p.Schedule == Schedule{}:
		return &Invalid{"every", "must be given, or cron: how often the policy is due"}
	case !p.Expired && !p.Orphaned && p.OlderThan == 0:
		return &Invalid{"where", "must have expired: true, older_than or orphaned: true: a policy erases by age, never all that there is"}
	case p.Orphaned && (p.Expired || p.OlderThan != 0):
		return &Invalid{"where", "must have orphaned alone: nothing says whose these rows are, or when they end"}
	case p.OlderThan != 0 && (p.OlderThan < MinAge || p.OlderThan > MaxAge):
		return &Invalid{"where.older_than", "must be from 1h to 36500d"}
	case p.OlderThan%time.Second != 0:
		return &Invalid{"where.older_than", "must be whole seconds"}
	case p.MaxRows < 0:
		return &Invalid{"max_rows", "must be at least 1"}
	case !(p.MaxFraction >= 0) || p.MaxFraction > 1:
		return &Invalid{"max_fraction", "must be above 0 and at most 1, which is no limit"}
	}
	return p.Selector(time.Unix(0, 0)).Validate()
}

// Selector returns what the policy selects at a time. Its cut-offs are frozen:
// what it selects can only become less as time passes, but for rows that are
// written later and say that they are old.
func (p Policy) Selector(asOf time.Time) store.Selector {
	sel := p.Who
	asOf = asOf.UTC().Truncate(time.Millisecond)
	if p.OlderThan > 0 {
		sel.CreatedBefore = asOf.Add(-p.OlderThan)
		if fault.Bug("sweep/young-too") {
			sel.CreatedBefore = asOf
		}
	}
	if p.Expired {
		sel.ExpiredBefore = asOf
	}
	sel.Orphaned = p.Orphaned
	return sel
}

// Actor is who files the requests of the policy's schedule.
func (p Policy) Actor() Actor { return Actor{ID: "policy/" + p.Name, Role: RoleSubmitter} }

// interval is how long it is from one tick to the next.
func (p Policy) interval(tick time.Time) time.Duration {
	next, ok := p.Schedule.Next(tick)
	if !ok {
		return MaxEvery
	}
	return next.Sub(tick)
}

// Brakes are what stops a sweep, besides the limits for all requests. They are
// frozen with its request when it is filed. The zero Brakes stop nothing.
type Brakes struct {
	MaxRows     int     `json:"max_rows,omitempty"`     // in place of the limits'; 0 for those
	MaxFraction float64 `json:"max_fraction,omitempty"` // likewise, from the first row on
	Unusual     int     `json:"unusual,omitempty"`      // more rows than this are not usual; 0 for any
	Orphaned    bool    `json:"orphaned,omitempty"`     // the rows are those that hang on others: what those were is gone
}

// What is unusual of a sweep.
const (
	unusualTimes = 5   // times the usual count
	unusualFloor = 100 // rows that are never unusual: of few rows, some more are many times as many
	UsualOf      = 7   // sweeps that found something, from which the usual count is taken
)

// unusual returns beyond how many rows a sweep is not usual, going by what earlier
// sweeps found; 0 if there were none.
func unusual(found []int) int {
	if len(found) == 0 {
		return 0
	}
	return max(unusualFloor, unusualTimes*median(found))
}

// brakes returns the brakes of a sweep.
func (p Policy) brakes(usual []int) *Brakes {
	return &Brakes{MaxRows: p.MaxRows, MaxFraction: p.MaxFraction, Unusual: unusual(usual), Orphaned: p.Orphaned}
}

// Under returns the rules for a request that was filed with brakes.
func (r Rules) Under(b *Brakes) Rules {
	if b == nil {
		return r
	}
	braked := func(l Limits) Limits {
		if b.MaxRows > 0 {
			l.MaxRows = b.MaxRows
		}
		if b.MaxFraction > 0 {
			l.MaxFraction, l.FractionFrom = b.MaxFraction, 1
		}
		return l
	}
	own := make(map[string]Limits, len(r.Stores))
	for name, l := range r.Stores {
		own[name] = braked(l)
	}
	return Rules{Always: r.Always, Limits: braked(r.Limits), Stores: own, unusual: b.Unusual, orphaned: b.Orphaned}
}
