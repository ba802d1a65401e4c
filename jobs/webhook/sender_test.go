package webhook_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A shelf is a Book in memory. Its notices come back when the test says.
type shelf struct {
	mu      sync.Mutex
	ready   []jobs.Notice
	done    chan jobs.Notice
	later   chan jobs.Notice
	untried chan jobs.Notice
}

func (s *shelf) Notices(_ context.Context, limit int) ([]jobs.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(limit, len(s.ready))
	list := s.ready[:n]
	s.ready = s.ready[n:]
	return list, nil
}

func (s *shelf) put(n jobs.Notice) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.Attempts++
	s.ready = append(s.ready, n)
}

func (s *shelf) NoticeDone(_ context.Context, n jobs.Notice) error { s.done <- n; return nil }

func (s *shelf) NoticeLater(_ context.Context, n jobs.Notice, _ time.Time, tried bool) error {
	if tried {
		s.later <- n
	} else {
		s.untried <- n
	}
	return nil
}

func (s *shelf) SweepNotify(context.Context) error { return nil }

// A house is a Sender at work, with its logs and its clock.
type house struct {
	*shelf
	*webhook.Sender
	logs *lines
	mu   sync.Mutex
	off  time.Duration
	sum  map[string]int
	stop func()
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newHouse(t *testing.T, rules webhook.Rules, with func(*webhook.Sender)) *house {
	t.Helper()
	secrets, err := webhook.ParseSecrets(secret)
	if err != nil {
		t.Fatal(err)
	}
	h := &house{shelf: &shelf{done: make(chan jobs.Notice, 64), later: make(chan jobs.Notice, 64), untried: make(chan jobs.Notice, 64)}, logs: &lines{}, sum: map[string]int{}}
	h.Sender = &webhook.Sender{
		Book: h.shelf, Rules: rules, Secrets: secrets, Logger: slog.New(slog.NewJSONHandler(h.logs, nil)),
		Count: func(outcome string) { h.mu.Lock(); defer h.mu.Unlock(); h.sum[outcome]++ },
		Now:   func() time.Time { h.mu.Lock(); defer h.mu.Unlock(); return time.Now().Add(h.off) },
	}
	if with != nil {
		with(h.Sender)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = h.Run(ctx) }()
	h.stop = func() { cancel(); <-ended }
	t.Cleanup(h.stop)
	return h
}

func (h *house) advance(d time.Duration) { h.mu.Lock(); defer h.mu.Unlock(); h.off += d }

// wait returns the next notice of a channel.
func wait(t *testing.T, c <-chan jobs.Notice, what string) jobs.Notice {
	t.Helper()
	select {
	case n := <-c:
		return n
	case <-time.After(30 * time.Second):
		t.Fatalf("nothing was %s", what)
		return jobs.Notice{}
	}
}

func notice(to string) jobs.Notice {
	return jobs.Notice{ID: "r1-1", Request: "r1", Seq: 1, URL: to, Body: []byte(`{"id":"r1-1"}`), At: time.Now()}
}

// A receiver is an https server on loopback.
func receiver(t *testing.T, handle http.HandlerFunc) (url string, rules webhook.Rules, roots *x509.CertPool) {
	t.Helper()
	server := httptest.NewTLSServer(handle)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(server.Close)
	roots = x509.NewCertPool()
	roots.AddCert(server.Certificate())
	port, err := strconv.Atoi(server.URL[strings.LastIndex(server.URL, ":")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return server.URL + "/hunter?token=hunter2", webhook.Rules{Hosts: []string{"127.0.0.1"}, Private: true, Ports: []int{port}}, roots
}

func TestANoticeIsSignedAndTakenAfterAnError(t *testing.T) {
	type got struct {
		body             []byte
		id, at, sign, ct string
	}
	heard := make(chan got, 4)
	var calls int
	url, rules, roots := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		heard <- got{body, r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), r.Header.Get("Content-Type")}
		if calls++; calls == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	h.put(notice(url))
	n := wait(t, h.later, "put back after a 500")
	h.advance(time.Hour)
	h.put(n)
	n = wait(t, h.done, "taken after it")
	secrets, _ := webhook.ParseSecrets(secret)
	for range 2 {
		g := <-heard
		at, err := strconv.ParseInt(g.at, 10, 64)
		if err != nil || g.id != n.ID || !bytes.Equal(g.body, n.Body) || g.sign != secrets.Sign(g.id, time.Unix(at, 0), g.body) || g.sign == "" || g.ct != "application/json" {
			t.Errorf("heard %+v, %v", g, err)
		}
	}
	h.stop()
	if h.sum[webhook.Failed] != 1 || h.sum[webhook.Delivered] != 1 {
		t.Errorf("counted %v", h.sum)
	}
	if strings.Contains(h.logs.String(), "hunter") || !strings.Contains(h.logs.String(), "status_500") {
		t.Errorf("logs: %s", h.logs)
	}
}

func TestARedirectIsNotFollowed(t *testing.T) {
	other := make(chan bool, 4)
	elsewhere, _, _ := receiver(t, func(http.ResponseWriter, *http.Request) { other <- true })
	url, rules, roots := receiver(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hunter" {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
			return
		}
		other <- true
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	})
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	h.put(notice(url))
	select {
	case <-h.later:
	case <-h.done:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came of it")
	}
	if len(other) != 0 {
		t.Error("a redirect was followed")
	}
	if !strings.Contains(h.logs.String(), `"reason":"redirect"`) {
		t.Errorf("logs: %s", h.logs)
	}
}

