package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// pgTries is how often a transaction is tried that others are in the way of.
const pgTries = 5

// tx runs f in a transaction, again if others are in its way: f must bear that.
func (s *Postgres) tx(ctx context.Context, db *sqlx.DB, f func(tx *sqlx.Tx) error) error {
	for i := 1; ; i++ {
		err := once(ctx, db, f)
		if err == nil || i == pgTries || !errors.Is(err, store.ErrBusy) {
			return err
		}
	}
}

func once(ctx context.Context, db *sqlx.DB, f func(tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return pgCoded(ctx, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the server does it if the connection is gone
		return err
	}
	return pgCoded(ctx, tx.Commit())
}

// Erase implements store.Store. The files beside the database are committed
// first: a crash between leaves rows that a Find still finds, never what hangs
// on rows that nobody knows any more. A key that its place cannot hold is
// store.Refused, and the others of its batch are erased.
func (s *Postgres) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	receipt, err := s.erase(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	return receipt, nil
}

func (s *Postgres) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	batch, err := s.group(ids)
	if err != nil {
		return nil, err
	}
	gone := make(map[store.ID]bool) // beside, which stays so when the transaction is tried again
	var here map[store.ID]bool
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		here = make(map[store.ID]bool)
		if err := s.eraseIn(ctx, pgErasure{tx, here}, batch.keys); err != nil {
			return err
		}
		return s.eraseBeside(ctx, batch.beside, gone)
	})
	if err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		switch {
		case batch.refused[id]:
			receipt[i] = store.Refused
		case gone[id] || here[id]:
			receipt[i] = store.Erased
		default:
			receipt[i] = store.Absent
		}
	}
	return receipt, nil
}

// eraseBeside erases and commits in the files beside the database, while the
// database's locks keep other erasures of the same rows waiting.
func (s *Postgres) eraseBeside(ctx context.Context, ids []store.ID, gone map[store.ID]bool) error {
	if len(ids) == 0 {
		return nil
	}
	receipt, err := s.beside.Erase(ctx, ids)
	if err != nil {
		return fmt.Errorf("beside the database: %w", err)
	}
	for i, id := range ids {
		if receipt[i] == store.Erased {
			gone[id] = true
		}
	}
	return nil
}

// A pgBatch is IDs by who keeps them.
type pgBatch struct {
	keys    map[string][]string // in the database, by place
	beside  []store.ID          // in the files beside it
	refused map[store.ID]bool   // nowhere: no key of their place
}

func (s *Postgres) group(ids []store.ID) (pgBatch, error) {
	b := pgBatch{keys: make(map[string][]string), refused: make(map[store.ID]bool)}
	if len(ids) > store.MaxBatch {
		return b, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(ids), store.MaxBatch)
	}
	for _, id := range ids {
		here := s.m.stands(id.Place)
		beside := s.beside != nil && s.beside.m.stands(id.Place)
		if !here && !beside || id.Key == "" {
			return b, fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
		if here && !s.holds(id) {
			b.refused[id] = true
			continue
		}
		if here {
			b.keys[id.Place] = append(b.keys[id.Place], id.Key)
		}
		if beside {
			b.beside = append(b.beside, id)
		}
	}
	return b, nil
}

// holds reports whether a place can hold a key, written as the database does.
func (s *Postgres) holds(id store.ID) bool {
	return slices.ContainsFunc(s.parts, func(p *pgPart) bool {
		k, ok := p.canonical(id.Key)
		return p.Name == id.Place && ok && k == id.Key
	})
}

// A pgErasure is one transaction of Erase.
type pgErasure struct {
	tx   *sqlx.Tx
	gone map[store.ID]bool
}

// eraseIn erases rows that link before those they link to: an entity that is
// asked for must not go unnoticed with its last link.
func (s *Postgres) eraseIn(ctx context.Context, e pgErasure, keys map[string][]string) error {
	if err := s.unchanged(ctx, e.tx); err != nil {
		return err
	}
	for _, linked := range []bool{false, true} {
		for _, p := range s.parts {
			links := s.linksTo(p.Name)
			if len(keys[p.Name]) == 0 || (len(links) > 0) != linked {
				continue
			}
			for _, l := range links {
				if err := e.unlink(ctx, l, keys[p.Name]); err != nil {
					return err
				}
			}
			if err := e.rows(ctx, p, keys[p.Name]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e pgErasure) rows(ctx context.Context, p *pgPart, keys []string) error {
	var gone []string
	err := e.tx.SelectContext(ctx, &gone, "DELETE FROM "+p.table+" AS t WHERE "+p.keyIn()+" AND "+p.kind()+
		" RETURNING "+quote(p.ID[0])+"::text", keys)
	e.took(p.Name, gone)
	return pgCoded(ctx, err)
}

func (e pgErasure) took(place string, keys []string) {
	for _, k := range keys {
		e.gone[store.ID{Place: place, Key: k}] = true
	}
}
