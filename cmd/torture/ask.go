//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// An ask is one line of the oracle's book: what was asked, by whom it was
// answered, and with what.
type ask struct {
	user   string
	ids    []string
	stores []string // names; empty for all
	grace  time.Duration
	key    string        // the idempotency key
	twice  bool          // submitted by two clients at once
	other  bool          // the key is used once more with another body, which must be refused
	after  time.Duration // when it is asked
	life   int           // from this life of the service on it is asked, or before if there is nothing to do
	cancel time.Duration // after which it is cancelled; 0 for never
	deed   *deed         // what a second person does about it; nil if there is none
	notify bool          // somebody is told of it
	tellTo string        // where

	mu       sync.Mutex
	come     chan struct{} // closed when it may be asked; nil for at once
	askedAt  time.Time     // zero while it is held back
	id       string
	receipt  []byte
	last     api.Request // as last seen
	ended    bool
	stopped  bool // a cancellation was taken
	certs    [][]byte
	problems []error
}

func (a *ask) submission() api.Submission {
	s := api.Submission{Stores: a.stores, Grace: a.grace, IdempotencyKey: a.key, NotifyURL: a.tellTo}
	if len(a.ids) > 0 {
		s.IDs = iter.Seq2[string, error](func(yield func(string, error) bool) {
			for _, id := range a.ids {
				if !yield(id, nil) {
					return
				}
			}
		})
		return s
	}
	s.Selector = store.Selector{UserID: a.user}
	return s
}

func (a *ask) wrong(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.problems = append(a.problems, fmt.Errorf(format, args...))
}

// patience is how long a client waits for one answer before it asks again.
const patience = 8 * time.Second

// again calls f with the client of whatever life serves now, until it is
// answered: with nil, or a refusal that is the caller's to judge.
func (h *house) again(ctx context.Context, f func(context.Context, *api.Client) error) error {
	return h.as(ctx, h.client, f)
}

// as is again with another's client.
func (h *house) as(ctx context.Context, who func() *api.Client, f func(context.Context, *api.Client) error) error {
	for ctx.Err() == nil {
		if client := who(); client != nil {
			one, cancel := context.WithTimeout(ctx, patience)
			err := f(one, client)
			cancel()
			var refused *api.Problem
			if err == nil || errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests {
				return err
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(25 * time.Millisecond):
		}
	}
	return ctx.Err()
}

// follow files an ask and watches it to its end.
func (h *house) follow(ctx context.Context, a *ask) {
	select {
	case <-ctx.Done():
		return
	case <-a.released():
	}
	select {
	case <-ctx.Done():
		return
	case <-time.After(a.after):
	}
	clients := 1
	if a.twice {
		clients = 2
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(func() { h.submit(ctx, a) })
	}
	all.Wait()
	if a.id == "" {
		return
	}
	if a.other {
		h.submitOther(ctx, a)
	}
	var second sync.WaitGroup
	defer second.Wait()
	if a.deed != nil {
		second.Go(func() { h.act(ctx, a) })
	}
	if a.cancel > 0 {
		h.cancelIt(ctx, a)
	}
	h.watch(ctx, a)
}

func (h *house) submit(ctx context.Context, a *ask) {
	err := h.again(ctx, func(ctx context.Context, c *api.Client) error {
		r, _, err := c.Submit(ctx, a.submission())
		if err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.id != "" && a.id != r.ID {
			a.problems = append(a.problems, fmt.Errorf("one idempotency key has two requests, %s and %s", a.id, r.ID))
		}
		a.id = r.ID
		if r.ReceiptText != nil {
			a.receipt = []byte(*r.ReceiptText)
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		a.wrong("submit: %w", err)
	}
}

// submitOther uses the key for another person.
func (h *house) submitOther(ctx context.Context, a *ask) {
	err := h.again(ctx, func(ctx context.Context, c *api.Client) error {
		_, _, err := c.Submit(ctx, api.Submission{Selector: store.Selector{UserID: "somebody else"}, IdempotencyKey: a.key})
		return err
	})
	var refused *api.Problem
	if ctx.Err() == nil && (!errors.As(err, &refused) || refused.Status != http.StatusConflict) {
		a.wrong("an idempotency key was used for another body and the answer is %v", err)
	}
}

func (h *house) cancelIt(ctx context.Context, a *ask) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(a.cancel):
	}
	err := h.again(ctx, func(ctx context.Context, c *api.Client) error {
		_, err := c.Cancel(ctx, a.id)
		return err
	})
	var refused *api.Problem
	switch {
	case err == nil:
		a.mu.Lock()
		a.stopped = true
		a.mu.Unlock()
	case ctx.Err() != nil:
	case errors.As(err, &refused) && refused.Status == http.StatusConflict: // it was too late
	default:
		a.wrong("cancel: %w", err)
	}
}

// How soon who has filed a request asks again what became of it: some hundreds do so
// at once.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 500 * time.Millisecond
)

