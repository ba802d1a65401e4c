package tables

import (
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// An erasure is one Erase at work.
type erasure struct {
	conn *sqlx.Conn
	gone map[store.ID]bool
}

// Erase implements store.Store.
func (s *Store) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	receipt, err := s.erase(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	return receipt, nil
}

func (s *Store) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	keys, err := s.group(ids)
	if err != nil {
		return nil, err
	}
	release, err := s.writer.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	e := erasure{s.writer.conn, make(map[store.ID]bool)}
	// Indexing can take long the first time: not under the write lock.
	err = patiently(ctx, func() error {
		return tx(ctx, e.conn, "BEGIN", func() error {
			_, err := s.refresh(ctx, e.conn)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	err = tx(ctx, e.conn, "BEGIN IMMEDIATE", func() error { return s.eraseIn(ctx, e, keys) })
	if err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		receipt[i] = store.Absent
		if e.gone[id] {
			receipt[i] = store.Erased
		}
	}
	return receipt, nil
}

// eraseIn erases rows nothing hangs on before those with kin: an entity that
// is asked for must not go unnoticed with its last link.
func (s *Store) eraseIn(ctx context.Context, e erasure, keys map[string][]string) error {
	if err := s.unchanged(ctx, e.conn); err != nil {
		return err
	}
	if _, err := s.refresh(ctx, e.conn); err != nil {
		return err
	}
	for _, withKin := range []bool{false, true} {
		for _, place := range s.places() {
			kin := s.kinOf(place)
			if len(keys[place]) == 0 || (len(kin) > 0) != withKin {
				continue
			}
			batch, err := list(keys[place])
			if err != nil {
				return err
			}
			for _, k := range kin {
				if err := e.kin(ctx, k, batch); err != nil {
					return err
				}
			}
			for _, p := range s.named(place) {
				if err := e.rows(ctx, p, batch); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// places returns the names of the places whose rows stand on their own.
func (s *Store) places() []string {
	var names []string
	for _, p := range s.parts {
		if p.With == "" && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return append(names, s.m.Elsewhere...)
}

func (e erasure) took(place string, keys []string) {
	for _, k := range keys {
		e.gone[store.ID{Place: place, Key: k}] = true
	}
}

func (e erasure) rows(ctx context.Context, p *part, batch string) error {
	keys, err := texts(ctx, e.conn, "DELETE FROM "+p.table+" AS t WHERE "+p.keyIn(p.ID[0])+" AND "+p.kind()+
		" RETURNING "+quote(p.ID[0]), batch)
	e.took(p.Name, keys)
	return err
}

// keyIn says that a column of t holds one of the keys of a bound batch.
func (p *part) keyIn(column string) string {
	return "t." + quote(column) + " COLLATE BINARY IN (SELECT value FROM json_each(?1))"
}

// rowIn says that a row of t is listed for one of the keys of a bound batch.
func (k kin) rowIn() string {
	return "t.rowid IN (SELECT row FROM " + k.index + " WHERE key IN (SELECT value FROM json_each(?1)))"
}

func (e erasure) kin(ctx context.Context, k kin, batch string) error {
	if k.With == "" {
		return e.unlink(ctx, k, batch)
	}
	keys, err := texts(ctx, e.conn, "DELETE FROM "+k.table+" AS t WHERE "+k.rowIn()+" AND "+k.keyIn(k.By[0])+
		" RETURNING "+quote(k.By[0]), batch)
	e.took(k.parent, keys)
	return err
}
