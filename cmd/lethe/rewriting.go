package main

import (
	"context"

	"lethe/store/tables"
	"lethe/worker"
)

// rewriting makes a purge of ws rewrite the tables of st, if the configuration
// asks for that.
func (c *StoreConfig) rewriting(ctx context.Context, ws *worker.Store, st *tables.Postgres) error {
	if !c.Purge.Rewrite() {
		ws.Purge = worker.PurgePolicy{Off: true}
		return nil
	}
	r, err := tables.NewRewriter(ctx, st)
	if err != nil {
		return err
	}
	ws.Store, ws.Purge, ws.Rewrites = r, c.Purge.policy(), true
	return nil
}
