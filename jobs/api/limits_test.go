package api_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/jobs/api"
)

func TestCallsBeyondTheRateAreRefusedAndComeBack(t *testing.T) {
	h := open(t, func(o *api.Options) { o.Rate = api.NewMeter(0.5, 3) })
	for i := range 3 {
		if w := h.ask("GET", "/v1/requests", nil); w.Code != 200 {
			t.Fatalf("call %d: %d", i, w.Code)
		}
	}
	w := h.ask("GET", "/v1/requests", nil)
	after, err := strconv.Atoi(w.Header().Get("Retry-After"))
	if w.Code != 429 || err != nil || after < 1 || after > 3 || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("beyond it: %d, Retry-After %q: %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
	r := httptest.NewRequest("GET", "/v1/requests", nil)
	r.RemoteAddr = "192.0.2.77:1"
	other := httptest.NewRecorder()
	h.server.Config.Handler.ServeHTTP(other, r)
	if other.Code != 200 {
		t.Errorf("another address: %d", other.Code)
	}
	if w := h.ask("GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("/healthz: %d: it must always be told whether the process lives", w.Code)
	}
}

func TestAddressesOfOneNetworkAreOneCaller(t *testing.T) {
	h := open(t, func(o *api.Options) { o.Rate = api.NewMeter(0.001, 1) })
	for _, tt := range []struct {
		remote string
		want   int
	}{
		{"[2001:db8::1]:5", 200}, {"[2001:db8::2]:6", 429}, {"[2001:db8:0:1::1]:5", 200}, {"[::ffff:192.0.2.9]:1", 200}, {"192.0.2.9:2", 429},
	} {
		r := httptest.NewRequest("GET", "/v1/requests", nil)
		r.RemoteAddr = tt.remote
		r.Header.Set("X-Forwarded-For", tt.remote) // not believed, and no harm here
		w := httptest.NewRecorder()
		h.server.Config.Handler.ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.remote, w.Code, tt.want)
		}
	}
}

func TestAMeterTellsOnlySoManyApart(t *testing.T) {
	m := api.NewMeter(0.001, 1)
	for i := range 10_000 {
		if m.Take(strconv.Itoa(i)) != 0 {
			t.Fatalf("caller %d is refused", i)
		}
	}
	if m.Take("one more") != 0 || m.Take("and another") == 0 {
		t.Error("beyond 10,000 callers each has a measure of its own")
	}
	if m.Take("5") == 0 {
		t.Error("a caller is forgotten who has not rested")
	}
	var none *api.Meter
	if none.Take("x") != 0 {
		t.Error("no meter measures")
	}
}

func TestEveryAnswerHasTheHeadersAndNoCookie(t *testing.T) {
	h := open(t)
	for _, call := range [][2]string{
		{"GET", "/healthz"},
		{"GET", "/v1/requests"},
		{"GET", "/nothing"},
		{"PUT", "/v1/requests"},
		{"POST", "/v1/requests"},
		{"GET", "/v1/requests/x"},
		{"GET", "/v1/openapi.yaml"},
		{"GET", "/log/checkpoint"},
		{"GET", "//x"},
	} {
		w := h.ask(call[0], call[1], strings.NewReader("{"), "Cookie", "session="+canary)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin",
			"Set-Cookie": "", "Server": "", "Strict-Transport-Security": "", "Access-Control-Allow-Origin": "",
		} {
			if got := w.Header().Get(name); got != want && (name != "Cache-Control" || got == "") {
				t.Errorf("%s %s: %s: %q, want %q", call[0], call[1], name, got, want)
			}
		}
		if w.Header().Get("Permissions-Policy") == "" || strings.Contains(w.Body.String(), canary) {
			t.Errorf("%s %s: %v %s", call[0], call[1], w.Header(), w.Body)
		}
	}
	secure := httptest.NewTLSServer(h.server.Config.Handler)
	defer secure.Close()
	answer, err := secure.Client().Get(secure.URL + "/healthz")
	if err != nil || answer.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("over TLS: %v, %v", answer, err)
	}
}

func TestHeaderFloodsAndEncodedBodiesAreRefused(t *testing.T) {
	h := open(t)
	var flood []string
	for i := range 101 {
		flood = append(flood, fmt.Sprintf("X-%d", i), "a")
	}
	if w := h.ask("GET", "/v1/requests", nil, flood...); w.Code != 431 {
		t.Errorf("101 lines of header: %d, want 431", w.Code)
	}
	for _, encoding := range []string{"gzip", "br", "identity", "deflate, gzip"} {
		for _, path := range []string{"/v1/requests", "/v1/plans", "/v1/requests/018f0000-0000-7000-8000-000000000000/cancel"} {
			if w := h.ask("POST", path, strings.NewReader(goodBody), "Content-Encoding", encoding, "Content-Type", "application/json"); w.Code != 415 {
				t.Errorf("%s %s: %d, want 415", encoding, path, w.Code)
			}
		}
	}
	if h.book.calls != 0 {
		t.Errorf("the book was asked %d times", h.book.calls)
	}
}

