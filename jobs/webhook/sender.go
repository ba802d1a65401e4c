package webhook

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"lethe/audit/fault"
	"lethe/jobs"
)

// A Book keeps the notices. Every call is durable once it returns.
type Book interface {
	// Notices claims up to limit notices that are due, for longer than a try
	// takes. Nobody else gets them meanwhile.
	Notices(ctx context.Context, limit int) ([]jobs.Notice, error)
	// NoticeDone takes one away.
	NoticeDone(ctx context.Context, n jobs.Notice) error
	// NoticeLater puts one back. Untried, the claim does not count.
	NoticeLater(ctx context.Context, n jobs.Notice, then time.Time, tried bool) error
	// SweepNotify destroys keys that nobody needs any more.
	SweepNotify(ctx context.Context) error
}

// How it is tried.
const (
	lookEvery  = 500 * time.Millisecond
	sweepEvery = 10 * time.Minute
	atOnce     = 8
	atOneHost  = 2                   // so that a slow one leaves room for others
	lastGiveUp = 90 * 24 * time.Hour // after the change
	firstPause = 5 * time.Second     // doubled with each try
	lastPause  = 6 * time.Hour
	answerTime = 5 * time.Second // for the ledger, after the end of a try

	// How often it is looked whether a host that is being told is free, and for
	// how long: a slow one is not to keep the slots of others.
	freeEvery = 5 * time.Millisecond
	freeLimit = time.Second
)

// Outcomes of a try, or of a notice. They label a metric.
const (
	Delivered = "delivered"
	Failed    = "failed"   // and tried again
	GivenUp   = "given_up" // after GiveUp, or because there is nobody to tell
)

// Outcomes returns every outcome.
func Outcomes() []string { return []string{Delivered, Failed, GivenUp} }

// A Sender tells receivers. Any number may run on one ledger. Without Secrets it
// tells nobody, and gives up what there is. Book, Count, Now and Logger are
// required.
type Sender struct {
	Book      Book
	Rules     Rules
	Secrets   Secrets
	Endpoints map[string]string // configured receivers: name to URL
	Count     func(outcome string)
	GiveUp    time.Duration // how long after the change a notice, with its body, is kept for a receiver that does not take it; 0 for 90 days
	Rest      func() bool   // whether nothing can be written now
	Pulse     jobs.Pulse
	Now       func() time.Time
	Logger    *slog.Logger

	Roots    *x509.CertPool // of receivers' certificates; nil for the system's
	Resolver *net.Resolver  // nil for the system's

	client *http.Client
	mu     sync.Mutex
	hosts  map[string]*host // those that are being told, or failed lately
}

// A host is one that is not to be asked by all at once.
type host struct {
	busy     int
	failures int       // in a row
	until    time.Time // not before
}

// Run tells whoever is to be told until ctx is done, and gives back what it is
// at. It never returns an error: what goes wrong is tried again.
func (s *Sender) Run(ctx context.Context) error {
	s.client, s.hosts = s.Rules.client(s.Roots, s.Resolver), map[string]*host{}
	slots, freed := make(chan struct{}, atOnce), make(chan struct{}, 1)
	var running sync.WaitGroup
	defer running.Wait()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var swept time.Time
	for turned := s.Pulse.Begin(); ; {
		more := freed // while as many are due as there are slots, the next begins with the end of one
		if s.Rest != nil && s.Rest() {
			more = nil
			turned()
		} else {
			if now := s.Now(); now.Sub(swept) >= sweepEvery {
				swept = now
				s.say(ctx, "sweeping keys of webhooks", s.Book.SweepNotify(ctx))
			}
			waits, err := s.turn(ctx, slots, freed, &running)
			if err == nil {
				turned()
			}
			if !waits {
				more = nil
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-more:
		}
	}
}

// turn begins as many tries as there are slots free, and reports whether there may
// be more. An error is that of the book.
func (s *Sender) turn(ctx context.Context, slots, freed chan struct{}, running *sync.WaitGroup) (more bool, _ error) {
	free := cap(slots) - len(slots)
	if free == 0 {
		return true, nil
	}
	list, err := s.Book.Notices(ctx, free)
	s.say(ctx, "looking for webhooks to send; it is tried again", err)
	for _, n := range list {
		slots <- struct{}{}
		running.Go(func() {
			defer func() {
				<-slots
				select {
				case freed <- struct{}{}:
				default: // it is known already
				}
			}()
			s.tell(ctx, n)
		})
	}
	return len(list) == free, err
}

// tell makes one try and tells the book what came of it.
func (s *Sender) tell(ctx context.Context, n jobs.Notice) {
	to := n.URL
	if n.Endpoint != "" {
		to = s.Endpoints[n.Endpoint]
	}
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), tryLimit+answerTime)
	defer cancel()
	if to == "" || len(s.Secrets) == 0 { // it is configured no more
		s.giveUp(own, n, code("nobody_to_tell"))
		return
	}
	if s.Rules.Check(to) != "" { // the rules are stricter than they were
		s.failed(own, n, code("not_allowed"))
		return
	}
	name := hostOf(to)
	if wait := s.enterSoon(ctx, name); wait > 0 {
		s.say(own, "putting a webhook back", s.Book.NoticeLater(own, n, s.Now().Add(wait), false))
		return
	}
	err := post(ctx, s.client, to, n, s.Secrets, s.Now())
	if errors.Is(err, context.Canceled) { // this process stops
		s.leave(name, nil)
		s.say(own, "putting a webhook back", s.Book.NoticeLater(own, n, s.Now(), false))
		return
	}
	s.leave(name, err)
	if err != nil {
		s.failed(own, n, err)
		return
	}
	fault.Point("webhook/told")
	s.Count(Delivered)
	s.say(own, "a webhook was sent and will be sent again", s.Book.NoticeDone(own, n))
}