// names answers every question about a name with the next of its addresses.
func names(t *testing.T, addresses ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 1500)
		for i := 0; ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := buf[12:n]
			end := bytes.IndexByte(q, 0) + 5
			question := q[:end]
			reply := append(append([]byte{}, buf[0], buf[1], 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0), question...)
			if question[end-3] == 1 { // A
				reply[7] = 1
				ip := netip.MustParseAddr(addresses[min(i, len(addresses)-1)]).As4()
				i++
				reply = append(reply, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ip[0], ip[1], ip[2], ip[3])
			}
			_, _ = conn.WriteTo(reply, from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", conn.LocalAddr().String())
	}}
}

// A name that is resolved to a good address first, and to this machine when the
// connection is made, gets nothing: the address of the connection is looked at.
func TestANameThatLeadsInsideIsNotTold(t *testing.T) {
	told := make(chan bool, 8)
	url, _, roots := receiver(t, func(http.ResponseWriter, *http.Request) { told <- true })
	port := url[strings.LastIndex(url, ":")+1 : strings.Index(url, "/hunter")]
	n, _ := strconv.Atoi(port)
	resolver := names(t, "8.8.8.8", "127.0.0.1")
	if _, err := resolver.LookupHost(t.Context(), "rebinding.example"); err != nil {
		t.Fatal(err)
	}
	rules := webhook.Rules{Ports: []int{n}}
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots, s.Resolver = roots, resolver })
	h.put(notice("https://rebinding.example:" + port + "/"))
	wait(t, h.later, "put back")
	if len(told) != 0 || !strings.Contains(h.logs.String(), `"reason":"address_refused"`) {
		t.Errorf("told %d times; logs: %s", len(told), h.logs)
	}
}

