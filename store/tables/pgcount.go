package tables

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"lethe/store"
)

// Count implements store.Store. It keeps the keys that it has found in memory,
// about 100 bytes each.
func (s *Postgres) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	census, err := s.count(ctx, sels)
	if err != nil {
		return store.Census{}, fmt.Errorf("count: %w", err)
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
	var err error
	if census.Unattributable, err = s.malformed(ctx); err != nil {
		return census, err
	}
	for _, name := range s.places() {
		census.Places = append(census.Places, store.PlaceCount{Place: name, Found: found[name]})
	}
	if s.beside == nil {
		return census, nil
	}
	own, err := s.beside.Count(ctx, func(func(store.Selector, error) bool) {})
	if err != nil {
		return census, err
	}
	census.Unattributable += own.Unattributable
	for _, p := range s.beside.parts {
		if p.With == "" {
			continue
		}
		n, orphans, err := s.countHanging(ctx, p, picked)
		if err != nil {
			return census, err
		}
		census.Places = append(census.Places, store.PlaceCount{Place: p.Name, Found: n, With: p.With})
		census.Unattributable += orphans
	}
	return census, nil
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

// malformed counts the documents that are not objects.
func (s *Postgres) malformed(ctx context.Context) (int, error) {
	total := 0
	var seen []string
	for _, p := range s.parts {
		if p.Document == nil || slices.Contains(seen, p.table) {
			continue
		}
		seen = append(seen, p.table)
		var n int
		if err := s.db.GetContext(ctx, &n, "SELECT count(*) FROM "+p.table+" t WHERE NOT "+p.wellFormed()); err != nil {
			return 0, pgCoded(ctx, err)
		}
		total += n
	}
	return total, nil
}

// places returns the names of all places whose rows stand on their own.
func (s *Postgres) places() []string {
	var names []string
	if s.beside != nil {
		names = slices.DeleteFunc(s.beside.places(), func(n string) bool { return slices.Contains(s.beside.m.Elsewhere, n) })
	}
	for _, p := range s.parts {
		if !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return names
}

// Unreached implements store.Limiter.
func (s *Postgres) Unreached(sel store.Selector) []string {
	if s.beside == nil {
		return nil
	}
	return s.beside.Unreached(sel)
}
