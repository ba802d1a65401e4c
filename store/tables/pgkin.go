package tables

import (
	"fmt"
	"slices"
	"strings"

	"lethe/store"
)

// named returns the parts of a place.
func (s *Postgres) named(place string) []*pgPart {
	var parts []*pgPart
	for _, p := range s.parts {
		if p.Name == place {
			parts = append(parts, p)
		}
	}
	return parts
}

// roots returns the names of the places whose rows stand on their own, in the
// order of the map.
func (s *Postgres) roots() []string {
	var names []string
	for _, p := range s.parts {
		if p.With == "" && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// root is the place on whose rows those of a part hang at last, or its own.
func (s *Postgres) root(p *pgPart) string {
	for p.With != "" {
		parents := s.named(p.With)
		if len(parents) == 0 { // optional, and missing
			return p.With
		}
		p = parents[0]
	}
	return p.Name
}

// rooted returns an error unless everything hangs on a place that stands on its
// own.
func (s *Postgres) rooted() error {
	for _, p := range s.parts {
		at := p
		for steps := 0; at.With != ""; steps++ {
			parents := s.named(at.With)
			if len(parents) == 0 || steps > len(s.parts) {
				return fmt.Errorf("%w: place %s hangs on no place whose rows are there", store.ErrSchema, p.Name)
			}
			at = parents[0]
		}
	}
	return nil
}

// hangs says that a row t of p hangs on one of a bound batch of rows of the
// place root, however far down.
func (s *Postgres) hangs(p *pgPart, root string) string {
	if p.With == root {
		return p.by.among("t.", 1)
	}
	return s.hangsOn(p, func(parent *pgPart) string { return s.hangs(parent, root) })
}

// attached says that a row t of p hangs, however far down, on one that stands
// on its own and is there.
func (s *Postgres) attached(p *pgPart) string {
	if p.With == "" {
		return p.kind()
	}
	return s.hangsOn(p, s.attached)
}

// hangsOn says that a row t of p hangs on a row of which something is true,
// which is called t again.
func (s *Postgres) hangsOn(p *pgPart, is func(parent *pgPart) string) string {
	var ways []string
	for _, parent := range s.named(p.With) {
		ways = append(ways, p.by.tuple("t.")+" IN (SELECT "+parent.id.columns("t.")+" FROM "+parent.table+" t WHERE "+is(parent)+")")
	}
	return "(" + strings.Join(ways, " OR ") + ")"
}

// bind returns the parameters that say a batch of keys of a place.
func (s *Postgres) bind(place string, keys []string) []any {
	parts := s.named(place)
	if len(parts) == 1 {
		return parts[0].id.bind(keys)
	}
	// Parts have the same types, and differ in how wide an integer is at most.
	wide := slices.Clone(parts[0].id)
	for i := range wide {
		wide[i].bits = 64
	}
	return wide.bind(keys)
}
