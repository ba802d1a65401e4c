package tables

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// An erasure is one Erase at work.
type erasure struct {
	s                   *Store
	conn                *sqlx.Conn
	gone, refused, kept map[store.ID]bool
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
	b, err := s.group(ids)
	if err != nil {
		return nil, err
	}
	release, err := s.writer.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	e := erasure{s, s.writer.conn, make(map[store.ID]bool), b.refused, make(map[store.ID]bool)}
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
	err = tx(ctx, e.conn, "BEGIN IMMEDIATE", func() error {
		if err := e.all(ctx, b.keys); err != nil {
			return err
		}
		return store.Along(ctx, besides(ids, e.gone))
	})
	if err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		switch {
		case e.refused[id]:
			receipt[i] = store.Refused
		case e.gone[id]: // also one that was to be kept, and went along with another
			receipt[i] = store.Erased
		case e.kept[id]:
			receipt[i] = store.Kept
		default:
			receipt[i] = store.Absent
		}
	}
	return receipt, nil
}

func (e erasure) all(ctx context.Context, keys map[string][]string) error {
	if err := e.s.unchanged(ctx, e.conn); err != nil {
		return err
	}
	if _, err := e.s.refresh(ctx, e.conn); err != nil {
		return err
	}
	keys, err := e.leave(ctx, keys)
	if err != nil {
		return err
	}
	for _, place := range e.s.order {
		if len(keys[place]) == 0 {
			continue
		}
		if err := e.place(ctx, place, keys[place]); err != nil {
			return err
		}
	}
	return nil
}

// place erases rows of one place, after what hangs on them.
func (e erasure) place(ctx context.Context, place string, keys []string) error {
	whole, err := e.s.whole(ctx, e.conn, place, keys)
	if err != nil {
		return err
	}
	for _, k := range e.s.kinOf(e.s.family(place)) {
		parents, err := e.kin(ctx, k, whole)
		if err != nil {
			return err
		}
		e.took(place, parents)
	}
	for _, p := range e.s.named(place) {
		if err := e.share(ctx, p, keys); err != nil {
			return err
		}
		b, err := p.id.batch(whole)
		if err != nil {
			return err
		}
		gone, err := p.id.keys(ctx, e.conn, "DELETE FROM "+p.table+" AS t WHERE "+p.idIn()+" AND "+p.kind()+" AND "+p.held()+
			" RETURNING "+p.id.text(""), b)
		if err != nil {
			return err
		}
		e.tookOf(p, gone)
	}
	return nil
}

// kin erases what hangs on a batch of rows or links to them, after what hangs
// on it in turn, and returns the keys of the rows that had any. Whatever is
// further down is below a row that goes too, so it needs no mention.
func (e erasure) kin(ctx context.Context, k kin, keys []string) ([]string, error) {
	b, err := k.key.batch(keys)
	if err != nil {
		return nil, err
	}
	if k.With == "" {
		return e.unlink(ctx, k, b)
	}
	hanging := k.table + " AS t WHERE " + k.in()
	if below := e.s.kinOf(k.Name); len(below) > 0 {
		rows, err := k.id.keys(ctx, e.conn, "SELECT "+k.id.text("t.")+" FROM "+hanging, b)
		if err != nil {
			return nil, err
		}
		for chunk := range slices.Chunk(rows, store.MaxBatch) {
			for _, kk := range below {
				if _, err := e.kin(ctx, kk, chunk); err != nil {
					return nil, err
				}
			}
		}
	}
	return k.by.keys(ctx, e.conn, "DELETE FROM "+hanging+" RETURNING "+k.by.text(""), b)
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

// tookOf takes the keys of rows of p that are gone, under each place that they had.
func (e erasure) tookOf(p *part, keys []string) {
	for _, same := range e.s.parts {
		if same == p || same.tie != "" && same.of() == p.of() {
			e.took(same.Name, keys)
		}
	}
}

// besides returns what is gone and was not asked for, in order.
func besides(ids []store.ID, gone ...map[store.ID]bool) []store.ID {
	asked := make(map[store.ID]bool, len(ids))
	for _, id := range ids {
		asked[id] = true
	}
	var also []store.ID
	for _, some := range gone {
		for id := range some {
			if !asked[id] {
				also = append(also, id)
			}
		}
	}
	slices.SortFunc(also, func(a, b store.ID) int { return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.Key, b.Key)) })
	return slices.Compact(also)
}
