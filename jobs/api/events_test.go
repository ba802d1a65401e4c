package api_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

func TestWatchSeesEveryChangeToTheEnd(t *testing.T) {
	h := open(t)
	id := h.file(t)
	var seen []jobs.Status
	last, err := h.client.Watch(t.Context(), id, func(r api.Request) {
		seen = append(seen, r.Status)
		switch r.Status {
		case jobs.Received:
			h.book.set(id, func(r *jobs.Request) { r.Status = jobs.Erasing })
		case jobs.Erasing:
			h.book.set(id, func(r *jobs.Request) { end(r, jobs.Completed) })
		}
	})
	if err != nil || last.Status != jobs.Completed || len(seen) != 3 {
		t.Errorf("watch: %v, ended %s, saw %v", err, last.Status, seen)
	}
}

func TestWatchPollsWhereStreamsDoNotComeThrough(t *testing.T) {
	h := open(t)
	id := h.file(t)
	h.book.set(id, func(r *jobs.Request) { end(r, jobs.Completed) })
	for name, broken := range map[string]http.HandlerFunc{
		"no such path": func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) },
		"a proxy":      func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"error":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) },
		"cut":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/events") {
				broken(w, r)
				return
			}
			h.server.Config.Handler.ServeHTTP(w, r)
		}))
		c, err := api.NewClient(front.URL, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		if last, err := c.Watch(t.Context(), id, func(api.Request) { n++ }); err != nil || last.Status != jobs.Completed || n != 1 {
			t.Errorf("%s: %v, %s after %d changes", name, err, last.Status, n)
		}
		front.Close()
	}
}

func TestWatchEndsWithItsContextAndWithARequestThatIsNotThere(t *testing.T) {
	h := open(t)
	id := h.file(t)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := h.client.Watch(ctx, id, func(api.Request) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v, want the context's", err)
	}
	_, err := h.client.Watch(t.Context(), "0193a000-0000-7000-8000-000000000009", func(api.Request) {})
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != http.StatusNotFound {
		t.Errorf("err = %v, want 404", err)
	}
}

func TestStreamsDoNotHoldUpShutdown(t *testing.T) {
	closing := make(chan struct{})
	h := open(t, func(o *api.Options) { o.Closing = closing })
	h.server.Config.RegisterOnShutdown(func() { close(closing) })
	id := h.file(t)
	answer := h.get(t, "/v1/requests/"+id+"/events")
	defer answer.Body.Close()
	if line, err := bufio.NewReader(answer.Body).ReadString('\n'); err != nil || line != "id: 1\n" {
		t.Fatalf("first line %q, %v", line, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	if err := h.server.Config.Shutdown(ctx); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("shutdown after %v: %v", time.Since(start), err)
	}
}

func (h *house) get(t *testing.T, path string, header ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestStreamOfAnEndedRequestEndsAndCountsOn(t *testing.T) {
	h := open(t)
	id := h.file(t)
	h.book.set(id, func(r *jobs.Request) { end(r, jobs.Completed) })
	answer := h.get(t, "/v1/requests/"+id+"/events", "Last-Event-ID", "41")
	text := readAll(t, answer.Body)
	if answer.Header.Get("Content-Type") != "text/event-stream" || !strings.HasPrefix(text, "id: 42\nevent: request\ndata: {") || !strings.HasSuffix(text, "}\n\n") {
		t.Errorf("%v\n%s", answer.Header, text)
	}
	if got := h.get(t, "/v1/requests/nobody/events"); got.StatusCode != 404 {
		t.Errorf("status = %d, want 404", got.StatusCode)
	}
}

func TestTooManyStreamsAreRefused(t *testing.T) {
	h := open(t, func(o *api.Options) { o.MaxStreams = 1 })
	id := h.file(t)
	first := h.get(t, "/v1/requests/"+id+"/events")
	if got := h.get(t, "/v1/requests/"+id+"/events"); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
		t.Errorf("status = %d, want 503", got.StatusCode)
	}
	h.book.set(id, func(r *jobs.Request) { end(r, jobs.Completed) })
	readAll(t, first.Body)
	for range 100 { // the place is free a moment after the answer has ended
		if got := h.get(t, "/v1/requests/"+id+"/events"); got.StatusCode == 200 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the place of a stream that ended is not free")
}

func TestStreamOutlivesThePausesOfTheLedger(t *testing.T) {
	h := open(t)
	id := h.file(t)
	var pauses atomic.Int32
	_, err := h.client.Watch(t.Context(), id, func(r api.Request) {
		if r.Status != jobs.Received {
			return
		}
		h.book.mu.Lock()
		h.book.fail = errors.New("busy")
		h.book.mu.Unlock()
		pauses.Add(1)
		time.AfterFunc(50*time.Millisecond, func() {
			h.book.mu.Lock()
			h.book.fail = nil
			h.book.mu.Unlock()
			h.book.set(id, func(r *jobs.Request) { end(r, jobs.Completed) })
		})
	})
	if err != nil || pauses.Load() != 1 {
		t.Errorf("watch: %v after %d pauses", err, pauses.Load())
	}
}

// TestHeartbeat: 15 s without a change bring a comment.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newMemory()
		r, _, err := book.Submit(t.Context(), jobs.Submission{Selector: store.Selector{UserID: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 46*time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		h := api.New(api.Options{Book: book, Planner: book})
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/requests/"+r.ID+"/events", nil))
		if got := w.Body.String(); strings.Count(got, "\n:\n") != 3 || strings.Count(got, "data: ") != 1 {
			t.Errorf("after 46 s:\n%s", got)
		}
	})
}

// TestWatchGivesUpASilentStream: a proxy that keeps the events to itself.
func TestWatchGivesUpASilentStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newMemory()
		r, _, err := book.Submit(t.Context(), jobs.Submission{Selector: store.Selector{UserID: "a"}})
		if err != nil {
			t.Fatal(err)
		}
		h := api.New(api.Options{Book: book, Planner: book})
		streams := 0
		c, err := api.NewClient("http://lethe", "", roundTrip(func(req *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			if strings.HasSuffix(req.URL.Path, "/events") {
				streams++
				<-req.Context().Done()
				return nil, req.Context().Err()
			}
			h.ServeHTTP(w, req)
			return w.Result(), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Second, func() { book.set(r.ID, func(r *jobs.Request) { end(r, jobs.Completed) }) })
		start := time.Now()
		last, err := c.Watch(t.Context(), r.ID, func(api.Request) {})
		if err != nil || last.Status != jobs.Completed || streams != 1 || time.Since(start) > 22*time.Second {
			t.Errorf("%v, %s, %d streams, %v", err, last.Status, streams, time.Since(start))
		}
	})
}

// pipe is an address on which h is served with the timeouts of api.Server.
func pipe(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := api.Server("", h)
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}
