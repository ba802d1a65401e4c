package web_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/store"
	"lethe/store/mem0/web"
)

// A clock goes on only when somebody sleeps.
type clock struct {
	mu    sync.Mutex
	at    time.Time
	slept []time.Duration
}

func newClock() *clock { return &clock{at: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) sleep(ctx context.Context, d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.slept = c.at.Add(d), append(c.slept, d)
	return ctx.Err()
}

func (c *clock) total() (all time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range c.slept {
		all += d
	}
	return all
}

// answering is an API that answers as f does, and the Config to reach it.
func answering(t *testing.T, f http.HandlerFunc) (web.Config, *clock) {
	t.Helper()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	c := newClock()
	return web.Config{URL: s.URL, Token: "m0-SECRET-key", Now: c.now, Sleep: c.sleep}, c
}

func TestAnAnswerIsWhatTheAPIPromisesOrAnError(t *testing.T) {
	for _, c := range []struct {
		name string
		f    http.HandlerFunc
		want error // nil for any
	}{
		{"a proxy's page", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>SECRET</html>") }, store.ErrSchema},
		{"nothing", func(http.ResponseWriter, *http.Request) {}, store.ErrSchema},
		{"half of it", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"SECRET":`) }, store.ErrSchema},
		{"a member twice", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"SECRET":1,"SECRET":2}`) }, store.ErrSchema},
		{"more after it", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{} SECRET`) }, store.ErrSchema},
		{"another type", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `["SECRET"]`) }, store.ErrSchema},
		{"cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, `{"SECRET":1}`)
		}, store.ErrUnavailable},
		{"dropped", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, store.ErrUnavailable},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 SECRET SECRET\r\n\r\n")
				_ = conn.Close()
			}
		}, store.ErrUnavailable},
		{"wrong key", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusUnauthorized) }, store.ErrDenied},
		{"forbidden", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusForbidden) }, store.ErrDenied},
		{"broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusBadGateway) }, store.ErrUnavailable},
		{"a proxy's 404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusNotFound) }, store.ErrSchema},
		{"another API's 404", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, `{"SECRET":1}`, http.StatusNotFound) }, store.ErrSchema},
		{"failed", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusInternalServerError) }, nil},
		{"moved", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/SECRET", http.StatusTemporaryRedirect)
		}, store.ErrSchema},
		{"refused", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"error":"SECRET"}`, http.StatusBadRequest)
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, _ := answering(t, c.f)
			for _, destroys := range []bool{false, true} {
				_, err := web.Ask(t.Context(), config, http.MethodDelete, "/v1/memories/{id}/", destroys, "SECRET-alice")
				if err == nil || c.want != nil && !errors.Is(err, c.want) || errors.Is(err, store.ErrRefused) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if strings.Contains(fmt.Sprint(err), "SECRET") || !strings.HasPrefix(fmt.Sprint(err), "DELETE /v1/memories/{id}/: ") {
					t.Errorf("error %v: want the route, and nothing of the call, the answer or the key", err)
				}
			}
		})
	}
}

func TestAnArgumentStaysOneSegment(t *testing.T) {
	var got []string
	config, _ := answering(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Header.Get("Authorization")+" "+r.RequestURI)
		_, _ = io.WriteString(w, "{}")
	})
	names := []string{"a/b?c#d%e", "..", ".", "é ", "{x}"}
	want := []string{"a%2Fb%3Fc%23d%25e", "%2E%2E", "%2E", "%C3%A9%20", "%7Bx%7D"}
	for i, name := range names {
		if _, err := web.Ask(t.Context(), config, http.MethodGet, "/v2/entities/{type}/{name}/", false, "user", name); err != nil {
			t.Fatal(err)
		}
		if w := "Token m0-SECRET-key /v2/entities/user/" + want[i] + "/"; got[i] != w {
			t.Errorf("got %q, want %q", got[i], w)
		}
	}
}

func TestRetryAfterIsKept(t *testing.T) {
	for _, c := range []struct {
		header, value string
		want          time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "1.5", 1500 * time.Millisecond},
		{"Retry-After", newClock().at.Add(9 * time.Second).Format(http.TimeFormat), 9 * time.Second},
		{"X-RateLimit-Reset", "4", 4 * time.Second},
		{"X-RateLimit-Reset", strconv.FormatInt(newClock().at.Unix()+6, 10), 6 * time.Second},
		{"X-None", "", time.Second},
		{"Retry-After", "soon", time.Second},
		{"Retry-After", "-5", time.Second},
	} {
		asked := 0
		config, clock := answering(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked == 1 {
				w.Header().Set(c.header, c.value)
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			_, _ = io.WriteString(w, "{}")
		})
		_, err := web.Ask(t.Context(), config, http.MethodGet, "/v1/ping/", false)
		if got := clock.total(); err != nil || asked != 2 || got != c.want {
			t.Errorf("%s %q: waited %s, want %s; asked %d times, error %v", c.header, c.value, got, c.want, asked, err)
		}
	}
}

