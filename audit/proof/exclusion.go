package proof

import (
	"cmp"
	"slices"
	"strings"
)

// The exclusions that the figures of a store imply. Each stands in a
// [Completed] entry, for its store and without an end, exactly if the store's
// figures say so; see [Completed.ImpliedExclusions].
const (
	// ExcludesWAL says that free pages, journals and a write-ahead log may
	// still hold the bytes: the store was verified and not purged. Of tables
	// that were purged by MethodRewrite it says so of the server's write-ahead
	// log alone.
	ExcludesWAL = "wal"

	// ExcludesHeld says that IDs were left because of a legal hold.
	ExcludesHeld = "held"

	// ExcludesUnattributable says that rows were left alone that nothing ties
	// to anyone.
	ExcludesUnattributable = "unattributable-rows"
)

// ExcludesResidue begins the codes of what a store is known to keep of what it has
// erased, because its API cannot reach it, such as residue-history. Exactly a store
// whose evidence is [EvidenceErased] has one at least.
const ExcludesResidue = "residue-"

// Exclusions lists what an erasure did not reach, sorted by code and store.
// Each code stands once for each store.
type Exclusions []Exclusion

// An Exclusion is something that an erasure did not reach, such as a backup
// until it expires.
type Exclusion struct {
	Code  string
	Store string // one of the entry's; empty for what belongs to none
	Until Time   // absent for as long as it lasts
}

func (x *Exclusion) members(m *members) {
	m.code("code", &x.Code)
	m.maybeCode("store", &x.Store)
	m.maybeTime("until", &x.Until)
}

// String says what was not reached, where and until when.
func (x Exclusion) String() string {
	s := x.Code
	if x.Store != "" {
		s += " of " + x.Store
	}
	if x.Until != 0 {
		s += " until " + x.Until.String()
	}
	return s
}

// meaning says, for people, what an implied exclusion is.
func (e *Completed) meaning(x Exclusion) string {
	for i := range e.Stores {
		if s := &e.Stores[i]; x.Code == ExcludesWAL && x.Store == s.Name && s.rewritten() {
			return " (the server's write-ahead log and its archive may still hold bytes)"
		}
	}
	return x.meaning()
}

// meaning is that of a store whose evidence says it all.
func (x Exclusion) meaning() string {
	switch x.Code {
	case ExcludesWAL:
		return " (free pages, journals and logs of the store may still hold bytes)"
	case ExcludesHeld:
		return " (IDs that a legal hold forbids to erase)"
	case ExcludesUnattributable:
		return " (rows that nothing ties to anyone)"
	}
	if x.residue() {
		return " (the store keeps this of what it has erased, out of reach of its API)"
	}
	return ""
}

// implied reports whether x follows from the figures of a store.
func (x Exclusion) implied() bool {
	return x.Code == ExcludesWAL || x.Code == ExcludesHeld || x.Code == ExcludesUnattributable
}

func (x Exclusion) residue() bool {
	return strings.HasPrefix(x.Code, ExcludesResidue) && x.Code != ExcludesResidue
}

// compare orders exclusions by code and store.
func (x Exclusion) compare(y Exclusion) int {
	return cmp.Or(cmp.Compare(x.Code, y.Code), cmp.Compare(x.Store, y.Store))
}

// ImpliedExclusions returns what follows from the figures of e's stores, in
// order. An entry without them, or with others of their codes, is refused.
func (e *Completed) ImpliedExclusions() Exclusions {
	var all Exclusions
	for i := range e.Stores {
		s := &e.Stores[i]
		if s.excludesWAL() {
			all = append(all, Exclusion{Code: ExcludesWAL, Store: s.Name})
		}
		if s.Held > 0 {
			all = append(all, Exclusion{Code: ExcludesHeld, Store: s.Name})
		}
		if s.Unattributable > 0 {
			all = append(all, Exclusion{Code: ExcludesUnattributable, Store: s.Name})
		}
	}
	slices.SortFunc(all, Exclusion.compare)
	return all
}

// Exclude sets e's exclusions to those given and those implied, in order. Of
// two for one code and store it keeps the one that lasts longer. It is to be
// called when e has all its stores.
func (e *Completed) Exclude(given ...Exclusion) {
	all := slices.DeleteFunc(slices.Clone(given), Exclusion.implied)
	all = append(all, e.ImpliedExclusions()...)
	slices.SortFunc(all, func(x, y Exclusion) int {
		return cmp.Or(x.compare(y), cmp.Compare(y.end(), x.end()))
	})
	e.Exclusions = slices.CompactFunc(all, func(x, y Exclusion) bool { return x.compare(y) == 0 })
}

// end is when x ends, which is never if it does not say.
func (x Exclusion) end() Time {
	if x.Until == 0 {
		return 1<<63 - 1
	}
	return x.Until
}

func (e *Completed) checkExclusions(c *checks, stores []string) {
	implied := e.ImpliedExclusions()
	for i, x := range e.Exclusions {
		c.that(x.Store == "" || slices.Contains(stores, x.Store), "exclusions.store must be one of the stores")
		c.that(i == 0 || e.Exclusions[i-1].compare(x) < 0, "exclusions must be sorted by code and store, each once")
		if !x.implied() {
			continue
		}
		found := len(implied) > 0 && implied[0] == x
		c.that(found, "exclusions wal, held and unattributable-rows must be those that the figures of the stores imply")
		if found {
			implied = implied[1:]
		}
	}
	for i := range e.Stores {
		s := &e.Stores[i]
		left := slices.ContainsFunc(e.Exclusions, func(x Exclusion) bool { return x.Store == s.Name && x.residue() })
		c.that(left == (s.Evidence == EvidenceErased), "exclusions must name the residue of a store whose evidence is erased, and of no other")
	}
	c.that(len(implied) == 0, "exclusions must name what the figures of the stores imply: wal, held, unattributable-rows")
}
