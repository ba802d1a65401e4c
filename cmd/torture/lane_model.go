//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"

	"github.com/anishathalye/porcupine"
)

// modelLane lets clients ask the intake API all at once, while workers work, and
// then looks for an order in which a small model would have given the same
// answers: one that agrees with when each was asked and answered.
func modelLane(ctx context.Context, r *run) error {
	seed, err := newSeedling(ctx, r)
	if err != nil {
		return err
	}
	r.cases(ctx, 2, func(ctx context.Context, c *kase) error {
		m := &crowd{kase: c, dir: filepath.Join(c.dir, "home"), keys: map[string]string{}, bodies: map[string]int{}}
		if err := seed.plant(m.dir); err != nil {
			return err
		}
		return m.play(ctx)
	})
	return nil
}

// A crowd is some clients who ask one service.
type crowd struct {
	*kase
	dir   string
	h     *home
	store *liar
	asks  [][]call // of each client, in order

	busy    atomic.Int32 // workers that may have a task
	mu      sync.Mutex
	keys    map[string]string // the key under which each request was filed
	bodies  map[string]int    // what was accepted under each key
	history []porcupine.Operation
}

// A call is one thing that a client asks: to submit under a key, or something
// about the request that the client last got for it.
type call struct {
	what string // "submit", "get", "cancel", "certificate"; "hold" once there are holds
	key  string
	body int
}

// An answer is what came back.
type answer struct {
	status   int
	id       string
	replayed bool
	state    jobs.Status // of the request, or what its certificate says it came to
}

// inProcess carries HTTP to a handler without a network.
type inProcess struct{ http.Handler }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	t.ServeHTTP(w, r)
	return w.Result(), nil
}

// What a crowd can ask about: people with some memories each, and requests by ID
// that are about the same rows.
const (
	crowdPeople   = 2
	crowdMemories = 3 // of each, with a message
	crowdWorkers  = 3
)

func crowdUser(i int) string { return fmt.Sprintf("%sbody-%d", canary, i) }

func crowdKey(i, k int) string { return fmt.Sprintf("%s-memory-%d", crowdUser(i), k) }

// bodies are all that a request of the crowd can be about.
func bodies() []store.Selector {
	return []store.Selector{
		{UserID: crowdUser(0)},
		{UserID: crowdUser(1)},
		{IDs: []string{crowdKey(0, 0), crowdKey(0, 1), crowdKey(1, 0)}},
		{IDs: []string{crowdKey(1, 2), crowdKey(0, 1), crowdUser(1) + "-nothing"}},
	}
}

func (m *crowd) play(ctx context.Context) (err error) {
	m.plan()
	if m.h, err = openHome(ctx, m.dir, newSlowClock(), "a"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.h.close()) }()
	m.store = honest(m.h)
	for i := range crowdPeople {
		for k := range crowdMemories {
			m.store.put(crowdKey(i, k), crowdUser(i), true)
		}
	}
	handler := api.New(api.Options{Book: m.h.intake, Stores: []string{"a"}})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all, work sync.WaitGroup
	for range crowdWorkers {
		rng := rand.New(rand.NewPCG(m.rng.Uint64(), m.rng.Uint64())) //nolint:gosec // a schedule, no secret
		work.Go(func() { m.work(ctx, rng) })
	}
	errs := make([]error, len(m.asks))
	for i, calls := range m.asks {
		all.Go(func() { errs[i] = m.client(ctx, i, calls, handler) })
	}
	all.Wait()
	cancel()
	work.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(m.linearizable(), m.settle(context.WithoutCancel(ctx)))
}

// plan draws what the clients will ask. In some cases they all want the same.
func (m *crowd) plan() {
	clients, each, keys := 2+m.rng.IntN(5), 4+m.rng.IntN(8), 1+m.rng.IntN(6)
	if m.rng.IntN(8) == 0 {
		clients, each, keys = 32, 3, 1
	}
	for range clients {
		var calls []call
		for range each {
			c := call{key: fmt.Sprint("key-", m.rng.IntN(keys)), body: m.rng.IntN(len(bodies()))}
			switch m.rng.IntN(10) {
			default:
				c.what = "submit"
				if m.rng.IntN(3) > 0 { // most often the same under one key
					c.body = int(c.key[len(c.key)-1]) % len(bodies())
				}
			case 4, 5, 6:
				c.what = "get"
			case 7:
				c.what = "cancel"
			case 8, 9:
				c.what = "certificate"
			}
			calls = append(calls, c)
		}
		m.asks = append(m.asks, calls)
	}
}

