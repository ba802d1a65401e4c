package tables

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"lethe/store"
)

// A Sighting is a row that stands on its own. Its ID is the zero ID if it has none
// that can be used.
type Sighting = store.Row

// atOnce is how many identifiers are kept in memory, about 200 bytes each. If there
// are more, the rows are read again for each share of them.
const atOnce = 200_000

// Identifiers yields who is seen in rows, each once, as store.Identifying has it. It
// ranges over rows several times if there are many.
func Identifiers(rows iter.Seq2[Sighting, error]) iter.Seq2[store.Identifier, error] {
	return identifiers(rows, atOnce)
}

func identifiers(rows iter.Seq2[Sighting, error], limit int) iter.Seq2[store.Identifier, error] {
	return func(yield func(store.Identifier, error) bool) {
		tally{rows, maphash.MakeSeed(), limit}.share(1, 0, yield)
	}
}

// A tally counts identifiers, a share at a time.
type tally struct {
	rows  iter.Seq2[Sighting, error]
	seed  maphash.Seed
	limit int
}

// share yields one share of so many, and reports whether the caller wants more. A
// share that is too large is halved.
func (t tally) share(of, which uint64, yield func(store.Identifier, error) bool) bool {
	found := make(map[store.Field]*store.Identifier)
	for s, err := range t.rows {
		if err != nil {
			yield(store.Identifier{}, err)
			return false
		}
		for _, f := range s.Who {
			if maphash.Comparable(t.seed, f)%of != which || store.CheckValue(f.Name, f.Value) != nil {
				continue
			}
			if found[f] == nil {
				found[f] = &store.Identifier{Field: f}
			}
			count(found[f], s.Made)
		}
		if len(found) > t.limit {
			break
		}
	}
	if len(found) > t.limit {
		clear(found)
		return t.share(2*of, which, yield) && t.share(2*of, which+of, yield)
	}
	for _, id := range found {
		if !yield(*id, nil) {
			return false
		}
	}
	return true
}

func count(id *store.Identifier, made time.Time) {
	id.Rows++
	if made.IsZero() {
		id.Undated++
		return
	}
	all := span{id.Oldest, id.Newest}
	all.reach(made)
	id.Oldest, id.Newest = all.oldest, all.newest
}

// keys are the identity keys that the rows of a place have, sorted. Of a row that
// has several ties the first says all others.
func (p Place) keys() []string {
	all := slices.Sorted(maps.Keys(p.Match))
	if p.Document != nil {
		all = slices.Sorted(maps.Keys(p.Document.Keys))
	}
	if p.tie != "" && p.tie != p.Ties.Columns[0] {
		all = []string{p.Ties.Key}
	}
	return all
}

// sighting is what a row says: its identity as a JSON array of the values of some
// keys, or as a scope, and when it was made.
func sighting(p Place, keys []string, key, who, scope string, a ages) Sighting {
	var s Sighting
	if key != "" {
		s.ID = store.ID{Place: p.Name, Key: key}
	}
	if made, how := readTime(a.Created.String); how == dated {
		s.Made = made
	}
	if p.Scope != "" {
		said, _ := ParseScope(scope)
		for _, key := range slices.Sorted(maps.Keys(said)) {
			s.Who = append(s.Who, store.Field{Name: key, Value: said[key]})
		}
		return s
	}
	var values []*string
	_ = json.Unmarshal([]byte(who), &values) // made by the statement
	for i, v := range values {
		if v != nil && i < len(keys) {
			s.Who = append(s.Who, store.Field{Name: keys[i], Value: *v})
		}
	}
	return s
}

// Identifiers implements store.Identifying.
func (s *Store) Identifiers(ctx context.Context) iter.Seq2[store.Identifier, error] {
	return Identifiers(s.Sightings(ctx))
}

// Sightings yields what every row says that stands on its own.
func (s *Store) Sightings(ctx context.Context) iter.Seq2[Sighting, error] {
	return func(yield func(Sighting, error) bool) {
		for _, p := range s.parts {
			if p.With != "" {
				continue
			}
			keys := p.keys()
			columns := p.id.text("t.") + " AS key, " + p.who(keys) + " AS who, " + p.says(true, false)
			more, err := scan(ctx, s, p, columns, condition{sql: p.kind()}, func(r struct {
				Who string
				row
			},
			) (bool, error) {
				key, _ := p.id.read(r.Key)
				return yield(sighting(p.Place, keys, key, r.Who, r.Scope, r.ages), nil), nil
			})
			if err != nil {
				yield(Sighting{}, fmt.Errorf("identifiers: %w", err))
			}
			if err != nil || !more {
				return
			}
		}
	}
}

// Rows yields those of sightings that have an ID, as store.Listing has it.
func Rows(seen iter.Seq2[Sighting, error]) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		for s, err := range seen {
			if err == nil && s.ID == (store.ID{}) {
				continue
			}
			if !yield(s, err) || err != nil {
				return
			}
		}
	}
}

// Rows implements store.Listing.
func (s *Store) Rows(ctx context.Context) iter.Seq2[store.Row, error] { return Rows(s.Sightings(ctx)) }

// who is a JSON array of the texts that t has for some keys, NULL for none.
func (p *part) who(keys []string) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		switch {
		case p.Document != nil:
			texts[i] = member(p.object(), p.Document.Keys[key], "CASE e.type WHEN 'text' THEN e.value END")
		case p.tie != "" && key == p.Ties.Key:
			texts[i] = "CASE WHEN " + p.held() + " THEN " + p.text(p.Match[key]) + " END"
		default:
			texts[i] = p.text(p.Match[key])
		}
	}
	return "json_array(" + strings.Join(texts, ", ") + ")"
}

// text is the text that a member of t is, NULL if it is none. An integer is its
// decimal, and nothing else becomes text.
func (p *part) text(m Member) string {
	column := "t." + quote(m.Column)
	switch {
	case len(m.Path) > 0:
		last := len(m.Path) - 1
		return "(SELECT CASE e.type WHEN 'text' THEN e.value END FROM json_each(" + m.object(m.Path[:last]) +
			") e WHERE e.key = " + literal(m.Path[last]) + " ORDER BY e.id DESC LIMIT 1)"
	case slices.Contains(p.integers, m.Column):
		return "CASE typeof(" + column + ") WHEN 'integer' THEN CAST(" + column + " AS TEXT) WHEN 'text' THEN " + column + " END"
	default:
		return "CASE typeof(" + column + ") WHEN 'text' THEN " + column + " END"
	}
}

// Identifiers implements store.Identifying.
func (s *Postgres) Identifiers(ctx context.Context) iter.Seq2[store.Identifier, error] {
	return Identifiers(s.Sightings(ctx))
}

// Rows implements store.Listing.
func (s *Postgres) Rows(ctx context.Context) iter.Seq2[store.Row, error] {
	return Rows(s.Sightings(ctx))
}

var (
	_ store.Listing = (*Store)(nil)
	_ store.Listing = (*Postgres)(nil)
)
