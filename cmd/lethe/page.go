package main

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"lethe/jobs"
	"lethe/jobs/api"
	web "lethe/jobs/console"
)

// page makes the web page, for / and /console/. Who may do without signing in
// there is who may call the API without a token.
func (s *service) page(o api.Options) http.Handler {
	c := web.New(web.Options{
		Book: s.intake, Planner: o.Planner, Decider: s.intake, Holds: pageHolds{s.holds}, Sweeps: s.sweeper, Gate: s.ledger, OIDC: s.oidc, Open: nobodyAsked(s.ledger, o.Listen),
		Stores: o.Stores, Regimes: s.regimes(), PublicKey: o.PublicKey, Head: s.ledger.Log().Checkpoint,
		Secret: s.keys.Secret(), Secure: s.config.reachedByHTTPS(), Logger: s.logger, Version: version(),
		Closing: o.Closing, Poll: pagePoll,
	})
	return api.Protect(api.Limited(c, o, signsIn), o)
}

// signsIn reports whether a call of the page tries to sign in.
func signsIn(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == "/console/sign-in"
}

// nobodyAsked reports whether a call that shows no token is let in. What a page's
// call has in an Authorization header is not the page's.
func nobodyAsked(gate api.Gate, listen string) func(*http.Request) (bool, error) {
	return func(r *http.Request) (bool, error) {
		bare := r.Clone(r.Context())
		bare.Header.Del("Authorization")
		_, err := api.Authenticate(bare, gate, listen)
		if errors.Is(err, jobs.ErrUnknownToken) {
			return false, nil
		}
		return err == nil, err
	}
}

// reachedByHTTPS reports whether browsers come by https, be it something else that
// speaks TLS.
func (c *Config) reachedByHTTPS() bool {
	return c.TLS != nil || c.OIDC != nil && strings.HasPrefix(c.OIDC.RedirectURL, "https://")
}

// regimes are those that a request may be filed under, the default first.
func (s *service) regimes() []string {
	names := strings.Split(s.intake.Clock.Names(), ", ")
	slices.SortStableFunc(names, func(a, b string) int {
		switch s.intake.Clock.Default {
		case a:
			return -1
		case b:
			return 1
		}
		return 0
	})
	return names
}
