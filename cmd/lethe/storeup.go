package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/sync/errgroup"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
	"lethe/worker"
)

// firstTry is how long the start waits for the stores, all at once. One that
// has not answered by then is down, and is opened when it does.
const firstTry = 3 * time.Second

// openStores makes a first attempt at each store. One that cannot be opened is
// down, and keeps nothing from starting: requests are taken in for it, and wait.
// Only what the configuration itself gets wrong, which nobody can mend while we
// run, is refused here, before anything is taken in for it.
func (s *service) openStores(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, firstTry)
	defer cancel()
	var group errgroup.Group
	for _, c := range s.config.Stores {
		l := c.link(s.logger)
		ws := c.kept()
		ws.Store = l
		s.stores, s.links, s.closers = append(s.stores, ws), append(s.links, l), append(s.closers, l.Close)
		group.Go(func() error {
			if err := l.Reopen(ctx); errors.Is(err, store.ErrRefused) || errors.Is(err, context.Canceled) {
				return fmt.Errorf("store %s: %w", c.Name, err)
			}
			return nil
		})
	}
	return group.Wait()
}

// link is how the store of c is reached. A store of our own is made once, and
// never again: what has gone since is not to be replaced by nothing.
func (c StoreConfig) link(logger *slog.Logger) *worker.Link {
	open := func(ctx context.Context) (store.Store, error) {
		st, err := connectStore(ctx, c)
		if err != nil {
			return nil, err
		}
		c.Own = false
		return st, nil
	}
	return &worker.Link{Name: c.Name, Open: open, Logger: logger, Now: time.Now}
}

// down reports whether a store is down.
func (s *service) down(name string) bool {
	for _, l := range s.links {
		if l.Name == name {
			_, reason := l.Down()
			return reason != nil
		}
	}
	return false
}

// storeStates says for /readyz how the stores are.
func (s *service) storeStates() []api.StoreState {
	var all []api.StoreState
	for _, l := range s.links {
		state := api.StoreState{Store: l.Name, State: api.StoreUp}
		since, reason := l.Down()
		if reason != nil {
			state.State, state.Reason = api.StoreDown, reason.Error()
		}
		state.Since = since.UTC()
		all = append(all, state)
	}
	return all
}

// measureStores registers whether each store is up.
func (s *service) measureStores() {
	f := promauto.With(s.registry)
	for _, l := range s.links {
		f.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "lethe_store_up", Help: "1 if the store is up; while it is 0 its jobs wait, and /readyz says why.",
			ConstLabels: prometheus.Labels{"store": l.Name},
		}, func() float64 {
			if _, reason := l.Down(); reason != nil {
				return 0
			}
			return 1
		})
	}
}

// awake is an outbox whose tasks for stores that are down are left in it: to
// ring for them would keep the ledger busy with putting them back. The windows grow
// with the processes.
type awake struct {
	jobs.Outbox
	down func(store string) bool
	crew *crew
}

func (a awake) Enqueue(ctx context.Context, room map[string]int) ([]jobs.Ring, error) {
	up := windows(room).spread(a.crew.size(ctx))
	maps.DeleteFunc(up, func(store string, _ int) bool { return a.down(store) })
	return a.Outbox.Enqueue(ctx, up)
}
