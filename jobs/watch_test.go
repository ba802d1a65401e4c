package jobs_test

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// A yard is a ledger of looks in memory, by the letter of jobs.ReturnLedger, that
// also takes requests in.
type yard struct {
	jobs.Ledger // what is not asked here

	mu      sync.Mutex
	now     func() time.Time
	graves  []jobs.Grave
	looks   []*look
	filed   map[string][]string // by request: the IDs that it is to erase
	ended   map[string]bool
	staged  map[string][]string
	doubled int // looks that were answered by two
}

type look struct {
	jobs.Watched
	next, done time.Time
	filed      string
}

func (y *yard) Graves(_ context.Context, name string, _ time.Time, requests []string) iter.Seq2[jobs.Grave, error] {
	y.mu.Lock()
	defer y.mu.Unlock()
	var list []jobs.Grave
	for _, g := range y.graves {
		if slices.Contains(requests, g.Request) {
			list = append(list, g)
		}
	}
	return func(yield func(jobs.Grave, error) bool) {
		for _, g := range list {
			if !yield(g, nil) {
				return
			}
		}
	}
}

func (y *yard) TakeWatches(_ context.Context, name string, until time.Time, limit int) (list []jobs.Watched, _ error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	now := y.now()
	for _, l := range y.looks {
		if l.Store != name || !l.done.IsZero() || l.DueAt.After(now) || l.next.After(now) || len(list) == limit {
			continue
		}
		l.next = until
		w := l.Watched
		w.Busy = slices.ContainsFunc(y.looks, func(o *look) bool {
			return o.Request == l.Request && o.Store == l.Store && o.filed != "" && !y.ended[o.filed]
		})
		list = append(list, w)
	}
	return list, nil
}

func (y *yard) EndWatches(_ context.Context, done []jobs.Watched) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.end(done, "")
	return nil
}

func (y *yard) end(done []jobs.Watched, filed string) (n int) {
	for _, w := range done {
		l := y.find(w)
		if !l.done.IsZero() {
			y.doubled++
			continue
		}
		n++
		l.Watched, l.done = w, y.now()
		if w.Back > 0 {
			l.filed = filed
		}
	}
	return n
}

func (y *yard) find(w jobs.Watched) *look {
	i := slices.IndexFunc(y.looks, func(l *look) bool {
		return l.Request == w.Request && l.Store == w.Store && l.DueAt.Equal(w.DueAt)
	})
	return y.looks[i]
}

func (y *yard) PutOff(_ context.Context, list []jobs.Watched, until time.Time) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	for _, w := range list {
		y.find(w).next = until
	}
	return nil
}

func (y *yard) SuppressionEpochs(context.Context) ([]string, error)               { return nil, nil }
func (y *yard) ForgetEpoch(context.Context, string, proof.Entry) error            { return nil }
func (y *yard) LogReplay(context.Context, *proof.Replayed) error                  { return nil }
func (y *yard) Suppressed(context.Context, []jobs.Mark) (*jobs.Suppressed, error) { return nil, nil }

func (y *yard) Accept(_ context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	y.mu.Lock()
	defer y.mu.Unlock()
	if y.end(a.Watched, a.Request.ID) == 0 {
		return nil, nil, jobs.ErrSwept
	}
	y.filed[a.Request.ID] = y.staged[a.Request.ID]
	return nil, nil, nil
}

func (y *yard) Request(_ context.Context, id string) (jobs.Request, error) {
	return jobs.Request{ID: id}, nil
}

func (y *yard) Seen(context.Context, string) (jobs.Seen, error) { return fresh{}, nil }

func (y *yard) AddStaged(_ context.Context, request string, _ int, ids []string) error {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.staged[request] = append(y.staged[request], ids...)
	return nil
}

func (y *yard) DropStaged(context.Context, string) error { return nil }

// fresh has seen no ID before.
type fresh struct{}

func (fresh) Add(_ context.Context, ids []string) ([]string, error) { return ids, nil }
func (fresh) Close() error                                          { return nil }

// Epoch implements jobs.EpochKeys.
func (k *ring) Epoch(string, bool) ([]byte, error) { return make([]byte, 32), nil }
func (k *ring) Epochs() ([]string, error)          { return nil, nil }
func (k *ring) DestroyEpoch(string) error          { return nil }

// A depot is stores whose rows come and go, and which are down at times. To read one
// takes some seconds.
type depot struct {
	mu   sync.Mutex
	rows map[string]map[store.ID]store.Row
	down map[string]bool
}

func (d *depot) Clock(_ context.Context, name string) (time.Time, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down[name] {
		return time.Time{}, fmt.Errorf("%s: %w", name, store.ErrUnavailable)
	}
	return time.Now().UTC(), nil
}

func (d *depot) Rows(ctx context.Context, name string) iter.Seq2[store.Row, error] {
	d.mu.Lock()
	list := slices.Collect(maps.Values(d.rows[name]))
	d.mu.Unlock()
	return func(yield func(store.Row, error) bool) {
		for _, r := range list {
			if !yield(r, nil) {
				return
			}
		}
		select {
		case <-ctx.Done():
			yield(store.Row{}, ctx.Err())
		case <-time.After(7 * time.Second):
		}
	}
}
