package api_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// ask calls the handler of h without a network.
func (h *house) ask(method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	return h.askOn("", method, target, body, header...)
}

// askOn is ask of another host than example.com.
func (h *house) askOn(host, method, target string, body io.Reader, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, body)
	if host != "" {
		r.Host = host
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.server.Config.Handler.ServeHTTP(w, r)
	return w
}

const goodBody = `{"selector":{"user_id":"` + canary + `"}}`

func TestHostsThatAreServed(t *testing.T) {
	onLoopback := open(t, func(o *api.Options) { o.Listen, o.Hosts = "127.0.0.1:8080", []string{"Lethe.example.com"} })
	everywhere := open(t, func(o *api.Options) { o.Listen = ":8080" })
	for host, want := range map[string]int{
		"localhost": 200, "LOCALHOST:8080": 200, "127.0.0.1:8080": 200, "127.0.0.9": 200, "[::1]:8080": 200, "[::1]": 200,
		"lethe.example.com": 200, "lethe.example.com.:443": 200,
		"evil.example": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "192.168.0.1:8080": 403, "0.0.0.0": 403, "": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Host = host
		w := httptest.NewRecorder()
		onLoopback.server.Config.Handler.ServeHTTP(w, r)
		if w.Code != want || strings.Contains(w.Body.String(), "evil") {
			t.Errorf("%q: %d, want %d: %s", host, w.Code, want, w.Body)
		}
		w = httptest.NewRecorder()
		everywhere.server.Config.Handler.ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("%q on all addresses: %d, want 200", host, w.Code)
		}
	}
}

func TestOtherOriginsCannotChangeAnything(t *testing.T) {
	h := open(t)
	for _, header := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		w := h.ask("POST", "/v1/requests", strings.NewReader(goodBody), append(header, "Content-Type", "application/json")...)
		if w.Code != 403 || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%v: %d %s", header, w.Code, w.Body)
		}
	}
	if w := h.ask("POST", "/v1/requests", strings.NewReader(goodBody), "Sec-Fetch-Site", "same-origin"); w.Code != 202 {
		t.Errorf("same origin: %d", w.Code)
	}
	if n := h.book.count(); n != 2 { // the filing and its receipt
		t.Errorf("the book was called %d times, want twice", n)
	}
	id := h.book.requests[0].ID
	w := h.ask("POST", "/v1/requests/"+id+"/memory-proof", strings.NewReader(`{"memory_id":"`+canary+`"}`), "Origin", "https://evil.example", "Content-Type", "application/json")
	if w.Code != 403 || h.book.count() != 2 {
		t.Errorf("a memory's proof: %d %s", w.Code, w.Body)
	}
}

func TestHeadersOfABody(t *testing.T) {
	h := open(t)
	for _, tt := range []struct {
		want   int
		header []string
	}{
		{202, nil},
		{202, []string{"Content-Type", "application/json; charset=utf-8"}},
		{202, []string{"Idempotency-Key", "~ !"}},
		{202, []string{"Idempotency-Key", strings.Repeat("k", 255)}},
		{415, []string{"Content-Type", "application/x-www-form-urlencoded"}},
		{415, []string{"Content-Type", "text/plain"}},
		{415, []string{"Content-Type", canary + ";;"}},
		{415, []string{"Content-Encoding", "gzip"}},
		{400, []string{"Idempotency-Key", ""}},
		{400, []string{"Idempotency-Key", strings.Repeat("k", 256)}},
		{400, []string{"Idempotency-Key", canary + "é"}},
		{400, []string{"Idempotency-Key", canary + "\t"}},
		{400, []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}},
	} {
		if w := h.ask("POST", "/v1/requests", strings.NewReader(goodBody), tt.header...); w.Code != tt.want || w.Code >= 400 && repeats(w.Body.String()) {
			t.Errorf("%v: %d, want %d: %s", tt.header, w.Code, tt.want, w.Body)
		}
	}
}

