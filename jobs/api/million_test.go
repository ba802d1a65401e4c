package api_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// id64 returns an ID of 64 bytes.
func id64(i int) string { return fmt.Sprintf("%064d", i) }

func numbered(n int) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for i := range n {
			if !yield(id64(i), nil) {
				return
			}
		}
	}
}

// peak runs f and returns by how much the heap grew at most meanwhile.
func peak(f func()) uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	base, most := m.HeapAlloc, uint64(0)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				runtime.ReadMemStats(&m)
				if m.HeapAlloc > base {
					most = max(most, m.HeapAlloc-base)
				}
			}
		}
	}()
	f()
	close(stop)
	<-stopped
	return most
}

// TestMillionIDsStreamThrough sends a million IDs of 64 bytes, the most that a
// request may have, from client to server.
func TestMillionIDsStreamThrough(t *testing.T) {
	h := open(t)
	h.book.keep = false
	start := time.Now()
	grown := peak(func() {
		_, _, err := h.client.Submit(t.Context(), api.Submission{IDs: numbered(jobs.MaxIDs), Stores: []string{"app"}})
		if err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d IDs in %v, heap grew by %.1f MB", jobs.MaxIDs, time.Since(start), float64(grown)/1e6)
	if grown > 32e6 {
		t.Errorf("heap grew by %d bytes, want less than 32 MB", grown)
	}
	if s := h.book.submitted[0]; s.Staged.Len() != jobs.MaxIDs || s.Selector.ByID() {
		t.Errorf("%d IDs staged", s.Staged.Len())
	}
}

// TestMillionIDsAreReadFlat is the server's half alone.
func TestMillionIDsAreReadFlat(t *testing.T) {
	body := io.MultiReader(
		strings.NewReader(`{"selector":{"ids":["first"`),
		io.LimitReader(&repeating{text: `,"` + id64(0) + `"`}, (jobs.MaxIDs-1)*67),
		strings.NewReader(`]}}`))
	n, start := 0, time.Now()
	grown := peak(func() {
		_, err := api.ReadSubmission(body, func(ids []string) error { n += len(ids); return nil })
		if err != nil {
			t.Error(err)
		}
	})
	t.Logf("%d IDs in %v, heap grew by %.1f MB", n, time.Since(start), float64(grown)/1e6)
	if n != jobs.MaxIDs || grown > 32e6 {
		t.Errorf("%d IDs, heap grew by %d bytes", n, grown)
	}
}

func TestOneIDTooManyIsRefused(t *testing.T) {
	h := open(t)
	h.book.keep = false
	_, _, err := h.client.Submit(t.Context(), api.Submission{IDs: numbered(jobs.MaxIDs + 1)})
	p, ok := errors.AsType[*api.Problem](err)
	if !ok || p.Status != http.StatusUnprocessableEntity || p.Errors[0].Field != "selector.ids" {
		t.Errorf("err = %v, want 422 of selector.ids", err)
	}
	if len(h.book.submitted) > 0 || !h.book.staged[0].discarded {
		t.Error("what was staged is not discarded")
	}
}

func TestStagingIsDiscardedOnAnyError(t *testing.T) {
	ids := `"` + strings.Repeat(`x","`, 2500) + `y"`
	for name, body := range map[string]string{
		"bad ID":      `{"selector":{"ids":[` + ids + `,1]}}`,
		"bad key":     `{"selector":{"ids":[` + ids + `]},"` + canary + `":1}`,
		"bad store":   `{"selector":{"ids":[` + ids + `]},"stores":["nowhere"]}`,
		"cut short":   `{"selector":{"ids":[` + ids,
		"both kinds":  `{"selector":{"ids":[` + ids + `],"user_id":"a"}}`,
		"second body": `{"selector":{"ids":[` + ids + `]}} {}`,
		"plan":        `{"selector":{"ids":[` + ids + `]}}`,
	} {
		h := open(t)
		path := "/v1/requests"
		if name == "plan" {
			path = "/v1/plans"
		}
		answer := post(t, h.server.URL+path, body)
		if text := readAll(t, answer.Body); repeats(text) || (answer.StatusCode < 400) != (name == "plan") {
			t.Errorf("%s: %d %s", name, answer.StatusCode, text)
		}
		if len(h.book.staged) != 1 || !h.book.staged[0].discarded {
			t.Errorf("%s: the staging is not discarded", name)
		}
	}
}

func TestStagingIsKeptOnceSubmitted(t *testing.T) {
	h := open(t)
	body := `{"selector":{"ids":["a","b"]}}`
	answer := post(t, h.server.URL+"/v1/requests", body)
	readAll(t, answer.Body)
	s := h.book.submitted[0]
	st, ok := s.Staged.(*staging)
	if !ok || st.discarded || strings.Join(st.ids, " ") != "a b" {
		t.Errorf("staged %+v", s.Staged)
	}
	if digest := sha256.Sum256([]byte(body)); !bytes.Equal(s.BodyDigest, digest[:]) {
		t.Error("another digest")
	}
	if s.Origin != jobs.OriginAPI {
		t.Errorf("origin = %q", s.Origin)
	}
}

func TestErrorOfTheIDsEndsTheSubmit(t *testing.T) {
	h := open(t)
	broken := errors.New("disk")
	_, _, err := h.client.Submit(t.Context(), api.Submission{IDs: func(yield func(string, error) bool) {
		for i := range 5000 {
			if !yield(id64(i), nil) {
				return
			}
		}
		yield("", broken)
	}})
	if !errors.Is(err, broken) {
		t.Errorf("err = %v, want that of the IDs", err)
	}
	h.server.Close() // waits for the handler
	if len(h.book.submitted) > 0 {
		t.Error("half a list was submitted")
	}
	for _, s := range h.book.staged {
		if !s.discarded {
			t.Error("what was staged is not discarded")
		}
	}
}

func BenchmarkReadSubmission(b *testing.B) {
	var body bytes.Buffer
	if err := (api.Submission{IDs: numbered(10 * store.MaxBatch)}).Encode(&body); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := api.ReadSubmission(bytes.NewReader(body.Bytes()), func([]string) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
