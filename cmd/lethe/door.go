package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// tokensEvery is how soon the log has its entries of tokens that were made or
// revoked beside the service and are not used.
const tokensEvery = time.Second

var errNoAdmin = errors.New("refusing to serve an address that is not loopback without an admin's token: make one with lethe token create --role admin --name NAME and the same --config or --data, and start again")

// guardDoor refuses to serve strangers before somebody holds the key to the
// door, and says so if it stands open.
func (s *service) guardDoor(ctx context.Context) (err error) {
	if s.config.TLS.on() {
		s.certificates, err = openCertificates(*s.config.TLS, func(err error) {
			s.logger.ErrorContext(ctx, "the new certificate cannot be used: the old one goes on", slog.Any("error", err))
		})
		if err != nil {
			return err
		}
	}
	tokens, err := s.ledger.Tokens(ctx, jobs.ActorSystem)
	if err != nil {
		return err
	}
	if loopback(s.config.Listen) {
		if len(tokens) == 0 && s.config.Roles.has(roleAPI) {
			s.logger.WarnContext(ctx, "OPEN: there are no tokens, so whoever reaches this address from this machine may file, cancel and approve everything; the first token closes the door: lethe token create --role admin --name NAME", slog.String("listen", s.config.Listen))
		}
		return nil
	}
	for _, t := range tokens {
		if t.Role == jobs.RoleAdmin && t.Live(s.ledger.Now()) {
			return nil
		}
	}
	return errNoAdmin
}

// logTokens keeps the log up with tokens that were made or revoked beside the
// service, until ctx is done.
func (s *service) logTokens(ctx context.Context) error {
	tick := time.NewTicker(tokensEvery)
	defer tick.Stop()
	for failing := false; ; {
		err := s.ledger.LogTokens(ctx)
		if err != nil && !failing && ctx.Err() == nil && !s.refused() {
			s.logger.WarnContext(ctx, "the log does not have every token yet", slog.Any("error", err))
		}
		failing = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// scheme is how the service is addressed.
func (s *service) scheme() string {
	if s.certificates != nil {
		return "https"
	}
	return "http"
}

// URL is where the service listens.
func (s *service) URL() string { return s.scheme() + "://" + s.listener.Addr().String() }

// doorstepWait is how long a connection may take to ask its first question when
// the door closes.
const doorstepWait = 200 * time.Millisecond

// A doorstep is the connections on which nothing was asked yet. Clients open more
// than they use, and http.Server waits up to 5 s for each when it shuts down.
type doorstep struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

// state is an http.Server's ConnState.
func (d *doorstep) state(c net.Conn, now http.ConnState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now != http.StateNew {
		delete(d.conns, c)
		return
	}
	if d.conns == nil {
		d.conns = map[net.Conn]bool{}
	}
	d.conns[c] = true
}

// sweep closes them.
func (d *doorstep) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		_ = c.Close() // nobody was promised anything
	}
}

// serveHTTP answers until ctx is done, and lets go of its clients within httpDrain.
func (s *service) serveHTTP(ctx context.Context) error {
	closing := make(chan struct{})
	server := api.Server(s.config.Listen, s.handler(closing))
	var step doorstep
	server.ConnState = step.state
	server.RegisterOnShutdown(func() {
		close(closing)
		time.AfterFunc(doorstepWait, step.sweep)
	})
	server.ErrorLog = slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn)
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpDrain)
		defer cancel()
		err := server.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = server.Close() // a client that does not let go must not hold up the stop
		}
		stopped <- err
	}()
	serve := server.Serve
	if s.certificates != nil {
		server.TLSConfig = s.certificates.config()
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	if err := serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}