func TestEveryAnswerHasTheHeadersOfSafety(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/healthz", "/v1/requests", "/nowhere", "/v1/openapi.yaml"} {
		header := h.ask("GET", path, nil).Header()
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" ||
			!strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %v", path, header)
		}
	}
}

func TestUnknownRoutesAndMethodsAreProblems(t *testing.T) {
	h := open(t)
	for _, tt := range []struct {
		method, path string
		want         int
		allow        string
	}{
		{"GET", "/" + canary, 404, ""},
		{"GET", "/v1/requests/", 404, ""},
		{"GET", "//v1/requests", 404, ""},
		{"GET", "/v1/../v1/requests", 404, ""},
		{"GET", "/v1/requests/a/b/c", 404, ""},
		{"PUT", "/v1/requests", 405, "GET, HEAD, POST"},
		{"OPTIONS", "/v1/requests", 405, "GET, HEAD, POST"},
		{"DELETE", "/v1/requests/" + canary, 405, "GET, HEAD"},
		{"GET", "/v1/requests/x/cancel", 405, "POST"},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"POST", "/log/tile/0/000", 405, "GET, HEAD"},
		{"HEAD", "/healthz", 200, ""},
	} {
		w := h.ask(tt.method, tt.path, nil)
		if w.Code != tt.want || w.Header().Get("Allow") != tt.allow || repeats(w.Body.String()+w.Header().Get("Location")) {
			t.Errorf("%s %s: %d, Allow %q, want %d %q: %s", tt.method, tt.path, w.Code, w.Header().Get("Allow"), tt.want, tt.allow, w.Body)
		}
		if tt.want >= 400 && w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %s", tt.method, tt.path, w.Header().Get("Content-Type"))
		}
	}
}

func TestPanicsTellNothing(t *testing.T) {
	h := open(t, func(o *api.Options) {
		o.LogHandler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "half") {
				_, _ = io.WriteString(w, "half")
			}
			panic(fmt.Errorf("about %s", canary))
		})
	})
	w := h.ask("GET", "/log/checkpoint", nil)
	if w.Code != 500 || repeats(w.Body.String()) || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	answer, err := http.Get(h.server.URL + "/log/tile/half")
	if err == nil {
		_, err = io.ReadAll(answer.Body)
	}
	if err == nil {
		t.Error("half an answer looks like a whole one")
	}
	if log := h.log.String(); repeats(log) || !strings.Contains(log, "handler panicked") || !strings.Contains(log, "guard_test.go") {
		t.Errorf("log:\n%s", log)
	}
}

func TestLimitsOfABody(t *testing.T) {
	h := open(t)
	space := strings.Repeat(" ", api.MaxRestBytes)
	fits := goodBody + space[:api.MaxRestBytes-len(goodBody)]
	ids := `"` + strings.Repeat(id64(0)+`","`, 2000) + `x"` // more than 64 KiB of IDs
	for name, tt := range map[string]struct {
		body string
		want int
	}{
		"just fits":            {fits, 202},
		"a byte more":          {fits + " ", 413},
		"long ticket":          {`{"selector":{"user_id":"a"},"ticket":"` + strings.Repeat(canary, 4000) + `"}`, 413},
		"long id":              {`{"selector":{"ids":["` + strings.Repeat(canary, 4000) + `"]}}`, 413},
		"space before":         {space + goodBody, 413},
		"many IDs":             {`{"selector":{"ids":[` + ids + `]}}`, 202},
		"many IDs and space":   {`{"selector":{"ids":[` + ids + `]}}` + space[:60000], 202},
		"many IDs, much space": {`{"selector":{"ids":[` + ids + `]}}` + space, 413},
		"space among the IDs":  {`{"selector":{"ids":["a",` + space + space + `"b"]}}`, 413},
		"many stores":          {`{"selector":{"user_id":"a"},"stores":["` + strings.Repeat(`a","`, 30000) + `"]}`, 422},
		"many keys":            {`{"selector":{"metadata":{` + manyKeys(5000) + `}}}`, 413},
	} {
		w := h.ask("POST", "/v1/requests", strings.NewReader(tt.body))
		if w.Code != tt.want || w.Code >= 400 && repeats(w.Body.String()) {
			t.Errorf("%s: %d, want %d: %.200s", name, w.Code, tt.want, w.Body)
		}
	}
}