// watch asks for the request until it has ended, and makes sure that an end
// stays an end.
func (h *house) watch(ctx context.Context, a *ask) {
	for wait := firstLook; ctx.Err() == nil; wait = min(wait*3/2, lastLook) {
		err := h.again(ctx, func(ctx context.Context, c *api.Client) error {
			r, err := c.Request(ctx, a.id)
			if err == nil {
				a.mu.Lock()
				a.last = r
				a.ended = r.Status.Ended()
				a.mu.Unlock()
			}
			return err
		})
		if err != nil && ctx.Err() == nil {
			a.wrong("request %s: %w", a.id, err) // 404 of what was accepted, for one
			return
		}
		if a.ended {
			h.certificate(ctx, a)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// certificate fetches the certificate and keeps it, whatever comes later.
func (h *house) certificate(ctx context.Context, a *ask) {
	err := h.again(ctx, func(ctx context.Context, c *api.Client) error {
		text, err := c.Certificate(ctx, a.id)
		if err == nil {
			a.mu.Lock()
			a.certs = append(a.certs, text)
			a.mu.Unlock()
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		a.wrong("certificate of %s: %w", a.id, err)
	}
}

func (a *ask) done() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ended && len(a.certs) > 0 && (a.deed == nil || a.deed.over) || len(a.problems) > 0
}

// released is closed once the ask may be made.
func (a *ask) released() <-chan struct{} {
	if a.come == nil {
		now := make(chan struct{})
		close(now)
		return now
	}
	return a.come
}

// release lets an ask be made, and reports whether it was held back.
func (a *ask) release() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.come == nil || !a.askedAt.IsZero() {
		return false
	}
	a.askedAt = time.Now()
	close(a.come)
	return true
}

// A book is all asks of a case, and what else was seen from outside.
type book struct {
	asks  []*ask
	broom *broom // what is swept; nil for nothing

	mu    sync.Mutex
	heads map[string]bool // every signed head that was ever handed out
}

func (b *book) saw(head []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heads == nil {
		b.heads = map[string]bool{}
	}
	b.heads[string(head)] = true
}

// open follows all asks until ctx ends, and looks at the log's head now and
// then. The function it returns waits for them.
func (b *book) open(ctx context.Context, h *house) (wait func()) {
	var all sync.WaitGroup
	for _, a := range b.asks {
		if a.life > 0 {
			a.come = make(chan struct{})
		} else {
			a.askedAt = time.Now()
		}
		all.Go(func() { h.follow(ctx, a) })
	}
	if b.broom != nil {
		all.Go(func() { h.tend(ctx, b.broom) })
	}
	all.Go(func() {
		for ctx.Err() == nil {
			if c := h.client(); c != nil {
				one, cancel := context.WithTimeout(ctx, patience)
				if head, err := c.Checkpoint(one); err == nil {
					b.saw(head)
				}
				cancel()
			}
			select {
			case <-ctx.Done():
			case <-time.After(200 * time.Millisecond):
			}
		}
	})
	return all.Wait
}

func (b *book) done() bool {
	return b.broom.left() == "" && !slices.ContainsFunc(b.asks, func(a *ask) bool { return !a.done() })
}

// release lets those be asked whose life has come. If all that was asked has
// been answered, the next one comes before its time: a service that idles is not
// worth killing.
func (b *book) release(life int) {
	idle := true
	var next *ask
	for _, a := range b.asks {
		a.mu.Lock()
		held := a.come != nil && a.askedAt.IsZero()
		a.mu.Unlock()
		switch {
		case held && a.life <= life:
			a.release()
			idle = false
		case held && (next == nil || a.life < next.life):
			next = a
		case !held && !a.done() && !a.parked():
			idle = false
		}
	}
	if idle && next != nil {
		next.release()
	}
}

// parked reports whether nothing is to be done for an ask, of those that last.
func (a *ask) parked() bool { return a.grace > 0 }

// inFlight reports whether there was work to do for some ask at a time.
func (b *book) inFlight(at time.Time) bool {
	return b.broom.atWork(at) || slices.ContainsFunc(b.asks, func(a *ask) bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		end := a.last.CompletedAt
		return !a.parked() && !a.askedAt.IsZero() && a.askedAt.Before(at) && (end == nil || end.After(at))
	})
}

// waiting says what has not ended, for a failure.
func (b *book) waiting() string {
	text := ""
	if left := b.broom.left(); left != "" {
		text = "\n  of sweeps: " + left
	}
	for _, a := range b.asks {
		if a.done() {
			continue
		}
		a.mu.Lock()
		text += fmt.Sprintf("\n  request %s is %q", a.id, a.last.Status)
		for _, s := range a.last.Stores {
			text += fmt.Sprintf(", store %s %s note %q batches %d of %d", s.Store, s.Stage, s.Note, s.BatchesDone, s.BatchesTotal)
		}
		a.mu.Unlock()
	}
	return text
}

// byStatus counts how asks have ended.
func (b *book) byStatus(s jobs.Status) int {
	n := 0
	for _, a := range b.asks {
		if a.last.Status == s {
			n++
		}
	}
	return n
}
