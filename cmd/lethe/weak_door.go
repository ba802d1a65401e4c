package main

import (
	"context"

	"lethe/jobs"
)

// lookOpen: without tokens, whoever is on this machine may do everything.
func lookOpen(ctx context.Context, s *surroundings) []weakness {
	if s.tokens == nil || !s.config.Roles.has(roleAPI) {
		return nil
	}
	n, err := s.tokens(ctx)
	if err != nil || n > 0 {
		return nil
	}
	return []weakness{{
		"there are no tokens: whoever reaches the service from this machine may file, cancel and approve everything",
		"lethe token create --role admin --name NAME with the same --config or --data",
	}}
}

// lookListener: what is said to be safe behind a proxy is so only if nobody
// reads along on the way.
func lookListener(_ context.Context, s *surroundings) []weakness {
	if s.config.TLS.on() || loopback(s.config.Listen) || !s.config.Roles.has(roleAPI) {
		return nil
	}
	return []weakness{{
		"the service listens beyond this machine without TLS, so tokens cross the network in the clear up to the proxy",
		"give tls: {cert: FILE, key: FILE} in the configuration, or listen on 127.0.0.1 beside the proxy",
	}}
}

// liveTokens returns how many tokens open the door.
func (s *service) liveTokens(ctx context.Context) (n int, err error) {
	tokens, err := s.ledger.Tokens(ctx, jobs.ActorSystem)
	for _, t := range tokens {
		if t.Live(s.ledger.Now()) {
			n++
		}
	}
	return n, err
}