func manyKeys(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"key number %d":1`, i)
	}
	return strings.Join(keys, ",")
}

// TestMoreThan64MiBOfIDsIsTooLarge sends IDs as wide as they may be.
func TestMoreThan64MiBOfIDsIsTooLarge(t *testing.T) {
	h := open(t)
	h.book.keep = false
	ids := func(before string) io.Reader {
		id := `"` + strings.Repeat("x", 509) + `",`
		return io.MultiReader(strings.NewReader(before), io.LimitReader(&repeating{text: id}, 70<<20))
	}
	if w := h.ask("POST", "/v1/requests", ids(`{"selector":{"ids":[`)); w.Code != 413 {
		t.Errorf("%d, want 413: %s", w.Code, w.Body)
	}
	_, err := api.ReadSelector(ids(`{"ids":[`), func([]string) error { return nil })
	if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != 413 {
		t.Errorf("selector file: %v, want 413", err)
	}
	if len(h.book.staged) != 1 || !h.book.staged[0].discarded {
		t.Error("the staging is not discarded")
	}
}

// repeating reads as its text over and over.
type repeating struct {
	text string
	at   int
}

func (r *repeating) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}

// TestSlowBodiesEnd: nobody may take longer than 15 s for nothing.
func TestSlowBodiesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newMemory()
		client, server := net.Pipe()
		s := api.Server("", api.New(api.Options{Book: book, Planner: book}))
		go func() { _ = s.Serve(&oneConn{conn: server, done: make(chan struct{})}) }()
		defer s.Close()
		start := time.Now()
		_, err := io.WriteString(client, "POST /v1/requests HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"selector\":")
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if answer.StatusCode != http.StatusRequestTimeout || time.Since(start) > 16*time.Second {
			t.Errorf("%d after %v, want 408 after 15 s", answer.StatusCode, time.Since(start))
		}
		_ = client.Close()
		_ = book
	})
}

type oneConn struct {
	conn net.Conn
	done chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.done
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error   { close(l.done); return nil }
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowBookIsNotTheClientsFault: the deadline of the body is gone once it is
// read, so a plan may take its time.
func TestSlowBookIsNotTheClientsFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		book := newMemory()
		client, server := net.Pipe()
		slow := planner(func(ctx context.Context) error {
			select {
			case <-time.After(5 * time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		s := api.Server("", api.New(api.Options{Book: book, Planner: slow}))
		go func() { _ = s.Serve(&oneConn{conn: server, done: make(chan struct{})}) }()
		defer s.Close()
		_, err := fmt.Fprintf(client, "POST /v1/plans HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(goodBody), goodBody)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Errorf("%v, %+v", err, answer)
		}
		_ = client.Close()
	})
}

type planner func(context.Context) error

func (p planner) Plan(ctx context.Context, _ jobs.Submission) (jobs.Plan, error) {
	return jobs.Plan{}, p(ctx)
}

func TestServerRefusesALargeHeader(t *testing.T) {
	addr := pipe(t, open(t).server.Config.Handler)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n"+strings.Repeat("A: "+strings.Repeat("b", 1000)+"\r\n", 40)+"\r\n")
	}()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%v %+v", err, answer)
	}
}

func TestReadyAndHealthy(t *testing.T) {
	h := open(t, func(o *api.Options) { o.Ready = func(context.Context) []string { return []string{"ledger locked"} } })
	if w := h.ask("GET", "/healthz", nil); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	if w := h.ask("GET", "/readyz", nil); w.Code != 503 || !strings.Contains(w.Body.String(), "ledger locked") {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	if w := open(t).ask("GET", "/readyz", nil); w.Code != 200 || !slices.Contains(strings.Fields(w.Body.String()), `{"ready":true,"reasons":[],"stores":[],"roles":[]}`) {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
}
