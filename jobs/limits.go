package jobs

import (
	"slices"

	"lethe/audit/fault"
)

// driftFloor is how many rows of a place may come or go between approval and
// erasing, whatever share of it they are: in a small place one row is much.
const driftFloor = 100

// Limits say how much may be erased in some stores without a second person.
type Limits struct {
	MaxRows      int     // in all places together; 0 for no limit
	MaxFraction  float64 // of the rows of any one place; 0 for no limit
	FractionFrom int     // rows found in a place, from which on MaxFraction counts there
	Tolerance    float64 // by what share of it a place's count may change until it is erased; 0 for not at all
}

// DefaultLimits are those of a service that was told of none.
func DefaultLimits() Limits {
	return Limits{MaxRows: 100_000, MaxFraction: 0.25, FractionFrom: 1000, Tolerance: 0.10}
}

// Rules say which plans a second person has to approve. The zero Rules ask for
// none, and take any change for a drift.
type Rules struct {
	Always bool
	Limits
	Stores map[string]Limits // of stores that have limits of their own, in place of the others

	unusual  int  // rows of a sweep beyond which it waits; 0 for any, see Brakes
	orphaned bool // likewise
}

// Codes of an Excess.
const (
	BeyondAlways   = "always"       // every plan is approved here
	BeyondRows     = "max-rows"     // more rows than MaxRows
	BeyondFraction = "max-fraction" // more of one place than MaxFraction
	BeyondDrifted  = "drifted"      // no longer what was approved
	BeyondExempted = "exempted"     // a part was refused since it was approved
	BeyondResidue  = "residue"      // more was found while verifying than was approved
	BeyondUnusual  = "unusual"      // many times more than sweeps of the policy usually find
)

// An Excess is one reason why a plan has to be approved.
type Excess struct {
	Code  string `json:"code" enum:"always,max-rows,max-fraction,drifted,exempted,residue,unusual"`
	Store string `json:"store,omitempty" doc:"Empty for all stores that share one limit"`
	Place string `json:"place,omitempty"`
	Found int    `json:"found,omitempty" doc:"Rows (residue: IDs) that would be erased"`
	Of    int    `json:"of,omitempty" doc:"max-rows: the limit; max-fraction: the rows of the place; drifted and residue: what had been planned; unusual: what would still be usual"`
}

func (r Rules) of(storeName string) (l Limits, own bool) {
	if l, own = r.Stores[storeName]; own {
		return l, true
	}
	return r.Limits, false
}

// Judge returns why a plan of these jobs has to be approved; nothing if it need
// not. Rows of stores without limits of their own are taken together.
func (r Rules) Judge(list []Job) []Excess {
	var beyond []Excess
	if r.Always {
		beyond = append(beyond, Excess{Code: BeyondAlways})
	}
	shared := 0
	for _, j := range list {
		l, own := r.of(j.Store)
		if r.orphaned {
			j.Places = hanging(j.Places)
		}
		rows := j.rows()
		if !own {
			shared += rows
		} else if l.MaxRows > 0 && rows > l.MaxRows {
			beyond = append(beyond, Excess{Code: BeyondRows, Store: j.Store, Found: rows, Of: l.MaxRows})
		}
		beyond = append(beyond, l.fractions(j)...)
		if r.unusual > 0 && rows > r.unusual && !fault.Bug("sweep/unusual-ignored") {
			beyond = append(beyond, Excess{Code: BeyondUnusual, Store: j.Store, Found: rows, Of: r.unusual})
		}
	}
	if r.MaxRows > 0 && shared > r.MaxRows {
		beyond = append(beyond, Excess{Code: BeyondRows, Found: shared, Of: r.MaxRows})
	}
	return beyond
}

// JudgeRound is Judge for one more round of a job, found while verifying: the rows
// of all rounds count together, the fractions of each by itself.
func (r Rules) JudgeRound(list []Job, round Job) (beyond []Excess) {
	for _, x := range (Rules{Limits: r.Limits, Stores: r.Stores, unusual: r.unusual, orphaned: r.orphaned}).Judge(list) {
		if x.Code == BeyondRows || x.Code == BeyondUnusual {
			beyond = append(beyond, x)
		}
	}
	l, _ := r.of(round.Store)
	if r.orphaned {
		round.Places = hanging(round.Places)
	}
	return append(beyond, l.fractions(round)...)
}

// hanging returns the places whose rows hang on others.
func hanging(list []PlaceCount) []PlaceCount {
	return slices.DeleteFunc(slices.Clone(list), func(p PlaceCount) bool { return p.With == "" })
}

// rows is how many rows a job would erase, as far as is known: those of all
// rounds, and those that hang on others.
func (j Job) rows() int {
	n := 0
	for _, p := range j.Places {
		n += p.Found
	}
	return max(n+j.Residue, j.Found-j.Exempt)
}

func (l Limits) fractions(j Job) (beyond []Excess) {
	for _, p := range j.Places {
		all := max(p.Total, p.Found) // a store that does not say how many there are has no more
		if l.MaxFraction > 0 && p.Found >= max(l.FractionFrom, 1) && float64(p.Found) > l.MaxFraction*float64(all) {
			beyond = append(beyond, Excess{Code: BeyondFraction, Store: j.Store, Place: p.Place, Found: p.Found, Of: all})
		}
	}
	return beyond
}

// Drift returns in which places of a job what is found now is too far from what
// was planned. A changed data map is a drift of the whole.
func (r Rules) Drift(planned Job, now Recount) (beyond []Excess) {
	l, _ := r.of(planned.Store)
	if planned.MapVersion != now.MapVersion {
		beyond = append(beyond, Excess{Code: BeyondDrifted, Store: planned.Store})
	}
	for _, p := range now.Places {
		if was := foundIn(planned.Places, p); l.drifted(was, p.Found) {
			beyond = append(beyond, Excess{Code: BeyondDrifted, Store: planned.Store, Place: p.Place, Found: p.Found, Of: was})
		}
	}
	for _, p := range planned.Places {
		if !slices.ContainsFunc(now.Places, p.same) && l.drifted(p.Found, 0) {
			beyond = append(beyond, Excess{Code: BeyondDrifted, Store: planned.Store, Place: p.Place, Of: p.Found})
		}
	}
	return beyond
}

func (p PlaceCount) same(q PlaceCount) bool { return q.Place == p.Place && q.With == p.With }

// foundIn returns how many rows of a place are in a list.
func foundIn(list []PlaceCount, p PlaceCount) int {
	if i := slices.IndexFunc(list, p.same); i >= 0 {
		return list[i].Found
	}
	return 0
}

func (l Limits) drifted(was, is int) bool {
	change := max(was-is, is-was)
	if l.Tolerance == 0 {
		return change > 0
	}
	return change > driftFloor && float64(change) > l.Tolerance*float64(was)
}

// Outgrown returns why what was found while verifying an approved job is more
// than was approved; nothing if it is not.
func (r Rules) Outgrown(j Job) []Excess {
	l, _ := r.of(j.Store)
	if planned := j.Found - j.Exempt - j.Residue; l.drifted(planned, planned+j.Residue) {
		return []Excess{{Code: BeyondResidue, Store: j.Store, Found: j.Residue, Of: planned}}
	}
	return nil
}

// A Recount is what was counted anew of a plan before it is carried out.
type Recount struct {
	Places         []PlaceCount
	Unattributable int
	MapVersion     string
}
