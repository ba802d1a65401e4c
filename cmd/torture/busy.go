//go:build torture

package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

// busyFrom is how many may want each processor before times are stretched: the
// lab's own cases are about as many.
const busyFrom = 4

// busy is by how much times that the service is held to are to be stretched,
// because others want the machine too: 1 for not at all, at most 5.
func busy() float64 {
	var load float64
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, err = fmt.Sscan(string(text), &load)
	}
	if err != nil {
		return 1
	}
	return min(5, max(1, load/float64(busyFrom*runtime.NumCPU())))
}

func stretched(d time.Duration) time.Duration { return time.Duration(float64(d) * busy()) }

// tooLong reports whether what has not ended since then should have. An ID of
// which the service believes that it kills its worker rests for a while, by
// design, and has twice the time.
func (h *house) tooLong(began time.Time, b *book) bool {
	since := time.Since(began)
	if since < h.limit {
		return false
	}
	limit := stretched(h.limit)
	if b.resting() {
		limit *= 2
	}
	return since >= limit
}

// resting reports whether an ID rests.
func (b *book) resting() bool {
	for _, a := range b.asks {
		a.mu.Lock()
		for _, s := range a.last.Stores {
			if s.Note == "kills-its-worker" && !a.ended {
				a.mu.Unlock()
				return true
			}
		}
		a.mu.Unlock()
	}
	return false
}