func TestALongPauseIsTheWorkersToWait(t *testing.T) {
	asked := 0
	config, clock := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.Header().Set("Retry-After", "600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	client, err := web.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // nor does anybody ask again meanwhile
		if _, err := web.AskAgain(t.Context(), client, http.MethodGet, "/v1/ping/", false); !errors.Is(err, store.ErrBusy) {
			t.Errorf("error %v, want ErrBusy", err)
		}
	}
	if asked != 1 || clock.total() != 0 {
		t.Errorf("asked %d times, waited %s", asked, clock.total())
	}
	clock.at = clock.at.Add(601 * time.Second)
	if _, err := web.AskAgain(t.Context(), client, http.MethodGet, "/v1/ping/", false); !errors.Is(err, store.ErrBusy) || asked != 2 {
		t.Errorf("after the pause: asked %d times, error %v", asked, err)
	}
}

func TestEndlessPausesEnd(t *testing.T) {
	asked := 0
	config, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusTooManyRequests)
	})
	if _, err := web.Ask(t.Context(), config, http.MethodGet, "/v1/ping/", false); !errors.Is(err, store.ErrBusy) || asked > 20 {
		t.Errorf("asked %d times, error %v; want ErrBusy after a few", asked, err)
	}
}

func TestWhatDestroysIsNotSentLongAfterItsFence(t *testing.T) {
	asked := 0
	config, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		_, _ = io.WriteString(w, "{}")
	})
	if _, err := web.Ask(t.Context(), config, http.MethodDelete, "/v1/batch/", true); !errors.Is(err, store.ErrBusy) || asked != 1 {
		t.Errorf("asked %d times, error %v; want ErrBusy after once", asked, err)
	}
}

func TestLeaveIsAskedBeforeEachAttemptToDestroy(t *testing.T) {
	asked, left := 0, 0
	gone := errors.New("the lease is gone")
	config, _ := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		asked++
		w.WriteHeader(http.StatusTooManyRequests)
	})
	ctx := store.WithLeave(t.Context(), func() error {
		if left++; left == 2 {
			return gone
		}
		return nil
	})
	if _, err := web.Ask(ctx, config, http.MethodDelete, "/v1/batch/", true); !errors.Is(err, gone) || asked != 1 {
		t.Errorf("asked %d times, error %v; want once, then the lease's error", asked, err)
	}
	if _, err := web.Ask(ctx, config, http.MethodGet, "/v1/ping/", false); !errors.Is(err, store.ErrBusy) {
		t.Errorf("a read: error %v; it needs no leave", err)
	}
}

func TestTheRateIsKept(t *testing.T) {
	config, clock := answering(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	config.Rate, config.Burst = 5, 10
	client, err := web.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	for range 30 {
		if _, err := web.AskAgain(t.Context(), client, http.MethodGet, "/v1/ping/", false); err != nil {
			t.Fatal(err)
		}
	}
	if got := clock.total(); got < 3900*time.Millisecond || got > 4100*time.Millisecond {
		t.Errorf("30 calls at 5 a second after 10 at once took %s, want 4 s", got)
	}
}

func TestConfigsThatAreRefused(t *testing.T) {
	good := web.Config{URL: "https://api.mem0.ai", Token: "k"}
	for _, c := range []struct {
		url string
		bad bool
	}{
		{"https://api.mem0.ai", false},
		{"https://gateway.example.com/mem0/", false},
		{"http://127.0.0.1:8888", false},
		{"http://localhost:8888", false},
		{"http://[::1]:8888", false},
		{"http://api.mem0.ai", true},
		{"http://10.0.0.1", true},
		{"ftp://api.mem0.ai", true},
		{"api.mem0.ai", true},
		{"https://SECRET@api.mem0.ai", true},
		{"https://api.mem0.ai?key=SECRET", true},
		{"https://api.mem0.ai#SECRET", true},
		{"", true},
		{"https://SECRET\x00", true},
	} {
		config := good
		config.URL = c.url
		_, err := web.NewClient(config)
		if (err != nil) != c.bad || c.bad && (!errors.Is(err, store.ErrRefused) || strings.Contains(err.Error(), "SECRET")) {
			t.Errorf("%q: error %v", c.url, err)
		}
	}
	for _, token := range []string{"", "a b", "a\n", "é"} {
		config := good
		config.Token = token
		if _, err := web.NewClient(config); !errors.Is(err, store.ErrDenied) {
			t.Errorf("token %q: error %v, want ErrDenied", token, err)
		}
	}
}

func TestACallEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	config, _ := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	if _, err := web.Ask(ctx, config, http.MethodGet, "/v1/ping/", false); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}
