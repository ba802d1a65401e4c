package tables

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// findOrphans yields an ID for each row that is gone and on which something still
// hangs, here or beside: see [Store.findOrphans]. What it has found beside it keeps
// in memory, about 100 bytes each.
func (s *Postgres) findOrphans(ctx context.Context, yield func(store.ID, error) bool) error {
	for _, p := range s.parts {
		place := s.lostFrom(p)
		if place == "" {
			continue
		}
		if more, err := s.orphans(ctx, p, place, yield); err != nil || !more {
			return err
		}
	}
	if s.beside == nil {
		return nil
	}
	for id, err := range s.beside.Find(ctx, store.Selector{Orphaned: true}) {
		if !yield(id, err) || err != nil {
			return nil
		}
	}
	seen := make(map[store.ID]bool)
	for _, p := range s.beside.parts {
		if !slices.Contains(s.beside.m.Elsewhere, p.With) || len(s.named(p.With)) == 0 {
			continue
		}
		if more, err := s.orphansBeside(ctx, p, seen, yield); err != nil || !more {
			return err
		}
	}
	return nil
}

// lostFrom is [Store.lostFrom].
func (s *Postgres) lostFrom(p *pgPart) string {
	if p.With == "" || slices.ContainsFunc(s.named(p.Name), func(own *pgPart) bool { return own.oid == p.oid }) {
		return ""
	}
	for _, parent := range s.parts {
		if parent.of() == p.With && parent.With == "" {
			return parent.Name
		}
	}
	return ""
}

// orphans yields what rows of a part are orphans of, in the order of their keys. Of
// the rows that hang on one key, the first part of the map yields it.
func (s *Postgres) orphans(ctx context.Context, p *pgPart, place string, yield func(store.ID, error) bool) (bool, error) {
	for from := ""; ; {
		keys, more, err := s.orphanPage(ctx, p, from)
		if err != nil {
			return false, err
		}
		if len(keys) > 0 {
			from = keys[len(keys)-1]
		}
		lost, err := s.lost(ctx, p.With, keys)
		if err != nil {
			return false, err
		}
		if lost, err = s.unsaid(ctx, p, lost); err != nil {
			return false, err
		}
		for _, key := range lost {
			if !yield(store.ID{Place: place, Key: key}, nil) {
				return false, nil
			}
		}
		if !more {
			return true, nil
		}
	}
}

// orphanPage returns the next keys on which rows of a part hang and that are no
// row's above it. Links are left for lost.
func (s *Postgres) orphanPage(ctx context.Context, p *pgPart, from string) (keys []string, more bool, err error) {
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		if err := s.unchanged(ctx, tx); err != nil {
			return err
		}
		var c condition
		for _, v := range p.by {
			c.and("t." + quote(v.name) + " IS NOT NULL")
		}
		for _, parent := range s.parts {
			if parent.of() == p.With {
				c.and("NOT EXISTS (SELECT 1 FROM " + parent.table + " r WHERE " + p.by.tuple("t.") + " = " + parent.id.tuple("r.") + ")")
			}
		}
		if from != "" {
			values, _ := p.by.keying().parse(from)
			p.by.bound(&c, ">", values)
		}
		keys, err = p.by.list(ctx, tx, "SELECT "+p.by.texts("t.")+" FROM "+p.table+" t WHERE "+c.sql+
			" GROUP BY "+p.by.columns("t.")+" ORDER BY "+p.by.columns("t.")+fmt.Sprintf(" LIMIT %d", store.MaxBatch), c.args...)
		return err
	})
	return keys, len(keys) == store.MaxBatch, s.lacking(ctx, err)
}

// lost returns those of some keys of a family that are no row's and to which
// nothing links.
func (s *Postgres) lost(ctx context.Context, family string, keys []string) (lost []string, err error) {
	for batch := range slices.Chunk(keys, store.MaxBatch) {
		var there []string
		err = s.tx(ctx, s.second, func(tx *sqlx.Tx) error {
			now, err := s.moment(ctx, tx, false)
			if err != nil {
				return err
			}
			if _, err := s.seen.refresh(ctx, tx, now); err != nil {
				return err
			}
			there, err = s.there(ctx, tx, s.seen, family, batch)
			return err
		})
		if err != nil {
			return nil, s.lacking(ctx, err)
		}
		lost = append(lost, without(batch, there)...)
	}
	return lost, nil
}

