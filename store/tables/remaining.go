package tables

import (
	"context"
	"fmt"

	"lethe/store"
)

// smallTable is the row number up to which Remaining reads a table from end to
// end instead of trusting the index of its key.
const smallTable = 20_000

// Remaining implements store.Store. It has a connection of its own that cannot
// write.
func (s *Store) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	b, err := s.group(ids)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	left, err := s.present(ctx, b.keys)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	var remaining []store.ID
	for _, id := range ids {
		if left[id] {
			remaining = append(remaining, id)
			delete(left, id)
		}
	}
	return remaining, nil
}

// present returns the IDs of which anything can be read.
func (s *Store) present(ctx context.Context, keys map[string][]string) (map[store.ID]bool, error) {
	left := make(map[store.ID]bool)
	err := s.apart(ctx, func() error {
		for place, k := range keys {
			found, err := s.look(ctx, place, k)
			if err != nil {
				return err
			}
			for _, key := range found {
				left[store.ID{Place: place, Key: key}] = true
			}
		}
		return nil
	})
	return left, err
}

// apart runs f in a transaction of the second desk, whose indexes are up to date.
func (s *Store) apart(ctx context.Context, f func() error) error {
	changes, err := s.changes(ctx)
	if err != nil {
		return err
	}
	release, err := s.second.take(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.read(ctx, s.second.conn, func() error {
		if err := s.unchanged(ctx, s.second.conn); err != nil {
			return err
		}
		if err := s.follow(ctx, s.second.conn, changes); err != nil {
			return err
		}
		return f()
	})
}

// look returns the keys of a place of which a row or kin is there. What hangs on
// kin is below it: nothing can be left there without the kin itself.
func (s *Store) look(ctx context.Context, place string, keys []string) ([]string, error) {
	var found []string
	for _, p := range s.named(place) {
		more, err := s.lookAt(ctx, p, keys)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	whole, err := s.whole(ctx, s.second.conn, place, keys)
	if err != nil {
		return nil, err
	}
	for _, k := range s.kinOf(s.family(place)) {
		more, err := s.lookAtKin(ctx, k, whole)
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

func (s *Store) lookAt(ctx context.Context, p *part, keys []string) ([]string, error) {
	b, err := p.id.batch(keys)
	if err != nil {
		return nil, err
	}
	in := p.idIn()
	how, err := s.distrust(ctx, p)
	if err != nil {
		return nil, err
	}
	if how != "" {
		in = p.id.in()
	}
	return p.id.keys(ctx, s.second.conn, "SELECT "+p.id.text("t.")+" FROM "+p.table+" AS t"+how+
		" WHERE "+in+" AND "+p.kind()+" AND "+p.held(), b)
}

// distrust keeps a statement from using the indexes of a small table.
func (s *Store) distrust(ctx context.Context, p *part) (string, error) {
	last, err := number(ctx, s.second.conn, "SELECT coalesce(max(rowid), 0) FROM "+p.table)
	if err != nil || last > smallTable {
		return "", err
	}
	return " NOT INDEXED", nil
}

func (s *Store) lookAtKin(ctx context.Context, k kin, keys []string) ([]string, error) {
	b, err := k.key.batch(keys)
	if err != nil {
		return nil, err
	}
	if k.With != "" {
		how, in := "", k.in()
		if !k.own() {
			if how, err = s.distrust(ctx, k.part); err != nil {
				return nil, err
			}
		}
		if how != "" {
			in = k.by.in()
		}
		return k.by.keys(ctx, s.second.conn, "SELECT DISTINCT "+k.by.text("t.")+" FROM "+k.table+" AS t"+how+" WHERE "+in, b)
	}
	links, err := k.links(ctx, s.second.conn, b)
	found := make([]string, len(links))
	for i, l := range links {
		found[i] = l.Key
	}
	return found, err
}
