package main

import "lethe/jobs/api"

// A RateConfig bounds how often one caller may ask. Callers are told apart by
// their tokens and, where nobody needs one, by their addresses. Who asks too
// often gets 429 with Retry-After.
type RateConfig struct {
	// per_second: calls a second, over time. Default 100.
	PerSecond float64 `yaml:"per_second"`

	// burst: calls at once, after a pause. Default 1000.
	Burst int `yaml:"burst"`
}

// What a caller may do if nothing is said: more than people and scripts need, and
// less than makes the ledger slow for others.
const (
	ratePerSecond = 100
	rateBurst     = 1000
)

// Calls with a token that is refused, from one address.
const (
	refusalsPerSecond = 1
	refusalsBurst     = 20
)

func (r *RateConfig) fillIn() {
	if r.PerSecond == 0 {
		r.PerSecond = ratePerSecond
	}
	if r.Burst == 0 {
		r.Burst = rateBurst
	}
}

func (r *RateConfig) check(add func(field, problem string)) {
	if r == nil {
		return
	}
	if r.PerSecond < 0.01 || r.PerSecond > 1e6 {
		add("rate.per_second", "must be from 0.01 to 1000000")
	}
	if r.Burst < 1 || r.Burst > 1e6 {
		add("rate.burst", "must be from 1 to 1000000")
	}
}

// meter returns nil, no limit, if there is no RateConfig.
func (r *RateConfig) meter() *api.Meter {
	if r == nil {
		return nil
	}
	return api.NewMeter(r.PerSecond, r.Burst)
}
