package tables

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	if err := s.backlinks.begin(ctx, s); err != nil {
		return nil, s.lacking(ctx, err)
	}
	gone := make(map[store.ID]bool) // beside, which stays so when the transaction is tried again
	var here map[store.ID]bool
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) error {
		here = make(map[store.ID]bool)
		if err := (pgErasure{s, tx, here}).eraseIn(ctx, batch.keys); err != nil {
			return err
		}
		return s.eraseBeside(ctx, batch.beside, gone)
	})
	if err != nil {
		return nil, s.lacking(ctx, err)
	}
	s.backlinks.forget(ctx, batch.keys)
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
	return slices.ContainsFunc(s.parts, func(p *pgPart) bool { return p.Name == id.Place && p.With == "" && p.id.holds(id.Key) })
}

// A pgErasure is one transaction of Erase.
type pgErasure struct {
	s    *Postgres
	tx   *sqlx.Tx
	gone map[store.ID]bool
}

// eraseIn erases a batch, with all that hangs on it.
func (e pgErasure) eraseIn(ctx context.Context, keys map[string][]string) error {
	if err := e.begin(ctx, keys); err != nil {
		return err
	}
	links, err := e.links(ctx, keys)
	if err != nil {
		return err
	}
	if err := e.steady(ctx); err != nil {
		return err
	}
	if err := e.lock(ctx, links, keys); err != nil {
		return err
	}
	for _, place := range e.s.bottomUp() {
		if len(keys[place]) == 0 {
			continue
		}
		for _, l := range links {
			if err := e.unlink(ctx, l, place, keys[place]); err != nil {
				return err
			}
		}
		if err := e.kin(ctx, place, keys[place]); err != nil {
			return err
		}
		for _, p := range e.s.named(place) {
			if err := e.rows(ctx, p, keys[place]); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin keeps others from changing the tables while the transaction lasts, and
// makes sure that nobody has since the store was opened.
func (e pgErasure) begin(ctx context.Context, keys map[string][]string) error {
	var names []string
	for _, p := range e.s.parts {
		touched := p.With == "" && len(keys[p.Name]) > 0 || p.changes() && len(keys[p.Document.LinksTo]) > 0 ||
			slices.ContainsFunc(e.s.above(p), func(root string) bool { return len(keys[root]) > 0 })
		if touched {
			names = append(names, p.table)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	_, err := e.tx.ExecContext(ctx, "LOCK TABLE "+strings.Join(slices.Compact(names), ", ")+" IN ROW EXCLUSIVE MODE")
	if err != nil {
		return pgCoded(ctx, err)
	}
	return e.s.unchanged(ctx, e.tx)
}

// steady makes the rest of the transaction go through each table in one order:
// two erasures of overlapping batches must not take the same rows in different
// orders. Most users may not lock rows in an order of their own, since that
// needs the privilege to change them.
func (e pgErasure) steady(ctx context.Context) error {
	_, err := e.tx.ExecContext(ctx, `SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_bitmapscan', 'enable_hashagg']) AS name`)
	return pgCoded(ctx, err)
}

// kin deletes what hangs on a batch of a place. There may be no index for it,
// and where the only way is one that it may not go, the server plans at random.
func (e pgErasure) kin(ctx context.Context, place string, keys []string) error {
	if len(e.s.kinOf(place)) == 0 {
		return nil
	}
	if _, err := e.tx.ExecContext(ctx, `SET LOCAL enable_seqscan = on`); err != nil {
		return pgCoded(ctx, err)
	}
	if err := e.below(ctx, place, place, keys); err != nil {
		return err
	}
	_, err := e.tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off`)
	return pgCoded(ctx, err)
}

// below deletes what hangs on the rows of a place, the lowest first. All of it
// hangs on a batch of keys of the place root, which is credited.
func (e pgErasure) below(ctx context.Context, place, root string, keys []string) error {
	for _, p := range e.s.kinOf(place) {
		if err := e.below(ctx, p.Name, root, keys); err != nil {
			return err
		}
		statement, args := "DELETE FROM "+p.table+" AS t WHERE "+e.s.hangs(p, root), e.s.bind(root, keys)
		if place != root {
			if _, err := e.tx.ExecContext(ctx, statement, args...); err != nil {
				return pgCoded(ctx, err)
			}
			continue
		}
		gone, err := p.by.list(ctx, e.tx, "WITH gone AS ("+statement+" RETURNING "+p.by.columns("t.")+") SELECT DISTINCT "+p.by.texts("")+" FROM gone", args...)
		e.took(root, gone)
		if err != nil {
			return err
		}
	}
	return nil
}

func (e pgErasure) rows(ctx context.Context, p *pgPart, keys []string) error {
	gone, err := p.id.list(ctx, e.tx, "DELETE FROM "+p.table+" AS t WHERE "+p.id.among("t.", 1)+" AND "+p.kind()+
		" RETURNING "+p.id.texts("t."), p.id.bind(keys)...)
	e.took(p.Name, gone)
	return err
}

func (e pgErasure) took(place string, keys []string) {
	for _, k := range keys {
		e.gone[store.ID{Place: place, Key: k}] = true
	}
}
