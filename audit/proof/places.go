package proof

import "slices"

// A PlaceProof is what became of a request in one place of a store. The counts
// of a place whose rows stand on their own are of IDs, and add up to those of
// the store; those of a place whose rows hang on others are of the rows that
// planning found, which went with the rows that they hang on.
type PlaceProof struct {
	Name   string
	Erased int
	Absent int
	Held   int
	Found  int    // with With only
	With   string // the place whose rows these hang on
}

func (x *PlaceProof) members(m *members) {
	m.maybeCount("absent", &x.Absent)
	m.maybeCount("erased", &x.Erased)
	m.maybeCount("found", &x.Found)
	m.maybeCount("held", &x.Held)
	m.code("name", &x.Name)
	m.maybeCode("with", &x.With)
}

// checkPlaces checks that the places make up the store. IDs that were asked for
// and found in no place are absent in the store alone.
func (s *StoreProof) checkPlaces(c *checks) {
	if len(s.Places) == 0 {
		return
	}
	erased, held, absent := s.Erased, s.Held, s.Absent
	for i, x := range s.Places {
		c.that(i == 0 || s.Places[i-1].Name < x.Name, "stores.places must be sorted by name, each once")
		erased, held, absent = erased-x.Erased, held-x.Held, absent-x.Absent
		if x.With == "" {
			c.that(x.Found == 0, "stores.places.found must be left out of a place whose rows stand on their own")
			continue
		}
		c.that(x.Erased == 0 && x.Absent == 0 && x.Held == 0, "stores.places must count rows that hang on others as found")
		c.that(x.With != x.Name && slices.ContainsFunc(s.Places, func(y PlaceProof) bool { return y.Name == x.With }),
			"stores.places.with must name another place")
	}
	c.that(erased == 0 && held == 0, "stores.places must add up to erased and held")
	c.that(absent >= 0, "stores.places must not have more absent than the store")
}

func (x *PlaceProof) report(p *report) {
	switch {
	case x.With != "" && x.Found == 0:
		p.line("", "%s: nothing that hung on %s", x.Name, x.With)
	case x.With != "":
		p.line("", "%s: %s that hung on %s", x.Name, counted(x.Found, "row", "rows"), x.With)
	case x.Erased+x.Absent+x.Held == 0:
		p.line("", "%s: nothing", x.Name)
	default:
		p.line("", "%s: %d erased, %d absent, %d held", x.Name, x.Erased, x.Absent, x.Held)
	}
}
