//go:build torture

package main

import (
	"fmt"
	"slices"
	"time"
)

// measure keeps how long something took; see report.
func (r *run) measure(what string, d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string][]time.Duration{}
	}
	r.times[what] = append(r.times[what], d)
}

// summarize words what was measured, and returns what took longer than it may.
func (r *run) summarize(limits map[string]time.Duration) (late []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for what, all := range r.times {
		slices.Sort(all)
		at := func(p float64) time.Duration {
			return all[min(len(all)-1, int(p*float64(len(all))))].Round(time.Millisecond)
		}
		if r.result.Measured == nil {
			r.result.Measured = map[string]string{}
		}
		r.result.Measured[what] = fmt.Sprintf("p50 %s, p99 %s, longest %s (n = %d)", at(0.5), at(0.99), all[len(all)-1].Round(time.Millisecond), len(all))
		if limit := limits[what]; limit > 0 && at(0.99) > stretched(limit) {
			late = append(late, fmt.Sprintf("%s: p99 is %s, at most %s", what, at(0.99), limit))
		}
	}
	return late
}
