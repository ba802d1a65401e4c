package main

import (
	"time"

	"lethe/jobs"
	"lethe/worker"
)

// bookOf is the book that the doors ask, with the laws and the codes of the
// configuration.
func (s *service) bookOf(known []jobs.StoreName, stores map[string]*worker.Store, keep time.Duration) (*jobs.Intake, error) {
	clock, err := s.config.clock()
	if err != nil {
		return nil, err // it has been checked
	}
	return &jobs.Intake{
		Ledger: tracedBook{s.ledger, s.tracer}, Keys: s.keys, Stores: known, KeepKey: keep, Now: s.ledger.Now, Down: s.down,
		Clock: clock, Codes: s.config.codes(), Places: worker.PlacesOf(stores),
	}, nil
}