// unsaid returns those of some keys that no earlier part has orphans of: they have
// been yielded.
func (s *Postgres) unsaid(ctx context.Context, p *pgPart, keys []string) ([]string, error) {
	for _, q := range s.parts {
		if q == p || len(keys) == 0 {
			break
		}
		if q.With != p.With || s.lostFrom(q) == "" {
			continue
		}
		said, err := q.by.list(ctx, s.db, "SELECT DISTINCT "+q.by.texts("t.")+" FROM "+q.table+" t WHERE "+q.by.among("t.", 1), q.by.bind(keys)...)
		if err != nil {
			return nil, err
		}
		keys = without(keys, said)
	}
	return keys, nil
}

// orphansBeside yields what rows in a file beside the database are orphans of.
func (s *Postgres) orphansBeside(ctx context.Context, p *part, seen map[store.ID]bool, yield func(store.ID, error) bool) (bool, error) {
	var keys []string
	flush := func() (bool, error) {
		lost, err := s.lost(ctx, p.With, keys)
		if err == nil {
			lost, err = s.unhung(ctx, p.With, lost)
		}
		keys = keys[:0]
		if err != nil {
			return false, err
		}
		for _, key := range lost {
			id := store.ID{Place: p.With, Key: key}
			if seen[id] {
				continue
			}
			seen[id] = true
			if !yield(id, nil) {
				return false, nil
			}
		}
		return true, nil
	}
	for key, err := range s.beside.hanging(ctx, p) {
		if err != nil {
			return false, err
		}
		// A key that the database cannot hold is no ID: Erase would refuse it.
		if id := (store.ID{Place: p.With, Key: key}); key == "" || seen[id] || !s.holds(id) {
			continue
		}
		if keys = append(keys, key); len(keys) == store.MaxBatch {
			if more, err := flush(); err != nil || !more {
				return false, err
			}
		}
	}
	return flush()
}

// unhung returns those of some keys on which nothing in the database hangs: what
// something hangs on has been yielded.
func (s *Postgres) unhung(ctx context.Context, family string, keys []string) ([]string, error) {
	for _, p := range s.kinOf(family) {
		if s.lostFrom(p) == "" || len(keys) == 0 {
			continue
		}
		said, err := p.by.list(ctx, s.db, "SELECT DISTINCT "+p.by.texts("t.")+" FROM "+p.table+" t WHERE "+p.by.among("t.", 1), p.by.bind(keys)...)
		if err != nil {
			return nil, err
		}
		keys = without(keys, said)
	}
	return keys, nil
}

// there returns those of some keys whose rows are there, whatever they are, or to
// which rows link. The backlinks must be those of the transaction.
func (s *Postgres) there(ctx context.Context, tx *sqlx.Tx, links *pgBacklinks, place string, keys []string) ([]string, error) {
	var all []string
	family := s.family(place)
	for _, p := range s.parts {
		if p.of() != family || len(keys) == 0 {
			continue
		}
		found, err := p.id.list(ctx, tx, "SELECT "+p.id.texts("t.")+" FROM "+p.table+" t WHERE "+p.id.among("t.", 1), p.id.bind(keys)...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	rows, err := links.of(ctx, family, keys)
	if err != nil {
		return nil, err
	}
	for _, p := range s.linksTo(family) {
		if len(rows[p]) == 0 {
			continue
		}
		found, err := p.links(ctx, tx, keys, rows[p])
		if err != nil {
			return nil, err
		}
		for _, linked := range found {
			all = append(all, linked...)
		}
	}
	return all, nil
}

// orphaned returns the IDs of a batch that findOrphans would yield.
func (s *Postgres) orphaned(ctx context.Context, keys map[string][]string) (map[store.ID]bool, error) {
	all, err := s.present(ctx, keys)
	for place, some := range keys {
		if err != nil {
			return nil, err
		}
		var lost []string
		lost, err = s.lost(ctx, place, some)
		for _, key := range without(some, lost) {
			delete(all, store.ID{Place: place, Key: key})
		}
	}
	return all, err
}

// lockMode keeps everybody, for orphans, from bringing back, or linking to, what is erased
// as gone, while the transaction lasts. It takes the place of a weaker lock, so that
// two that want it do not wait for each other.
func (e pgErasure) lockMode() string {
	if e.sel != nil && e.sel.Orphaned {
		return "SHARE ROW EXCLUSIVE"
	}
	return "ROW EXCLUSIVE"
}
