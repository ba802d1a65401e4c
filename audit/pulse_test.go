package audit_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit"
)

// A heart counts the turns of each part of a loop.
type heart struct {
	mu    sync.Mutex
	parts []*atomic.Int64
}

func (h *heart) pulse() (turned func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := new(atomic.Int64)
	h.parts = append(h.parts, n)
	return func() { n.Add(1) }
}

// least is how often the part that is worst off came round; -1 if there are not so
// many parts.
func (h *heart) least(parts int) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.parts) != parts {
		return -1
	}
	least := h.parts[0].Load()
	for _, n := range h.parts {
		least = min(least, n.Load())
	}
	return least
}

func (h *heart) goesOn(t *testing.T, parts int) {
	t.Helper()
	before := h.least(parts)
	eventually(t, "turns of every part", func() bool { return h.least(parts) > before+2 })
}

// standsStill makes sure that a part makes no turns, for longer than the next tries
// take.
func (h *heart) standsStill(t *testing.T, parts int) {
	t.Helper()
	before := h.least(parts)
	time.Sleep(500 * time.Millisecond)
	if n := h.least(parts) - before; before < 0 || n != 0 {
		t.Errorf("%d turns of that which is worst off", n)
	}
}

// words is a writer that may be read meanwhile.
type words struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (w *words) Write(p []byte) (int, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.b.Write(p) }
func (w *words) String() string              { w.mu.Lock(); defer w.mu.Unlock(); return w.b.String() }

func TestAPublisherThatCannotReadItsLogHasNoPulse(t *testing.T) {
	sick, w := &shelf{name: "sick"}, newOnlooker(t, "w.example")
	l := withAnchors(t, 3, sick)
	sick.fail(errors.New("no route")) // which is told elsewhere
	var h heart
	p := &audit.Publisher{Log: l.Log, Write: l.commit, Witnesses: []audit.Witness{w}, Every: time.Millisecond, Wait: time.Second, Pulse: h.pulse}
	publish(t, p)
	h.goesOn(t, 2)
	if err := l.read.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both have found the ledger closed", func() bool {
		for _, d := range p.Status() {
			if d.Err == nil || !strings.Contains(d.Err.Error(), "closed") {
				return false
			}
		}
		return true
	})
	h.standsStill(t, 2)
}

// One of them does not heed its context.
func TestAPublisherOfWhichOneDestinationHangsHasNoPulse(t *testing.T) {
	hung, sound := &shelf{name: "hung"}, &shelf{name: "sound"}
	l := withAnchors(t, 3, hung, sound)
	hung.hang = make(chan struct{})
	defer close(hung.hang)
	var h heart
	publish(t, &audit.Publisher{Log: l.Log, Write: l.commit, Every: time.Millisecond, Wait: 100 * time.Millisecond, Pulse: h.pulse})
	eventually(t, "the sound one", func() bool { return holds(t, l, sound, 3) && h.least(2) >= 0 })
	h.standsStill(t, 2)
}

func TestASequencerThatCannotReachItsDatabaseHasNoPulse(t *testing.T) {
	l := newPostgres(t)
	var h heart
	s := process(t, l)
	var logs words
	s.Pulse, s.Logger = h.pulse, slog.New(slog.NewTextHandler(&logs, nil))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	h.goesOn(t, 1)
	l.enqueue(t, entry(1))
	h.goesOn(t, 1)
	if err := s.DB.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a round has found it closed", func() bool { return strings.Contains(logs.String(), "closed") })
	h.standsStill(t, 1)
	stop()
	<-done
}

// Its transaction waits for a lock that somebody keeps.
func TestASequencerThatHangsHasNoPulse(t *testing.T) {
	l := newPostgres(t)
	var h heart
	s := process(t, l)
	s.Pulse = h.pulse
	held, release := make(chan struct{}), make(chan struct{})
	s.Pause(true, sync.OnceFunc(func() { close(held); <-release }))
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Run(ctx) }()
	l.enqueue(t, entry(1))
	<-held
	h.standsStill(t, 1)
	close(release)
	h.goesOn(t, 1)
	stop()
	<-done
}
