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
	keys, err := s.group(ids)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	left, err := s.present(ctx, keys)
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
	changes, err := s.changes(ctx)
	if err != nil {
		return nil, err
	}
	release, err := s.second.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	left := make(map[store.ID]bool)
	err = s.read(ctx, s.second.conn, func() error {
		if err := s.unchanged(ctx, s.second.conn); err != nil {
			return err
		}
		if err := s.follow(ctx, s.second.conn, changes); err != nil {
			return err
		}
		for place, k := range keys {
			batch, err := list(k)
			if err != nil {
				return err
			}
			found, err := s.look(ctx, place, batch)
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

// look returns the keys of a place of which a row or kin is there.
func (s *Store) look(ctx context.Context, place, batch string) ([]string, error) {
	var found []string
	for _, p := range s.named(place) {
		keys, err := s.lookAt(ctx, p, batch)
		if err != nil {
			return nil, err
		}
		found = append(found, keys...)
	}
	for _, k := range s.kinOf(place) {
		keys, err := s.lookAtKin(ctx, k, batch)
		if err != nil {
			return nil, err
		}
		found = append(found, keys...)
	}
	return found, nil
}

func (s *Store) lookAt(ctx context.Context, p *part, batch string) ([]string, error) {
	last, err := number(ctx, s.second.conn, "SELECT coalesce(max(rowid), 0) FROM "+p.table)
	if err != nil {
		return nil, err
	}
	how := ""
	if last <= smallTable {
		how = " NOT INDEXED"
	}
	return texts(ctx, s.second.conn, "SELECT t."+quote(p.ID[0])+" FROM "+p.table+" AS t"+how+
		" WHERE "+p.keyIn(p.ID[0])+" AND "+p.kind(), batch)
}

func (s *Store) lookAtKin(ctx context.Context, k kin, batch string) ([]string, error) {
	if k.With != "" {
		return texts(ctx, s.second.conn, "SELECT DISTINCT t."+quote(k.By[0])+" FROM "+k.table+" AS t WHERE "+
			k.rowIn()+" AND "+k.keyIn(k.By[0]), batch)
	}
	links, err := k.links(ctx, s.second.conn, batch)
	keys := make([]string, len(links))
	for i, l := range links {
		keys[i] = l.Key
	}
	return keys, err
}
