//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store/mem0/webtest"
)

// platformsAtOnce is how many cases run together: they mostly wait for leases.
const platformsAtOnce = 6

// platformLane sets the service over a Platform that is busy, fails, cuts
// connections and answers nonsense, and kills it meanwhile.
func platformLane(ctx context.Context, r *run) error {
	points := strings.Fields(`claimed plan-begun plan-frozen plan-found planned batch-begun fenced erased read-again finish finished
		verify-begun verify-read verified certifying certified answer`)
	r.cases(ctx, platformsAtOnce, func(ctx context.Context, c *kase) error { return c.hosted(ctx, points) })
	r.summarize(nil)
	return nil
}

// platformLimit is how long all may take once nothing goes wrong any more: a
// store that has failed again and again is opened a minute later.
const platformLimit = 150 * time.Second

// hosted is one case: lives that die, then one that does not, over a Platform
// that behaves from then on.
func (c *kase) hosted(ctx context.Context, points []string) error {
	w := newHostedWorld(c)
	server := httptest.NewServer(w)
	defer server.Close()
	h, err := c.hostedHouse(server.URL)
	if err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	done := make(chan error, len(w.asks))
	for _, a := range w.asks {
		all.Go(func() { done <- h.followHosted(asking, a) })
	}
	for range 1 + c.rng.IntN(3) {
		if err := h.mortal(ctx, points); err != nil {
			return err
		}
	}
	w.calm()
	last, err := h.start(ctx, "")
	if err != nil || last.dead() {
		return errors.Join(err, errors.New("the service does not start:\n"+h.lastWords()))
	}
	began, limit := time.Now(), time.After(stretched(platformLimit))
	for range w.asks {
		select {
		case err := <-done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-limit:
			return fmt.Errorf("%w: %s after nothing goes wrong any more\n%s", errUnfinished, platformLimit, h.lastWords())
		}
	}
	h.measure("all done once nothing goes wrong", time.Since(began))
	h.count(h.passes(last))
	if err := h.stop(last); err != nil {
		return err
	}
	return errors.Join(w.judge(), h.names(hostedCanary))
}

func (c *kase) hostedHouse(url string) (*house, error) {
	h := &house{kase: c, limit: platformLimit, began: time.Now(), config: filepath.Join(c.dir, "lethe.yaml")}
	key := filepath.Join(c.dir, "key")
	text := fmt.Sprintf("listen: 127.0.0.1:0\ndata: %s\nlog_origin: torture.example/log\nlimits: {max_rows: 10000000, max_fraction: 1}\n"+
		"stores:\n  - {name: platform, kind: mem0-platform, url: %q, token_file: %s, rate: 2000}\n", filepath.Join(c.dir, "data"), url, key)
	return h, errors.Join(
		os.Mkdir(filepath.Join(c.dir, "tmp"), 0o700), os.WriteFile(key, []byte(hostedKey+"\n"), 0o600), os.WriteFile(h.config, []byte(text), 0o600))
}

// mortal is a life that is killed at a point, or from outside.
func (h *house) mortal(ctx context.Context, points []string) error {
	plan := ""
	if h.rng.IntN(4) > 0 {
		plan = fmt.Sprintf("worker/%s:%d:kill", pick(h.rng, points...), 1+h.rng.IntN(3))
	}
	h.note("life %d: %s", h.lives+1, plan)
	l, err := h.start(ctx, plan)
	if err != nil {
		return err
	}
	select {
	case <-l.exited:
		h.tally("killed at a point", 1)
	case <-time.After(time.Duration(500+h.rng.IntN(4000)) * time.Millisecond):
		h.tally("killed from outside", 1)
		l.kill()
	case <-ctx.Done():
		return ctx.Err()
	}
	h.set(nil)
	h.count(h.passes(l))
	return nil
}

// followHosted files an ask and waits for its certificate, over all lives.
func (h *house) followHosted(ctx context.Context, a *hostedAsk) error {
	err := h.again(ctx, func(ctx context.Context, client *api.Client) error {
		answer, _, err := client.Submit(ctx, a.submission())
		a.id = answer.ID
		return err
	})
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		var now api.Request
		err := h.again(ctx, func(ctx context.Context, client *api.Client) (err error) {
			now, err = client.Request(ctx, a.id)
			return err
		})
		if err != nil {
			return err
		}
		if now.Status == jobs.Completed {
			return h.again(ctx, func(ctx context.Context, client *api.Client) (err error) {
				if a.keys, err = client.Keys(ctx); err == nil {
					a.certificate, err = client.Certificate(ctx, a.id)
				}
				return err
			})
		}
		time.Sleep(50 * time.Millisecond)
	}
	return ctx.Err()
}

// names looks for a word that only people's data have in what the service wrote.
func (h *house) names(word string) error {
	for _, name := range []string{"service.log", "data/ledger.db", "data/ledger.db-wal"} {
		if text, err := os.ReadFile(filepath.Join(h.dir, name)); err == nil && strings.Contains(string(text), word) {
			return fmt.Errorf("%s has an identifier of a person, or the key", name)
		}
	}
	return nil
}

// trouble draws what goes wrong with a call.
func (w *hostedWorld) trouble(webtest.Call) webtest.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.quiet {
		return webtest.Fault{}
	}
	n := w.rng.IntN(10_000)
	kinds := []struct {
		upTo int
		name string
		f    webtest.Fault
	}{
		{100, "429", webtest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"0.2"}}}},
		{150, "500", webtest.Fault{Status: http.StatusInternalServerError}},
		{158, "503", webtest.Fault{Status: http.StatusServiceUnavailable}},
		{166, "cut before", webtest.Fault{Cut: webtest.CutBefore}},
		{180, "cut after", webtest.Fault{Cut: webtest.CutAfter}},
		{186, "a page", webtest.Fault{Body: "<html>" + hostedCanary + "</html>"}},
		{192, "an object", webtest.Fault{Body: "{}"}},
		{196, "a foreign 404", webtest.Fault{Status: http.StatusNotFound}},
	}
	for _, k := range kinds {
		if n < k.upTo {
			w.kase.tally(k.name, 1)
			return k.f
		}
	}
	return webtest.Fault{}
}
