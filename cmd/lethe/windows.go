package main

import (
	"context"
	"time"
)

// windows says how many tasks of each store may be queued or running. The
// process takes as many at once as all windows together, so that tasks waiting
// for a busy store never keep another store from being served.
func (s *service) windows() windows {
	w, factor := windows{}, windowFactor
	if !s.config.alone() {
		factor = sharedFactor
	}
	for _, st := range s.stores {
		w[st.Name] = factor * max(1, st.Concurrency)
	}
	return w
}

type windows map[string]int

func (w windows) sum() (n int) {
	for _, room := range w {
		n += room
	}
	return n
}

// pair is for how many processes a window is wide enough as it is.
const pair = 2

// spread returns the windows for so many processes: that of a store is one for all
// of them. Together they take twice as many tasks at once as there are then, so
// that none waits for a process that is full while another one is idle.
func (w windows) spread(processes int) map[string]int {
	wide := make(map[string]int, len(w))
	for store, room := range w {
		wide[store] = room * max(processes, pair) / pair
	}
	return wide
}

// crewEvery is how often it is asked how many processes there are.
const crewEvery = 2 * time.Second

// A crew knows how many processes work. It is not for concurrent use.
type crew struct {
	count func(context.Context) (int, error)
	asked time.Time
	last  int
}

// size returns how many they were when the queue last said so.
func (c *crew) size(ctx context.Context) int {
	if time.Since(c.asked) >= crewEvery {
		if n, err := c.count(ctx); err == nil {
			c.last = n
		}
		c.asked = time.Now()
	}
	return c.last
}
