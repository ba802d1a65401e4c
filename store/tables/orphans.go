package tables

import (
	"context"
	"errors"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// findOrphans yields an ID for each row that is gone and on which something still
// hangs: Erase takes that, and there is nothing else to name it by. Lost is what
// Count calls unattributable: what is gone from every table of its place, and to
// which nothing links.
func (s *Store) findOrphans(ctx context.Context, yield func(store.ID, error) bool) (err error) {
	conn, err := s.readers.Connx(ctx)
	if err != nil {
		return coded(err)
	}
	defer conn.Close()
	c := counting{s, conn}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.clear(context.WithoutCancel(ctx))) }()
	for _, p := range s.topDown() {
		place := s.lostFrom(p)
		if place == "" {
			continue
		}
		if more, err := c.orphans(ctx, p, place, yield); err != nil || !more {
			return err
		}
	}
	return nil
}

// lostFrom returns the place of the IDs that rows of p are orphans of, and "" if
// they can be none, or none that an ID names: they have owners of their own, or
// hang on what hangs itself; if the table above them is not there, nothing shows
// that a row of it is gone.
func (s *Store) lostFrom(p *part) string {
	if slices.ContainsFunc(s.named(p.Name), func(own *part) bool { return own.table == p.table }) {
		return ""
	}
	for _, parent := range s.parts {
		if parent.of() == p.With && parent.With == "" {
			return parent.Name
		}
	}
	return ""
}

// orphans yields what rows of a part are orphans of, each once, and reports whether
// the caller wants more. What was yielded counts as picked.
func (c counting) orphans(ctx context.Context, p *part, place string, yield func(store.ID, error) bool) (bool, error) {
	pages := c.s.pages(p)
	pages.conn = c.conn
	for {
		var keys []string
		more, err := pages.next(ctx, func(conn *sqlx.Conn, from, to int64) (err error) {
			keys, err = p.by.keys(ctx, conn, "INSERT OR IGNORE INTO temp.picked SELECT DISTINCT "+literal(p.With)+", "+p.by.text("t.")+" FROM "+p.table+
				" t WHERE t.rowid BETWEEN ? AND ? AND "+p.by.text("t.")+" IS NOT NULL AND "+c.orphan(p)+" RETURNING key", from, to)
			return err
		})
		if err != nil {
			return false, err
		}
		for _, key := range keys {
			if !yield(store.ID{Place: place, Key: key}, nil) {
				return false, nil
			}
		}
		if !more {
			return true, nil
		}
	}
}

// attached returns those of some keys whose rows are there, whatever they are, or
// that are linked to: what hangs on them is no orphan.
func (s *Store) attached(ctx context.Context, conn *sqlx.Conn, _ store.Selector, place string, keys []string) ([]string, error) {
	var all []string
	family := s.family(place)
	for _, p := range s.parts {
		if p.of() != family {
			continue
		}
		b, err := p.id.batch(keys)
		if err != nil {
			return nil, err
		}
		there, err := p.id.keys(ctx, conn, "SELECT "+p.id.text("t.")+" FROM "+p.table+" AS t WHERE "+p.idIn(), b)
		if err != nil {
			return nil, err
		}
		all = append(all, there...)
	}
	for _, k := range s.kinOf(family) {
		if k.With != "" {
			continue
		}
		b, err := k.key.batch(keys)
		if err != nil {
			return nil, err
		}
		links, err := k.links(ctx, conn, b)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			all = append(all, l.Key)
		}
	}
	return all, nil
}

// orphaned returns the IDs of a batch that findOrphans would yield, read in a
// transaction of the second desk.
func (s *Store) orphaned(ctx context.Context, keys map[string][]string) (map[store.ID]bool, error) {
	all := make(map[store.ID]bool)
	for place, some := range keys {
		found, err := s.look(ctx, place, some)
		if err != nil {
			return nil, err
		}
		kept, err := s.attached(ctx, s.second.conn, store.Selector{}, place, some)
		if err != nil {
			return nil, err
		}
		for _, key := range without(found, kept) {
			all[store.ID{Place: place, Key: key}] = true
		}
	}
	return all, nil
}

// leave takes out of a batch what Still keeps.
func (e erasure) leave(ctx context.Context, keys map[string][]string) (map[string][]string, error) {
	sel, ok := store.Still(ctx)
	if !ok {
		return keys, nil
	}
	if err := comparable(sel); err != nil {
		return nil, err
	}
	kept, err := e.s.kept(ctx, e.conn, sel, keys)
	if err != nil {
		return nil, err
	}
	rest := make(map[string][]string, len(keys))
	for place, some := range keys {
		rest[place] = slices.DeleteFunc(slices.Clone(some), func(key string) bool { return kept[store.ID{Place: place, Key: key}] })
	}
	for id := range kept {
		e.kept[id] = true
	}
	return rest, nil
}