// work carries tasks out meanwhile, as one of several workers does. Now and then
// one is broken off at any place, and what the certificates count is compared to
// the row all the same. Time passes fast only while none of them has a task: of a
// batch whose lease ended nobody could say what was erased.
func (m *crowd) work(ctx context.Context, rng *rand.Rand) {
	e := m.h.eraser("worker", map[string]store.Store{"a": m.store})
	for ctx.Err() == nil {
		m.busy.Add(1)
		turn, stop := context.WithCancel(context.WithoutCancel(ctx))
		if rng.IntN(2) == 0 {
			time.AfterFunc(time.Duration(rng.IntN(20_000))*time.Microsecond, stop)
		}
		n, err := m.h.turn(turn, e)
		if turn.Err() != nil {
			m.tally("workers broken off", 1)
		}
		stop()
		if m.busy.Add(-1) == 0 && (err != nil || n == 0) {
			m.h.clock.add(time.Second)
			_ = m.h.reconcile(ctx) // it is looked at afterwards
		}
		if n == 0 {
			time.Sleep(200 * time.Microsecond)
		}
	}
}

// client asks one thing after the other.
func (m *crowd) client(ctx context.Context, number int, calls []call, h http.Handler) error {
	c, err := api.NewClient("http://127.0.0.1", "", inProcess{h})
	if err != nil {
		return err
	}
	ids := map[string]string{}
	for _, one := range calls {
		id := ids[one.key]
		if one.what != "submit" && id == "" {
			continue // it has nothing to ask about yet
		}
		began := time.Now()
		got, err := m.ask(ctx, c, one, id)
		ended := time.Now()
		if err != nil {
			return fmt.Errorf("%s: %w", one.what, err)
		}
		if one.what == "submit" && got.status == http.StatusAccepted {
			ids[one.key] = got.id
		}
		m.mu.Lock()
		if got.id != "" {
			m.keys[got.id] = one.key
		}
		if one.what == "submit" && got.status == http.StatusAccepted {
			m.bodies[one.key] = one.body
		}
		m.history = append(m.history, porcupine.Operation{
			ClientId: number, Input: one, Output: got, Call: began.UnixNano(), Return: ended.UnixNano(),
		})
		if got.id != "" && (one.what == "submit" || one.what == "cancel") {
			// What was asked is done at one moment, and how the request stands is
			// read at another, later one.
			m.history = append(m.history, porcupine.Operation{
				ClientId: number, Input: call{what: "get", key: one.key}, Output: answer{status: http.StatusOK, id: got.id, state: got.state},
				Call: began.UnixNano(), Return: ended.UnixNano(),
			})
		}
		m.mu.Unlock()
	}
	return nil
}

// ask asks one thing, and takes a refusal for an answer.
func (m *crowd) ask(ctx context.Context, c *api.Client, one call, id string) (a answer, err error) {
	a.status = http.StatusOK
	var r api.Request
	switch one.what {
	case "submit":
		var filed api.Accepted
		filed, a.replayed, err = c.Submit(ctx, api.Submission{Selector: bodies()[one.body], IdempotencyKey: one.key})
		r, a.status = filed.Request, http.StatusAccepted
	case "get":
		r, err = c.Request(ctx, id)
	case "cancel":
		r, err = c.Cancel(ctx, id)
	case "certificate":
		r.ID = id
		r.Status, err = m.certified(ctx, c, id)
	}
	var refused *api.Problem
	if errors.As(err, &refused) && refused.Status < http.StatusInternalServerError {
		return answer{status: refused.Status}, nil
	}
	a.id, a.state = r.ID, r.Status
	return a, err
}

// certified gets a certificate, verifies it, and returns what it says.
func (m *crowd) certified(ctx context.Context, c *api.Client, id string) (jobs.Status, error) {
	text, err := c.Certificate(ctx, id)
	if err != nil {
		return "", err
	}
	keys, err := proof.ParseKeys([]byte(m.h.key.Verifier))
	if err != nil {
		return "", err
	}
	r, err := proof.Verify(text, keys)
	if err != nil {
		return "", err
	}
	switch r.Entry.Kind() {
	case proof.KindCompleted:
		return jobs.Completed, nil
	case proof.KindCancelled:
		return jobs.Cancelled, nil
	}
	return "", errors.New("the certificate is of another kind")
}
