package web

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"lethe/store"
)

// atOnce is how many memories are read at the same time.
const atOnce = 8

// Remaining implements store.Store: each memory is asked for by its own ID, which
// is not how Erase reads, entities in their list.
func (p *Platform) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	left, err := p.remaining(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	return left, nil
}

func (p *Platform) remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	if err := acceptable(ctx, ids); err != nil {
		return nil, err
	}
	there := make([]bool, len(ids))
	group, within := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for i, id := range ids {
		if id.Place != memories || !canonical(id.Key) || slices.Contains(ids[:i], id) {
			continue
		}
		group.Go(func() (err error) {
			_, there[i], err = p.get(within, id.Key)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	if err := p.markEntities(ctx, ids, there); err != nil {
		return nil, err
	}
	var left []store.ID
	for i, id := range ids {
		if there[i] {
			left = append(left, id)
		}
	}
	return left, nil
}

// markEntities marks which of the entities among ids are there.
func (p *Platform) markEntities(ctx context.Context, ids []store.ID, there []bool) error {
	if !slices.ContainsFunc(ids, func(id store.ID) bool { return id.Place == entities }) {
		return nil
	}
	known, err := p.known(ctx)
	if err != nil {
		return err
	}
	for i, id := range ids {
		if id.Place == entities && !slices.Contains(ids[:i], id) {
			there[i] = known[id.Key]
		}
	}
	return nil
}
