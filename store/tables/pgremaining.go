package tables

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// smallBytes is the size up to which Remaining reads a table from end to end
// instead of trusting the index of its key.
const smallBytes = 16 << 20

// Remaining implements store.Store. It has connections of its own that cannot
// write.
func (s *Postgres) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	batch, err := s.group(ids)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	left, err := s.presentHere(ctx, batch.keys)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	if len(batch.beside) > 0 {
		more, err := s.beside.Remaining(ctx, batch.beside)
		if err != nil {
			return nil, fmt.Errorf("remaining: beside the database: %w", err)
		}
		for _, id := range more {
			left[id] = true
		}
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

// present returns the IDs of which anything can be read, here or beside. Keys
// are as the database writes them.
func (s *Postgres) present(ctx context.Context, keys map[string][]string) (map[store.ID]bool, error) {
	left, err := s.presentHere(ctx, keys)
	if err != nil || s.beside == nil {
		return left, err
	}
	beside := make(map[string][]string)
	for place, k := range keys {
		if slices.Contains(s.beside.m.Elsewhere, place) {
			beside[place] = k
		}
	}
	more, err := s.beside.present(ctx, beside)
	for id := range more {
		left[id] = true
	}
	return left, err
}

// presentHere is present for the database alone.
func (s *Postgres) presentHere(ctx context.Context, keys map[string][]string) (left map[store.ID]bool, err error) {
	err = s.tx(ctx, s.second, func(tx *sqlx.Tx) error {
		left = make(map[store.ID]bool)
		now, err := s.moment(ctx, tx, false)
		if err != nil {
			return err
		}
		if _, err := s.seen.refresh(ctx, tx, now); err != nil {
			return err
		}
		for place, k := range keys {
			found, err := s.look(ctx, tx, place, k)
			if err != nil {
				return err
			}
			for _, key := range found {
				left[store.ID{Place: place, Key: key}] = true
			}
		}
		return nil
	})
	return left, s.lacking(ctx, err)
}

// look returns the keys of a place of which a row, something that hangs on it,
// or a link is there. What hangs deeper does so on a row that hangs here.
func (s *Postgres) look(ctx context.Context, tx *sqlx.Tx, place string, keys []string) ([]string, error) {
	whole, err := s.whole(ctx, tx, place, keys)
	if err != nil {
		return nil, err
	}
	var all []string
	family := s.family(place)
	for _, p := range s.parts {
		key, condition, keys := p.id, p.kind()+" AND "+p.held(), keys
		switch {
		case p.With == family:
			key, condition, keys = p.by, "true", whole
		case p.Name == place && p.With == "":
		default:
			continue
		}
		if err := s.distrust(ctx, tx, p); err != nil {
			return nil, err
		}
		found, err := key.list(ctx, tx, "SELECT DISTINCT "+key.texts("t.")+" FROM "+p.table+" t WHERE "+key.among("t.", 1)+" AND "+condition,
			key.bind(keys)...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	rows, err := s.seen.of(ctx, family, whole)
	if err != nil {
		return nil, err
	}
	for _, p := range s.linksTo(family) {
		if len(rows[p]) == 0 {
			continue
		}
		found, err := p.links(ctx, tx, whole, rows[p])
		if err != nil {
			return nil, err
		}
		for _, linked := range found {
			all = append(all, linked...)
		}
	}
	return all, nil
}

// distrust keeps the rest of a transaction from using indexes, if the table is
// small enough to be read without.
func (s *Postgres) distrust(ctx context.Context, tx *sqlx.Tx, p *pgPart) error {
	_, err := tx.ExecContext(ctx, `SELECT set_config(name, CASE WHEN pg_relation_size($1::oid) <= $2 THEN 'off' ELSE 'on' END, true)
		FROM unnest(ARRAY['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan']) AS name`, p.oid, smallBytes)
	return pgCoded(ctx, err)
}
