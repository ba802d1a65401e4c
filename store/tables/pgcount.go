package tables

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"slices"
	"strings"

	"lethe/store"
)

// countBatch is how many keys one statement of Count asks for: it may have to
// go through a table of what hangs on them, for want of an index.
const countBatch = 20_000

// Count implements store.Store. It keeps the keys that it has found in memory,
// about 100 bytes each.
func (s *Postgres) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	census, err := s.count(ctx, sels)
	if err != nil {
		return store.Census{}, fmt.Errorf("count: %w", s.lacking(ctx, err))
	}
	return census, nil
}

func (s *Postgres) count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	var census store.Census
	found := make(map[string]int)
	picked := make(map[store.ID]bool)
	for sel, err := range sels {
		if err != nil {
			return census, err
		}
		for id, err := range s.Find(ctx, sel) {
			if err != nil {
				return census, err
			}
			found[id.Place]++
			picked[id] = true
		}
	}
	for _, name := range s.places() {
		census.Places = append(census.Places, store.PlaceCount{Place: name, Found: found[name]})
	}
	var err error
	if census.Unattributable, err = s.malformed(ctx); err != nil {
		return census, err
	}
	if err := s.countBelow(ctx, &census, picked); err != nil {
		return census, err
	}
	var own []store.PlaceCount
	if s.beside != nil {
		if own, err = s.countBeside(ctx, &census, picked); err != nil {
			return census, err
		}
	}
	return census, s.totals(ctx, census.Places, own)
}

// countBelow counts the rows that hang on picked ones, and those that hang on
// nothing that is there and was not picked.
func (s *Postgres) countBelow(ctx context.Context, census *store.Census, picked map[store.ID]bool) error {
	keys, err := s.going(ctx, picked)
	if err != nil {
		return err
	}
	for _, p := range s.parts {
		if p.With == "" {
			continue
		}
		// Rows with owners of their own are no orphans.
		lost, orphans := "NOT coalesce("+s.attached(p)+", false)", 0
		if !slices.ContainsFunc(s.named(p.Name), func(own *pgPart) bool { return own.oid == p.oid }) {
			if orphans, err = s.number(ctx, "SELECT count(*) FROM "+p.table+" t WHERE "+lost); err != nil {
				return err
			}
		}
		census.Places = add(census.Places, s.m, p.Place, 0)
		for _, root := range s.above(p) {
			for batch := range slices.Chunk(keys[root], countBatch) {
				statement, args := "SELECT count(*) FROM "+p.table+" t WHERE "+s.hangs(p, root), s.bind(root, batch)
				n, err := s.number(ctx, statement, args...)
				if err != nil {
					return err
				}
				census.Places = add(census.Places, s.m, p.Place, n)
				if orphans == 0 {
					continue
				}
				n, err = s.number(ctx, statement+" AND "+lost, args...)
				if err != nil {
					return err
				}
				orphans -= n // they are tied to whom the asker named
			}
		}
		census.Unattributable += max(orphans, 0)
	}
	return nil
}

// going returns the keys of picked rows that would go, by family, each once.
func (s *Postgres) going(ctx context.Context, picked map[store.ID]bool) (map[string][]string, error) {
	keys := make(map[string][]string)
	for id := range picked {
		keys[id.Place] = append(keys[id.Place], id.Key)
	}
	for _, place := range s.roots() {
		family, all := s.family(place), keys[place]
		if family == place {
			continue
		}
		for batch := range slices.Chunk(all, countBatch) {
			whole, err := s.whole(ctx, s.db, place, batch)
			if err != nil {
				return nil, err
			}
			keys[family] = append(keys[family], whole...)
		}
		slices.Sort(keys[family])
		keys[family] = slices.Compact(keys[family])
	}
	return keys, nil
}

func (s *Postgres) number(ctx context.Context, statement string, args ...any) (n int, err error) {
	err = s.db.GetContext(ctx, &n, statement, args...)
	return n, pgCoded(ctx, err)
}

// countBeside counts what hangs on picked rows in the files beside the
// database. It returns how many rows there are in each of their places.
func (s *Postgres) countBeside(ctx context.Context, census *store.Census, picked map[store.ID]bool) ([]store.PlaceCount, error) {
	own, err := s.beside.Count(ctx, func(func(store.Selector, error) bool) {})
	if err != nil {
		return nil, err
	}
	census.Unattributable += own.Unattributable
	for _, p := range s.beside.parts {
		if p.With == "" {
			continue
		}
		n, orphans, err := s.countHanging(ctx, p, picked)
		if err != nil {
			return nil, err
		}
		census.Places = append(census.Places, store.PlaceCount{Place: p.Name, Found: n, With: p.With})
		census.Unattributable += orphans
	}
	return own.Places, nil
}

