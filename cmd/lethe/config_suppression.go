package main

import (
	"fmt"
	"slices"
	"time"
)

const (
	undatedNotice = "notice"
	undatedErase  = "erase"
	maxWatches    = 16
	minKeep       = 31 * 24 * time.Hour
)

// A SuppressionConfig says how it is recognized that what was erased has come back:
// from a restored backup, or from whoever writes what they had kept. Of what was
// erased keyed digests stay in the ledger, which say nothing without the key of
// their month.
type SuppressionConfig struct {
	// keep: how long after the end of a month its key is kept, and with it the
	// digests of what was erased in it: longer than any backup of a store may live.
	// Then both are destroyed, and the log says so. At least 31d. Default 400d.
	Keep *Duration `yaml:"keep"`

	// watch: how long after a request was completed its stores are read again, to
	// see whether anything has come back. [] for never. Default [1h, 24h, 7d, 30d].
	Watch *[]Duration `yaml:"watch"`
}

func (s *SuppressionConfig) check(add func(field, problem string)) {
	if s == nil {
		return
	}
	if s.Keep != nil && time.Duration(*s.Keep) < minKeep {
		add("suppression.keep", "must be at least 31d: what was erased before is not recognized when a backup brings it back")
	}
	if s.Watch == nil {
		return
	}
	if len(*s.Watch) > maxWatches {
		add("suppression.watch", fmt.Sprintf("must have at most %d elements", maxWatches))
	}
	for i, d := range *s.Watch {
		switch field := fmt.Sprintf("suppression.watch[%d]", i); {
		case time.Duration(d) < time.Second:
			add(field, "must be at least 1s")
		case s.Keep == nil && time.Duration(d) > defaultKeep, s.Keep != nil && d > *s.Keep:
			add(field, "must not be longer than suppression.keep: nothing is known any more then")
		case slices.Contains((*s.Watch)[:i], d):
			add(field, "is there twice")
		}
	}
}

func undatedProblem(s string) string {
	if s == "" || s == undatedNotice || s == undatedErase {
		return ""
	}
	return "must be notice or erase"
}

const defaultKeep = 400 * 24 * time.Hour

// keepEpochs is how long an epoch's key is kept.
func (c *Config) keepEpochs() time.Duration {
	if c.Suppression == nil || c.Suppression.Keep == nil {
		return defaultKeep
	}
	return time.Duration(*c.Suppression.Keep)
}

// watchTimes are when it is looked after the end of a request.
func (c *Config) watchTimes() []time.Duration {
	if c.Suppression == nil || c.Suppression.Watch == nil {
		return []time.Duration{time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour}
	}
	all := make([]time.Duration, len(*c.Suppression.Watch))
	for i, d := range *c.Suppression.Watch {
		all[i] = time.Duration(d)
	}
	return all
}
