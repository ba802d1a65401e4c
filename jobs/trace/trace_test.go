package trace_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/trace"
	"lethe/jobs/trace/tracetest"
)

func open(t *testing.T, o trace.Options) *trace.Tracer {
	t.Helper()
	tracer, err := trace.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return tracer
}

// flush ends a tracer in good order.
func flush(t *testing.T, tracer *trace.Tracer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := tracer.Close(ctx); err != nil {
		t.Error(err)
	}
}

// requestAt is the ID of a request that was filed then.
func requestAt(at time.Time, n int) string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:], uint64(at.UnixMilli())<<16|7<<12)
	binary.BigEndian.PutUint64(id[8:], 2<<62|uint64(n)*0x9E3779B97F4A7C15>>2)
	return id.String()
}

func traceOf(request string) string { return strings.ReplaceAll(request, "-", "") }

func named(t *testing.T, c *tracetest.Collector, name string) tracetest.Span {
	t.Helper()
	spans := c.Spans()
	i := slices.IndexFunc(spans, func(s tracetest.Span) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no span %s among %+v", name, spans)
	}
	return spans[i]
}

// Processes that never heard of each other give the same request one trace.
func TestEveryProcessTracesARequestUnderItsOwnID(t *testing.T) {
	c := tracetest.New(t)
	filed := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	id := requestAt(filed, 1)
	for i, name := range []string{"plan", "batch"} {
		tracer := open(t, trace.Options{Endpoint: c.URL, Ratio: 1})
		ctx, end := tracer.Step(t.Context(), name, jobs.Task{Request: id, Store: "notes"}, 0)
		_, endPart := tracer.Step(ctx, name+" part", jobs.Task{Request: id, Store: "notes"}, 7)
		endPart("store-busy", true)
		end("", false)
		if i == 1 {
			tracer.Ended(t.Context(), id, jobs.Completed)
		}
		flush(t, tracer)
	}
	root := named(t, c, "request")
	if root.Trace != traceOf(id) || root.Parent != "" || !root.Start.Equal(filed) || root.Attributes["lethe.outcome"] != "completed" {
		t.Errorf("the request itself: %+v", root)
	}
	for _, name := range []string{"plan", "batch"} {
		step, part := named(t, c, name), named(t, c, name+" part")
		if step.Trace != root.Trace || step.Parent != root.ID || step.Failed || step.Attributes["lethe.store"] != "notes" {
			t.Errorf("%s: %+v, of %+v", name, step, root)
		}
		if part.Parent != step.ID || !part.Failed || part.Status != "store-busy" {
			t.Errorf("a part of %s: %+v", name, part)
		}
	}
	if a, b := named(t, c, "plan"), named(t, c, "batch"); a.Instance == b.Instance || a.Instance == "" {
		t.Errorf("the processes are %q and %q", a.Instance, b.Instance)
	}
}

func TestAStepDaysAfterTheFilingLinksToTheRequest(t *testing.T) {
	c := tracetest.New(t)
	id := requestAt(time.Now().Add(-25*time.Hour), 1)
	tracer := open(t, trace.Options{Endpoint: c.URL, Ratio: 1})
	_, end := tracer.Step(t.Context(), "batch", jobs.Task{Request: id}, 0)
	end("", false)
	flush(t, tracer)
	if s := named(t, c, "batch"); s.Trace == traceOf(id) || s.Parent != "" || !slices.Equal(s.Links, []string{traceOf(id)}) {
		t.Errorf("%+v", s)
	}
}

// What the asker sends besides is not even looked at.
func TestWhoAsksIsLinkedTo(t *testing.T) {
	c := tracetest.New(t)
	tracer := open(t, trace.Options{Endpoint: c.URL, Ratio: 1, Headers: map[string]string{"Authorization": "Bearer sesame"}})
	id := requestAt(time.Now(), 1)
	h := trace.Incoming(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		tracer.Accepted(r.Context(), jobs.Request{ID: id, Origin: jobs.OriginAPI}, time.Now())
	}))
	ask := httptest.NewRequest(http.MethodPost, "/v1/requests", nil)
	ask.Header.Set("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")
	ask.Header.Set("tracestate", "who=kanari")
	ask.Header.Set("baggage", "who=kanari")
	h.ServeHTTP(httptest.NewRecorder(), ask)
	flush(t, tracer)
	if s := named(t, c, "accept"); s.Trace != traceOf(id) || !slices.Equal(s.Links, []string{"4bf92f3577b34da6a3ce929d0e0e4736"}) {
		t.Errorf("%+v", s)
	}
	raw, header := c.Raw()
	if bytes.Contains(raw, []byte("kanari")) || header.Get("Authorization") != "Bearer sesame" {
		t.Errorf("%s", raw)
	}
}

