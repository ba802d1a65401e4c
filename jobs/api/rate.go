package api

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"lethe/audit/fault"
	"lethe/jobs"
)

// maxMeters bounds how many callers are told apart, and with it the memory.
const maxMeters = 10_000

// A Meter lets each caller do so much in a second, and so much at once after a
// pause. Callers beyond the 10,000 that it tells apart share one measure, so a
// flood of addresses cannot fill the memory. It may be used concurrently.
type Meter struct {
	perSecond rate.Limit
	burst     int
	now       func() time.Time

	mu    sync.Mutex
	each  map[string]*rate.Limiter
	other *rate.Limiter
}

// NewMeter returns a Meter. Both numbers must be positive.
func NewMeter(perSecond float64, burst int) *Meter {
	m := &Meter{perSecond: rate.Limit(perSecond), burst: burst, now: time.Now, each: map[string]*rate.Limiter{}}
	m.other = rate.NewLimiter(m.perSecond, burst)
	return m
}

// Take counts one call of a caller. It returns 0 if it may be made, or how long
// to wait before the next try. A nil Meter lets everything through.
func (m *Meter) Take(caller string) time.Duration {
	if m == nil || fault.Bug("api/no-rate") {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	r := m.of(caller, now).ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now) // a call that is refused costs nothing
	}
	return wait
}

func (m *Meter) of(caller string, now time.Time) *rate.Limiter {
	l, ok := m.each[caller]
	if ok {
		return l
	}
	if len(m.each) >= maxMeters {
		for name, l := range m.each { // whoever has rested is as good as new
			if l.TokensAt(now) >= float64(m.burst) {
				delete(m.each, name)
			}
		}
	}
	if len(m.each) >= maxMeters {
		return m.other
	}
	l = rate.NewLimiter(m.perSecond, m.burst)
	m.each[caller] = l
	return l
}

// metered returns a problem if who calls has called too often. Callers are told
// apart by their tokens, and where nobody needs one by their addresses.
func (s *server) metered(r *http.Request, a jobs.Actor) error {
	if r.URL.Path == "/healthz" { // whether the process lives is always told
		return nil
	}
	caller := "token " + a.ID
	if a == jobs.ActorOpen || a == (jobs.Actor{}) {
		caller = "address " + addressOf(r)
	}
	return tooMany(s.Rate.Take(caller))
}

// refused returns what to answer to a call whose token was refused: err, or that
// there were too many such calls from its address. Calls with a good token are
// never counted, so nobody can lock another out.
func (s *server) refused(r *http.Request, err error) error {
	if !errors.Is(err, jobs.ErrUnknownToken) && !isA[*Problem](err) { // the ledger does not answer
		return err
	}
	if p := tooMany(s.Refusals.Take(addressOf(r))); p != nil {
		return p
	}
	return err
}

func tooMany(wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	p := problem(http.StatusTooManyRequests, "too_many", "too many calls: ask again after the seconds in Retry-After")
	p.RetryAfter = wait.Truncate(time.Second) + time.Second
	return p
}

// addressOf returns the address of the other end of the connection; of IPv6 its
// network, of which one customer has all addresses. What a header says of it is
// not believed.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap().WithZone(""); a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// Limited lets each address make so many calls of h as o.Rate allows and, of those
// that try to sign in, as o.Refusals does: whoever guesses is slowed down as one who
// shows wrong tokens is.
func Limited(h http.Handler, o Options, signIn func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := tooMany(o.Rate.Take("address " + addressOf(r)))
		if err == nil && signIn(r) {
			err = tooMany(o.Refusals.Take(addressOf(r)))
		}
		if err != nil {
			problemOf(err).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}
