package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"lethe/jobs/api"
	"lethe/jobs/queue"
	"lethe/store"
)

// checkStoreMaps: as lethe stores check, which says more.
func checkStoreMaps(ctx context.Context, p *ward) []api.Finding {
	lists := make([][]api.Finding, len(p.config.Stores))
	var group errgroup.Group
	for i, c := range p.config.Stores {
		group.Go(func() error {
			if own := c.Vectors; c.Own && !exists(own) {
				lists[i] = []api.Finding{weak("store "+c.Name+" is not there yet", "lethe serve makes its own store at its first start; name the stores you have in the configuration")}
				return nil
			}
			lists[i] = storeFindings(c.Name, findings(ctx, c))
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	var all []api.Finding
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// storeFindings sums up what the check of a store says: the first problem, and how
// many there are.
func storeFindings(name string, list []store.Finding) []api.Finding {
	first, problems, unmapped := "", 0, 0
	for _, f := range list {
		switch {
		case f.Problem != "":
			if problems++; first == "" {
				first = f.Problem
				if f.Table != "" {
					first = f.Table + ": " + first
				}
			}
		case f.Unmapped:
			unmapped++
		}
	}
	fix := "lethe stores check with the same --config says all, each with what to do"
	switch {
	case problems > 0:
		return []api.Finding{broken(fmt.Sprintf("store %s has %s, the first: %s", name, counted(problems, "problem", "problems"), first), fix)}
	case unmapped > 0:
		return []api.Finding{weak(fmt.Sprintf("store %s has %s neither mapped nor waived", name, counted(unmapped, "table or column of numbers and dates", "tables or columns of numbers and dates")), fix)}
	}
	return nil
}

// checkQueue: as the start, which refuses a Redis that is too old or evicts.
func checkQueue(ctx context.Context, p *ward) []api.Finding {
	if p.config.Queue == queueEmbedded {
		return []api.Finding{{Level: api.LevelOK, What: "the queue is embedded in the service"}}
	}
	secure, err := p.config.QueueTLS.load()
	if err != nil {
		return []api.Finding{broken("queue_tls: "+err.Error(), "give files that can be read, in PEM")}
	}
	q, err := queue.Open(ctx, queue.Options{URL: p.config.Queue.Reveal(), TLS: secure})
	switch {
	case errors.Is(err, queue.ErrUnfit):
		return []api.Finding{broken(err.Error(), "set it so in redis.conf, or use a newer Redis: deploy/OPERATIONS.md")}
	case err != nil:
		return []api.Finding{broken(err.Error(), "start Redis, or see its address, user, password and TLS in the configuration; requests are taken in meanwhile, and wait")}
	}
	p.around.redis = q.Facts // for the looks; it is asked once more
	f, err := q.Facts(ctx)
	if err == nil {
		p.around.redis = func(context.Context) (queue.Facts, error) { return f, nil }
	}
	if err := q.Close(); err != nil {
		return []api.Finding{weak(err.Error(), "look at the Redis server's own log")}
	}
	return nil
}

// oldBackup is how old the newest backup may be: what came later is lost with the
// ledger, but for the log's copies.
const oldBackup = 3 * 24 * time.Hour

// checkBackup: that a backup was made says nothing of whether it is still there.
func checkBackup(_ context.Context, p *ward) []api.Finding {
	const fix = `lethe backup FILE every day, to another machine: "Backups of Lethe itself" in deploy/OPERATIONS.md`
	if p.config.postgres() != "" {
		return []api.Finding{{Level: api.LevelOK, What: "the ledger is in PostgreSQL: its backups are the database's, and are not seen from here"}}
	}
	if p.db == nil {
		return nil
	}
	last, ok := lastBackup(p.config.Data)
	switch age := p.now.Sub(last.At); {
	case !ok:
		return []api.Finding{weak("no backup of the ledger was ever made with lethe backup", fix)}
	case age > oldBackup:
		return []api.Finding{weak(fmt.Sprintf("the newest backup of the ledger is %d days old", int(age.Hours()/24)), fix)}
	}
	return nil
}
