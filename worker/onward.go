package worker

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// Carry answers one ring and, if its task was carried out, goes on with what the
// same request has ready then, without waiting for the queue. It does so for small
// jobs alone, see Ledger.Next: a large one must not keep a worker to itself. The
// queue rings for the same rows, and comes too late for them.
func (e *Eraser) Carry(ctx context.Context, r jobs.Ring) error {
	done, err := e.handle(ctx, r)
	if err != nil || done == nil {
		return err
	}
	return e.onward(ctx, done.Request)
}

// onward carries out what a request has ready, until there is nothing more of it,
// or it is another's turn. Whatever it leaves, the relay rings.
func (e *Eraser) onward(ctx context.Context, request string) error {
	for ctx.Err() == nil && (e.Leaving == nil || !e.Leaving()) {
		next, err := e.Ledger.Next(ctx, request)
		if err != nil {
			return nil //nolint:nilerr // there is none, or the ledger does not answer: the row stays, and is rung
		}
		fault.Point("worker/goes-on")
		if done, err := e.handle(ctx, next); err != nil || done == nil {
			return err
		}
	}
	return nil
}

const (
	hands     = 4               // requests that one process has at hand
	handDrain = 6 * time.Second // how long a stop waits for them
)

// A Hand begins requests for whose end somebody waits, at once and beside the
// queue, in the process that was asked. It takes few at a time and lets the others
// go the ordinary way, as it does with those that are large.
type Hand struct {
	Grace time.Duration // how long after Run's context what is at hand is ended; less than 6 s

	eraser *Eraser
	asked  chan string
}

// NewHand returns the Hand of an Eraser.
func NewHand(e *Eraser) *Hand { return &Hand{eraser: e, asked: make(chan string)} }

// Begin has a request begun, if there is a hand free. It never waits.
func (h *Hand) Begin(request string) {
	select {
	case h.asked <- request:
	default:
	}
}

// Run carries out until ctx is done, and waits a little for what is at hand.
func (h *Hand) Run(ctx context.Context) error {
	var all sync.WaitGroup
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(h.Grace, cancel) })()
	for range hands {
		all.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case request := <-h.asked:
					h.carry(late, request)
				}
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	<-ctx.Done()
	select {
	case <-ended:
	case <-time.After(handDrain): // what they work on is rung again when its lease ends
	}
	return nil
}

// carry outlives a panic. The value of the panic is lost on purpose: nobody knows
// what it holds.
func (h *Hand) carry(ctx context.Context, request string) {
	log := h.eraser.Logger
	defer func() {
		if v := recover(); v != nil {
			log.ErrorContext(ctx, "handler panicked", slog.String("request_id", request), slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := h.eraser.onward(ctx, request); err != nil && ctx.Err() == nil {
		log.WarnContext(ctx, "task failed", slog.String("request_id", request), slog.Any("error", err))
	}
}