func TestASlowReceiverIsLeftAfterFiveSeconds(t *testing.T) {
	let := make(chan struct{})
	url, rules, roots := receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		_, _ = fmt.Fprint(w, strings.Repeat("x", 100<<10)) // more than is read
	})
	slow, _, slowRoots := receiver(t, func(http.ResponseWriter, *http.Request) { <-let })
	t.Cleanup(func() { close(let) })
	_ = slowRoots // httptest has one certificate for all
	port, _ := strconv.Atoi(slow[strings.LastIndex(slow, ":")+1 : strings.Index(slow, "/hunter")])
	rules.Ports = append(rules.Ports, port)
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	begun := time.Now()
	for range 8 { // as many as there are slots
		h.put(notice(slow))
	}
	h.put(notice(url))
	wait(t, h.done, "told beside a slow receiver")
	if late := time.Since(begun); late > 4*time.Second {
		t.Errorf("a slow receiver kept another waiting for %s", late)
	}
	wait(t, h.later, "given up waiting for")
	if took := time.Since(begun); took < 4*time.Second || !strings.Contains(h.logs.String(), `"reason":"timeout"`) {
		t.Errorf("after %s: %s", took, h.logs)
	}
}

func TestWhatIsUnderWayAtTheStopIsPutBackUncounted(t *testing.T) {
	begun, let := make(chan bool, 1), make(chan struct{})
	url, rules, roots := receiver(t, func(http.ResponseWriter, *http.Request) { begun <- true; <-let })
	t.Cleanup(func() { close(let) })
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	h.put(notice(url))
	<-begun
	h.stop()
	wait(t, h.untried, "put back")
	if len(h.done)+len(h.later) != 0 || len(h.sum) != 0 {
		t.Errorf("%d done, %d failed, counted %v", len(h.done), len(h.later), h.sum)
	}
}

func TestANoticeIsGivenUpAfterNinetyDaysAndNotBefore(t *testing.T) {
	url, rules, roots := receiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	h.put(notice(url))
	n := wait(t, h.later, "put back")
	h.advance(90*24*time.Hour - time.Minute)
	h.put(n)
	n = wait(t, h.later, "put back on the last day")
	h.advance(time.Hour)
	h.put(n)
	wait(t, h.done, "given up")
	h.stop()
	if h.sum[webhook.GivenUp] != 1 || !strings.Contains(h.logs.String(), "webhook given up") || strings.Contains(h.logs.String(), "hunter") {
		t.Errorf("counted %v; logs: %s", h.sum, h.logs)
	}
}

func TestNothingIsSentWithoutASecret(t *testing.T) {
	url, rules, roots := receiver(t, func(http.ResponseWriter, *http.Request) { t.Error("told") })
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots, s.Secrets = roots, nil })
	h.put(notice(url))
	wait(t, h.done, "given up")
}

func TestTheEnvironmentsProxyIsNotAsked(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	go func() {
		if c, err := proxy.Accept(); err == nil {
			t.Error("the proxy was asked")
			c.Close()
		}
	}()
	t.Setenv("HTTPS_PROXY", "http://"+proxy.Addr().String())
	t.Setenv("ALL_PROXY", "http://"+proxy.Addr().String())
	url, rules, roots := receiver(t, func(http.ResponseWriter, *http.Request) {})
	rules.Hosts = []string{"example.com"} // loopback never goes by a proxy
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots, s.Resolver = roots, names(t, "127.0.0.1") })
	h.put(notice(strings.Replace(url, "127.0.0.1", "example.com", 1)))
	wait(t, h.done, "taken")
}

// A receiver that is told of every request must hear of many in a second: few of
// those that wait for it are put back, each for a second.
func TestAReceiverThatIsBusyHearsTheNextSoon(t *testing.T) {
	url, rules, roots := receiver(t, func(http.ResponseWriter, *http.Request) {})
	h := newHouse(t, rules, func(s *webhook.Sender) { s.Roots = roots })
	for range 40 {
		h.put(notice(url))
	}
	back := 0
	for told := 0; told < 40; {
		select {
		case <-h.done:
			told++
		case n := <-h.untried:
			back++
			h.put(n)
		case <-time.After(30 * time.Second):
			t.Fatalf("%d of 40 were told", told)
		}
	}
	if back > 60 {
		t.Errorf("of 40 notices %d were put back because the receiver was busy", back)
	}
}