func TestTheRatioIsOfRequestsAndTheSameInEveryProcess(t *testing.T) {
	c := tracetest.New(t)
	const all = 1200
	for range 2 {
		tracer := open(t, trace.Options{Endpoint: c.URL, Ratio: 0.25})
		for i := range all {
			_, end := tracer.Step(t.Context(), "plan", jobs.Task{Request: requestAt(time.Now(), i)}, 0)
			end("", false)
			if n := i + 1; n%200 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		tracer.Ended(t.Context(), "no ID", jobs.Completed)
		flush(t, tracer)
	}
	times := map[string]int{}
	for _, s := range c.Spans() {
		times[s.Attributes["lethe.request_id"][24:]]++ // but for the time
	}
	if len(times) < all/5 || len(times) > all/3 {
		t.Errorf("%d of %d requests are traced at a ratio of a quarter", len(times), all)
	}
	for id, n := range times {
		if n != 2 {
			t.Errorf("%s was traced by %d processes of 2", id, n)
		}
	}
}

// A collector that takes a connection and never answers.
func TestACollectorThatHangsHoldsNothingUp(t *testing.T) {
	free := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-free }))
	defer server.Close()
	defer close(free)
	tracer := open(t, trace.Options{Endpoint: server.URL + "/v1/traces", Ratio: 1})
	for i := range 20_000 { // ten times what is kept
		_, end := tracer.Step(t.Context(), "batch", jobs.Task{Request: requestAt(time.Now(), i)}, 0)
		end("", false)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tracer.Close(ctx); err == nil {
		t.Error("the spans are said to have been sent")
	}
}

// lines is a writer that may be read meanwhile.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *lines) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// A collector refuses with words that are nobody's business. That is told once, in
// other words.
func TestACollectorThatRefusesIsToldOnceAndNotQuoted(t *testing.T) {
	var refuses atomic.Bool
	refuses.Store(true)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refuses.Load() {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, "kanari")
		}
	}))
	defer server.Close()
	var logs lines
	var failed, sent atomic.Int64
	tracer := open(t, trace.Options{Endpoint: server.URL + "/v1/traces", Ratio: 1, Logger: slog.New(slog.NewTextHandler(&logs, nil)), Sent: func(n int, err error) {
		if err != nil {
			failed.Add(int64(n))
		} else {
			sent.Add(int64(n))
		}
	}})
	until := func(what string, n *atomic.Int64, want int64) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); n.Load() < want; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d spans %s, want %d", n.Load(), what, want)
			}
		}
	}
	step := func() {
		_, end := tracer.Step(t.Context(), "plan", jobs.Task{Request: requestAt(time.Now(), 1)}, 0)
		end("", false)
	}
	step()
	until("failed", &failed, 1)
	step()
	until("failed", &failed, 2)
	refuses.Store(false)
	step()
	until("sent", &sent, 1)
	flush(t, tracer)
	if text := logs.String(); strings.Contains(text, "kanari") || strings.Count(text, "\n") != 2 || !strings.Contains(text, "taken again") {
		t.Errorf("%s", text)
	}
}

func TestNobodysTracerDoesNothing(t *testing.T) {
	var tracer *trace.Tracer
	ctx, end := tracer.Step(t.Context(), "plan", jobs.Task{Request: requestAt(time.Now(), 1)}, 0)
	end("", false)
	tracer.Accepted(ctx, jobs.Request{ID: requestAt(time.Now(), 1)}, time.Now())
	tracer.Ended(ctx, requestAt(time.Now(), 1), jobs.Completed)
	flush(t, tracer)
}