// countHanging counts the rows of a part beside the database that hang on
// picked IDs, and those that hang on nothing that is there.
func (s *Postgres) countHanging(ctx context.Context, p *part, picked map[store.ID]bool) (found, orphans int, err error) {
	rows := make(map[string]int) // of parents still to be looked for
	flush := func() error {
		var keys []string
		for k := range rows {
			if s.holds(store.ID{Place: p.With, Key: k}) {
				keys = append(keys, k)
			}
		}
		left, err := s.presentHere(ctx, map[string][]string{p.With: keys})
		for k, n := range rows {
			if !left[store.ID{Place: p.With, Key: k}] {
				orphans += n
			}
		}
		clear(rows)
		return err
	}
	for key, err := range s.beside.hanging(ctx, p) {
		if err != nil {
			return 0, 0, err
		}
		if picked[store.ID{Place: p.With, Key: key}] {
			found++
			continue
		}
		rows[key]++
		if len(rows) == store.MaxBatch {
			if err := flush(); err != nil {
				return 0, 0, err
			}
		}
	}
	return found, orphans, flush()
}

// malformed counts the documents that are not objects, and the sessions that do
// not parse.
func (s *Postgres) malformed(ctx context.Context) (int, error) {
	total := 0
	var seen []string
	for _, p := range s.parts {
		if p.Scope != "" {
			n, err := s.unparsed(ctx, p)
			if err != nil {
				return 0, err
			}
			total += n
		}
		bad := p.malformed()
		if bad == "" || slices.Contains(seen, p.table+bad) {
			continue
		}
		seen = append(seen, p.table+bad)
		n, err := s.number(ctx, "SELECT count(*) FROM "+p.table+" t WHERE "+bad)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// malformed says that a document in which the part looks for anyone is no
// object. It is empty for a part that looks in none. A column that is NULL beside
// others says nothing, which is no fault.
func (p *pgPart) malformed() string {
	if p.Document != nil {
		return "NOT " + p.wellFormed()
	}
	var bad []string
	members := []pgMember{p.metadata}
	for _, m := range p.members {
		members = append(members, m)
	}
	for _, m := range members {
		typeOf := map[string]string{"json": "json_typeof", "jsonb": "jsonb_typeof"}[m.json]
		test := typeOf + "(t." + quote(m.Column) + ") <> 'object'"
		if m.json != "" && !slices.Contains(bad, test) {
			bad = append(bad, test)
		}
	}
	slices.Sort(bad)
	return strings.Join(bad, " OR ")
}

func (s *Postgres) unparsed(ctx context.Context, p *pgPart) (int, error) {
	n := 0
	err := pgKey{}.read(ctx, s.db, "SELECT t."+quote(p.Scope)+" FROM "+p.table+" t", nil, 1, func(_ string, rest []sql.NullString) {
		if _, err := ParseScope(rest[0].String); err != nil {
			n++
		}
	})
	return n, err
}

// places returns the names of all places whose rows stand on their own.
func (s *Postgres) places() []string {
	var names []string
	if s.beside != nil {
		names = slices.DeleteFunc(s.beside.places(), func(n string) bool { return slices.Contains(s.beside.m.Elsewhere, n) })
	}
	for _, name := range s.roots() {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Unreached implements store.Limiter.
func (s *Postgres) Unreached(sel store.Selector) []string {
	if sel.Orphaned {
		hangs := s.beside != nil && slices.ContainsFunc(s.beside.parts, func(p *part) bool { return p.With != "" })
		return unhung(s.places(), hangs || slices.ContainsFunc(s.parts, func(p *pgPart) bool { return p.With != "" }))
	}
	var names []string
	if s.beside != nil {
		names = s.beside.Unreached(sel)
	}
	for _, name := range s.roots() {
		reached := slices.ContainsFunc(s.named(name), func(p *pgPart) bool { return p.reaches(sel) })
		if !reached && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (p *pgPart) reaches(sel store.Selector) bool {
	if sel.ByID() {
		return p.Explicit
	}
	_, ok := p.match(sel, 0)
	return ok
}
