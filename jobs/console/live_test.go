package console_test

import (
	"bufio"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/console"
)

// streamed opens the events of a request and returns a function that waits for
// the next line that says something.
func streamed(t *testing.T, c *console.Console, b *browser, id string) (next func() string) {
	t.Helper()
	server := httptest.NewServer(c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(func() { cancel(); server.Close() })
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+"/console/requests/"+id+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range b.cookies {
		r.AddCookie(k)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Body.Close() })
	if got := a.Header.Get("Content-Type"); a.StatusCode == http.StatusOK && got != "text/event-stream" {
		t.Errorf("type %s", got)
	}
	lines := bufio.NewScanner(a.Body)
	return func() string {
		for lines.Scan() {
			if text := lines.Text(); strings.HasPrefix(text, "event") || strings.HasPrefix(text, "data: ") && !strings.HasSuffix(text, "change") {
				return text
			}
		}
		return "closed"
	}
}

func TestAStreamSaysThatTheRequestHasChangedAndEndsWithIt(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	next := streamed(t, c, signedIn(t, c, "token-abe"), openID)
	if got := next(); got != "event: change" {
		t.Fatalf("at first: %s", got)
	}
	h.set(openID, func(r *jobs.Request) { r.Jobs = []jobs.Job{{Store: "assistant", Erased: 2}} })
	if got := next(); got != "event: change" {
		t.Fatalf("on a change: %s", got)
	}
	h.set(openID, func(r *jobs.Request) { r.Status = jobs.Completed })
	for _, want := range []string{"event: change", "event: end", "data: ended", "closed"} {
		if got := next(); got != want {
			t.Fatalf("at the end: %s, want %s", got, want)
		}
	}
}

func TestAStreamEndsWithItsSession(t *testing.T) {
	h := newHouse()
	c := h.page(true)
	next := streamed(t, c, signedIn(t, c, "token-abe"), openID)
	next()
	h.revoke("token-abe")
	for _, want := range []string{"event: end", "data: signed-out", "closed"} {
		if got := next(); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	b := signedIn(t, c, "token-sam")
	next = streamed(t, c, b, openID)
	next()
	b.post("/", "/console/sign-out", nil)
	if got := next(); got != "event: end" {
		t.Fatalf("after signing out: %s", got)
	}
	if got := streamed(t, c, signedIn(t, c, "token-eve"), openID)(); got != "closed" {
		t.Errorf("another's request: %s", got)
	}
}

func TestStreamsAreBoundedAndEndWithTheService(t *testing.T) {
	h := newHouse()
	closing := make(chan struct{})
	c := h.page(false, func(o *console.Options) { o.MaxStreams, o.Closing = 1, closing })
	next := streamed(t, c, newBrowser(t, c), openID)
	next()
	if a := newBrowser(t, c).get("/console/requests/" + openID + "/events"); a.status != http.StatusServiceUnavailable {
		t.Errorf("a second stream: %d", a.status)
	}
	close(closing)
	if got := next(); got != "closed" {
		t.Errorf("%s", got)
	}
}