// Depth is bounded by what is asked for, but what refuses it must not be slow or
// deep itself.
func TestDeepAndWideBodiesAreRefused(t *testing.T) {
	h := open(t)
	deep := func(open, close string, n int) string { return strings.Repeat(open, n) + strings.Repeat(close, n) }
	for name, body := range map[string]string{
		"arrays":              deep("[", "]", 30_000),
		"objects":             deep(`{"selector":`, "}", 5_000),
		"arrays as user_id":   `{"selector":{"user_id":` + deep("[", "]", 30_000) + `}}`,
		"arrays in ids":       `{"selector":{"ids":` + deep("[", "]", 30_000) + `}}`,
		"objects in metadata": `{"selector":{"metadata":` + deep(`{"a":`, "}", 10_000) + `}}`,
		"arrays in metadata":  `{"selector":{"metadata":{"a":` + deep("[", "]", 30_000) + `}}}`,
		"arrays in stores":    `{"selector":{"user_id":"u"},"stores":` + deep("[", "]", 30_000) + `}`,
		"unclosed":            strings.Repeat("[", 60_000),
		"many keys":           `{"selector":{"metadata":{` + wide(5_000) + `}}}`,
		"many unknown keys":   `{` + wide(5_000) + `}`,
		"a long number":       `{"selector":{"metadata":{"a":` + strings.Repeat("9", 60_000) + `}}}`,
		"a huge exponent":     `{"selector":{"metadata":{"a":1e999999999}}}`,
	} {
		if w := h.ask("POST", "/v1/requests", strings.NewReader(body)); w.Code != 400 && w.Code != 422 && w.Code != 413 {
			t.Errorf("%s: %d: %.200s", name, w.Code, w.Body)
		} else if w.Body.Len() > 1000 {
			t.Errorf("%s: an answer of %d bytes", name, w.Body.Len())
		}
	}
	if len(h.book.submitted) != 0 {
		t.Error("something was filed")
	}
}

func wide(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"k%d":1`, i)
	}
	return b.String()
}

func TestOnlySoManyCallsAreAnsweredAtOnce(t *testing.T) {
	h := open(t, func(o *api.Options) { o.MaxCalls = 1 })
	body, feed := io.Pipe()
	done := make(chan int)
	go func() { done <- h.ask("POST", "/v1/requests", body).Code }()
	if _, err := feed.Write([]byte(`{"selector":`)); err != nil { // it is being read
		t.Fatal(err)
	}
	w := h.ask("GET", "/v1/requests", nil)
	if w.Code != 503 || w.Header().Get("Retry-After") == "" {
		t.Errorf("beside it: %d", w.Code)
	}
	if w := h.ask("GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
	fmt.Fprint(feed, `{"user_id":"u"}}`)
	feed.Close()
	if code := <-done; code != 202 {
		t.Errorf("the first: %d", code)
	}
	if w := h.ask("GET", "/v1/requests", nil); w.Code != 200 {
		t.Errorf("after it: %d", w.Code)
	}
}

// A client that sends its header a byte at a time is let go after 5 s, and so is
// one that sends nothing; meanwhile others are served.
func TestASlowHeaderIsLetGo(t *testing.T) {
	h := open(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := api.Server("127.0.0.1:0", h.server.Config.Handler)
	if server.ReadHeaderTimeout != 5*time.Second || server.IdleTimeout != 60*time.Second || server.MaxHeaderBytes != 16<<10 {
		t.Errorf("limits: %v %v %d", server.ReadHeaderTimeout, server.IdleTimeout, server.MaxHeaderBytes)
	}
	server.ReadHeaderTimeout = 300 * time.Millisecond // the same path, sooner
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	var conns []net.Conn
	for i := range 50 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
		}
		conns = append(conns, c)
	}
	answer, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil || answer.StatusCode != 200 {
		t.Errorf("beside them: %v, %v", answer, err)
	}
	for i, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		_, err := io.Copy(io.Discard, bufio.NewReader(c))
		var late net.Error
		if errors.As(err, &late) && late.Timeout() {
			t.Errorf("connection %d is still open", i)
		}
	}
}
