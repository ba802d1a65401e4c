package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"lethe/jobs/api"
)

// How long a filing asks again: a server that was never reached is mostly not
// there, one that was may be about to come back.
const (
	patienceUnreached = 10 * time.Second
	patienceReached   = 2 * time.Minute
)

// A filing files one request.
type filing struct {
	*console
	client  *api.Client
	who     selection
	what    api.Submission
	reached bool // whether the server may have read any of it
}

// file files the request. With an idempotency key it asks again when the
// network or the server fails, as long as the IDs can be read again.
func (f *filing) file(ctx context.Context) (api.Accepted, error) {
	begun := time.Now()
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 15*time.Second) {
		req, replayed, err := f.client.Submit(ctx, f.what)
		if err == nil {
			if replayed {
				f.talk("the request had been filed before\n")
			}
			return req, nil
		}
		err = f.who.blame(err)
		f.reached = f.reached || !unreached(err)
		if !transient(err) || f.what.IdempotencyKey == "" {
			return req, err
		}
		patience := patienceUnreached
		if f.reached {
			patience = patienceReached
		}
		if !f.who.again() || time.Since(begun) > patience || ctx.Err() != nil {
			return req, f.unknown(err)
		}
		f.talk("no answer yet, asking again in %s\n", pause)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// unknown adds to err how to find out what became of the request.
func (f *filing) unknown(err error) error {
	if !f.reached {
		return err
	}
	return fmt.Errorf("%w\nwhether the request was filed is not known: repeat it with --idempotency-key %s", err, f.what.IdempotencyKey)
}

// transient reports whether the same call may succeed later: the server was not
// reached, or could not answer.
func transient(err error) bool {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		if p.Code == api.CodeLogRefused { // people have to act first
			return false
		}
		return p.Status >= 500 || p.Status == http.StatusRequestTimeout || p.Status == http.StatusTooManyRequests
	}
	return exitStatus(err) == exitError
}

// unreached reports whether err means that there was nobody to talk to.
func unreached(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}
