package api

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// Protect puts around h what every handler of the service needs, and takes
// Listen, Hosts and Logger from o: it refuses a Host it should not have and
// state-changing calls from other origins (403), sets the headers that keep
// answers out of caches and frames, gives a body that nobody reads a deadline,
// and turns a panic into a 500 problem. h may overwrite the headers.
func Protect(h http.Handler, o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(http.StatusForbidden, "cross_origin", "this call must not come from a page of another origin").write(w)
	}))
	g := &guard{next: origin.Handler(h), logger: o.Logger, hosts: hosts(o)}
	return http.HandlerFunc(g.serve)
}

type guard struct {
	next   http.Handler
	logger *slog.Logger
	hosts  []string // nil for any
}

func (g *guard) serve(rw http.ResponseWriter, r *http.Request) {
	w := &answerWriter{ResponseWriter: rw}
	defer g.recover(w, r)
	setHeaders(w.Header(), r.TLS != nil)
	_ = w.control().SetWriteDeadline(time.Time{}) // that of the call before, on the same connection
	if !g.knows(r.Host) {
		problem(http.StatusForbidden, "host", "this Host is not served here: see hosts in the configuration").write(w)
		return
	}
	if p := refuseHeader(r.Header); p != nil {
		p.write(w)
		return
	}
	if r.Body != nil && r.Body != http.NoBody {
		// net/http reads what a handler leaves of a body, without a deadline.
		_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(bodyPatience))
	}
	g.next.ServeHTTP(w, r)
}

func setHeaders(h http.Header, overTLS bool) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
	if overTLS {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// recover answers for a handler that panicked. It tells the log where and which
// type, and not the value, which may hold anything.
func (g *guard) recover(w *answerWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(v)
	}
	g.logger.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
		slog.String("route", r.Pattern), slog.String("type", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
	if w.begun {
		panic(http.ErrAbortHandler) // half an answer must not look like one
	}
	problem(http.StatusInternalServerError, "internal", "the service made a mistake, which is in its log").write(w)
}

// hosts returns the names to serve besides loopback's own, or nil for any.
func hosts(o Options) []string {
	listen := hostOf(o.Listen)
	if len(o.Hosts) == 0 && !loopback(listen) {
		return nil
	}
	known := []string{listen}
	for _, h := range o.Hosts {
		known = append(known, hostOf(h))
	}
	return slices.DeleteFunc(known, func(h string) bool { return h == "" })
}

func (g *guard) knows(host string) bool {
	if g.hosts == nil {
		return true
	}
	h := hostOf(host)
	return loopback(h) || slices.Contains(g.hosts, h)
}

// hostOf returns the host of "host:port", "host" or "[v6]", in lower case.
func hostOf(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		h = strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(h, "."))
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// An answerWriter knows whether an answer has begun.
type answerWriter struct {
	http.ResponseWriter
	begun bool
}

// Unwrap lets http.ResponseController through.
func (w *answerWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *answerWriter) control() *http.ResponseController {
	return http.NewResponseController(w.ResponseWriter)
}

// begin gives the client a time to take the answer. A stream goes on to set its
// own.
func (w *answerWriter) begin() {
	if !w.begun {
		w.begun = true
		_ = w.control().SetWriteDeadline(time.Now().Add(answerPatience)) // not every writer has deadlines
	}
}

func (w *answerWriter) WriteHeader(status int) {
	w.begin()
	w.ResponseWriter.WriteHeader(status)
}

func (w *answerWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// Flush is for handlers that ask for an http.Flusher.
func (w *answerWriter) Flush() {
	w.begin()
	_ = w.control().Flush()
}
