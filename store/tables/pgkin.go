package tables

import (
	"slices"
	"strings"
)

// named returns the parts of a place whose rows stand on their own.
func (s *Postgres) named(place string) []*pgPart {
	var parts []*pgPart
	for _, p := range s.parts {
		if p.Name == place && p.With == "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// kinOf returns the parts whose rows hang on those of a place.
func (s *Postgres) kinOf(place string) []*pgPart {
	var parts []*pgPart
	for _, p := range s.parts {
		if p.With == place {
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

// family is the name under which others hang on the rows of a place.
func (s *Postgres) family(place string) string {
	for _, p := range s.named(place) {
		return p.of()
	}
	return place
}

// families returns the families of all places whose rows stand on their own.
func (s *Postgres) families() []string {
	var names []string
	for _, root := range s.roots() {
		if name := s.family(root); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// ofFamily returns the keys of a batch, by place, that are of one family.
func (s *Postgres) ofFamily(family string, keys map[string][]string) []string {
	var all []string
	for _, root := range s.roots() {
		if s.family(root) == family {
			all = append(all, keys[root]...)
		}
	}
	return all
}

// height is how many rows can hang on each other below a row of a place. Links
// count as one, and lead no further.
func (s *Postgres) height(place string) int {
	height := min(len(s.linksTo(place)), 1)
	for _, p := range s.kinOf(place) {
		height = max(height, 1+s.height(p.Name))
	}
	return height
}

// bottomUp orders the places so that rows go before those on which others of
// their kind hang: an entity that is asked for must not go unnoticed with its
// last link, nor a message with its conversation.
func (s *Postgres) bottomUp() []string {
	order := s.roots()
	slices.SortStableFunc(order, func(a, b string) int { return s.height(s.family(a)) - s.height(s.family(b)) })
	return order
}

// above returns the families on whose rows, which stand on their own, those of
// a part hang at last.
func (s *Postgres) above(p *pgPart) []string {
	var names []string
	for _, family := range s.families() {
		if s.below(p, family) {
			names = append(names, family)
		}
	}
	return names
}

// below reports whether rows of a part can hang on those of a place, however far
// down.
func (s *Postgres) below(p *pgPart, place string) bool {
	return p.With != "" && (p.With == place || slices.ContainsFunc(s.parts, func(q *pgPart) bool { return q.Name == p.With && s.below(q, place) }))
}

// hangs says that a row t of p hangs on one of a bound batch of rows of the
// family root, however far down.
func (s *Postgres) hangs(p *pgPart, root string) string {
	var ways []string
	if p.With == root {
		ways = append(ways, p.by.among("t.", 1))
	}
	for _, parent := range s.parts {
		if parent.Name == p.With && s.below(parent, root) {
			ways = append(ways, p.on(parent, s.hangs(parent, root)))
		}
	}
	return either(ways)
}

// attached says that a row t of p hangs, however far down, on one that stands
// on its own and is there.
func (s *Postgres) attached(p *pgPart) string {
	if p.With == "" {
		return p.kind()
	}
	var ways []string
	for _, parent := range s.parts {
		if parent.of() == p.With && (parent.tie == "" || parent.tie == parent.Ties.Columns[0]) {
			ways = append(ways, p.on(parent, s.attached(parent)))
		}
	}
	return either(ways)
}

// on says that a row t hangs on a row of a part, called t again, of which
// something is true.
func (p *pgPart) on(parent *pgPart, condition string) string {
	return p.by.tuple("t.") + " IN (SELECT " + parent.id.columns("t.") + " FROM " + parent.table + " t WHERE " + condition + ")"
}

func either(ways []string) string {
	if len(ways) == 0 {
		return "false" // a table that is optional is not there
	}
	return "(" + strings.Join(ways, " OR ") + ")"
}

// bind returns the parameters that say a batch of keys of a family.
func (s *Postgres) bind(family string, keys []string) []any {
	var parts []*pgPart
	for _, p := range s.parts {
		if p.of() == family && p.With == "" {
			parts = append(parts, p)
		}
	}
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
