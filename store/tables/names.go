package tables

import (
	"slices"
	"strings"
)

// Place names stand in certificates, alone and after a word such as unreached.
const (
	maxName        = 64
	maxPrefixBytes = len("unreached-")
)

// named turns a column's name into a part of a place's name.
func named(column string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789_", r) {
			return r
		}
		return '_'
	}, strings.ToLower(column))
}

func isName(name string, limit int) bool {
	return name != "" && len(name) <= limit && !strings.ContainsRune("._-", rune(name[0])) &&
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == ""
}

// nameable reports whether every name that is made of the place's can stand in a
// certificate, and means one kind of row.
func (m Map) nameable(p Place) bool {
	name, _ := m.counted(p)
	all := []string{name}
	for _, t := range p.spread() {
		if !isName(t.Name, maxName-maxPrefixBytes) || slices.Contains(all, t.Name) && p.Ties != nil {
			return false
		}
		all = append(all, t.Name)
	}
	return isName(name, maxName) && !slices.ContainsFunc(m.Places, func(q Place) bool {
		return q.Name != p.Name && slices.Contains(all, q.Name)
	})
}

// counted returns the names under which a Census counts the rows of a place that
// hang on others, and those others. They are the place's own names, but for
// places that also stand on their own or hang on others still, which have a
// count for each, and for ties, of which the first is named.
func (m Map) counted(p Place) (place, with string) {
	place, with = p.Name, p.With
	for _, q := range m.Places {
		if p.With != "" && q.Name == p.Name && q.With != p.With {
			if q.With == "" || !m.first(p) {
				place = p.Name + "." + p.With
			}
		}
		if q.Name == p.With && q.Ties != nil {
			with = q.spread()[0].Name
		}
	}
	return place, with
}

// first reports whether p is of the first that the map says of places of its
// name that hang on others.
func (m Map) first(p Place) bool {
	i := slices.IndexFunc(m.Places, func(q Place) bool { return q.Name == p.Name && q.With != "" })
	return i >= 0 && m.Places[i].With == p.With
}
