package tables

import (
	"context"
	"fmt"
	"slices"

	"lethe/store"
)

// A PostgreSQL server counts rows by reading them, so Count stops at this many
// for a place, or at hundredTimes as many as it found there. What is left out
// can only make a fraction of a place look larger than it is, and no fraction of
// a hundredth or more.
const (
	enoughRows   = 1_000_000
	hundredTimes = 100
)

// totals says of each place how many rows it has. A table that several parts of
// a place share, for ties, counts once.
func (s *Store) totals(places []store.PlaceCount, count func(p *part) (int, error)) error {
	seen := make(map[string]bool)
	for _, p := range s.parts {
		name, with := s.m.counted(p.Place)
		i := slices.IndexFunc(places, func(c store.PlaceCount) bool { return c.Place == name && c.With == with })
		what := fmt.Sprintf("%d %s %s", i, p.table, p.kind())
		if i < 0 || seen[what] {
			continue
		}
		seen[what] = true
		n, err := count(p)
		if err != nil {
			return err
		}
		places[i].Total += n
	}
	return nil
}

// total counts the rows of a part exactly: SQLite walks the smallest index.
func (c counting) total(ctx context.Context, p *part) (int, error) {
	if p.kind() == "1" {
		n, err := number(ctx, c.conn, "SELECT count(*) FROM "+p.table)
		return int(n), err
	}
	return c.sum(ctx, p, p.kind())
}

// totals says of each place of the database, and of the files beside it, how
// many rows it has.
func (s *Postgres) totals(ctx context.Context, places []store.PlaceCount, beside []store.PlaceCount) error {
	seen := make(map[string]bool)
	for _, p := range s.parts {
		name, with := s.m.counted(p.Place)
		i := slices.IndexFunc(places, func(c store.PlaceCount) bool { return c.Place == name && c.With == with })
		what := fmt.Sprintf("%d %s %s", i, p.table, p.kind())
		if i < 0 || seen[what] {
			continue
		}
		seen[what] = true
		n, err := s.number(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+p.table+" t WHERE "+p.kind()+" LIMIT $1) enough", max(enoughRows, hundredTimes*places[i].Found))
		if err != nil {
			return err
		}
		places[i].Total += n
	}
	for _, own := range beside {
		for i, p := range places {
			if p.Place == own.Place && p.With == own.With {
				places[i].Total += own.Total
			}
		}
	}
	return nil
}