// failed puts a notice back, or gives it up.
func (s *Sender) failed(ctx context.Context, n jobs.Notice, why error) {
	if s.Now().Sub(n.At) >= s.giveUpAfter() {
		s.giveUp(ctx, n, why)
		return
	}
	s.Count(Failed)
	if n.Attempts == 1 {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "webhook not taken; it is tried again", append(s.attrs(n, why), slog.Duration("for", s.giveUpAfter()))...)
	}
	s.say(ctx, "putting a webhook back", s.Book.NoticeLater(ctx, n, s.Now().Add(pause(n.Attempts)), true))
}

func (s *Sender) giveUpAfter() time.Duration { return cmp.Or(s.GiveUp, lastGiveUp) }

func (s *Sender) giveUp(ctx context.Context, n jobs.Notice, why error) {
	s.Count(GivenUp)
	s.Logger.LogAttrs(ctx, slog.LevelWarn, "webhook given up", s.attrs(n, why)...)
	s.say(ctx, "giving a webhook up", s.Book.NoticeDone(ctx, n))
}

// attrs says which notice, and nothing of where it goes.
func (s *Sender) attrs(n jobs.Notice, why error) []slog.Attr {
	receiver := n.Endpoint
	if receiver == "" {
		receiver = "notify_url"
	}
	return []slog.Attr{
		slog.String("request", n.Request), slog.Int("seq", n.Seq), slog.String("receiver", receiver),
		slog.Int("attempts", n.Attempts), slog.String("reason", why.Error()),
	}
}

func (s *Sender) say(ctx context.Context, what string, err error) {
	if err != nil && ctx.Err() == nil {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, what, slog.Any("error", err))
	}
}

// pause is how long to wait after the try of that number: twice as long each
// time, and a little uneven, so that what failed together does not come back
// together.
func pause(attempts int) time.Duration {
	d := firstPause << min(max(attempts-1, 0), 20)
	d = min(d, lastPause)
	return d - time.Duration(rand.Int64N(int64(d)/5)) //nolint:gosec // not a secret
}

// enterSoon is enter, which it asks again for a while if the host is only busy:
// put back, a notice would come a second later, and a receiver that is told of
// every request would fall behind.
func (s *Sender) enterSoon(ctx context.Context, name string) time.Duration {
	for end := time.Now().Add(freeLimit); ; {
		wait := s.enter(name)
		if wait != freeEvery {
			return wait
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return time.Second
		}
		select {
		case <-ctx.Done():
		case <-time.After(freeEvery):
		}
	}
}

// enter returns how long a host is to be left alone, or 0 if it may be asked
// now: leave must follow.
func (s *Sender) enter(name string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[name]
	if h == nil {
		h = &host{}
		s.hosts[name] = h
	}
	now := s.Now()
	switch {
	case h.until.After(now):
		return h.until.Sub(now) + time.Duration(rand.Int64N(int64(firstPause))) //nolint:gosec // not a secret
	case h.busy > 0 && h.failures > 0:
		return time.Second
	case h.busy >= atOneHost:
		return freeEvery
	}
	h.busy++
	return 0
}

// leave says how a try at a host ended. One that failed is left alone for a
// while by all notices, so that a dead one does not take the time of others.
func (s *Sender) leave(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[name]
	h.busy--
	if err == nil {
		h.failures = 0
		if h.busy == 0 {
			delete(s.hosts, name)
		}
		return
	}
	h.failures++
	h.until = s.Now().Add(min(firstPause<<min(h.failures-1, 8), 10*time.Minute) / 2)
	s.forget()
}

// forget keeps the hosts bounded: those whose time is over need no entry.
func (s *Sender) forget() {
	if len(s.hosts) < 1000 {
		return
	}
	for name, h := range s.hosts {
		if h.busy == 0 && h.until.Before(s.Now()) {
			delete(s.hosts, name)
		}
	}
}

func hostOf(to string) string {
	u, err := url.Parse(to)
	if err != nil {
		return ""
	}
	return u.Host
}
