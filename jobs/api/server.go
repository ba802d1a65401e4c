package api

import (
	"context"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"lethe/jobs"
)

// Options are what the handler works with. Book and Planner must be set.
type Options struct {
	Book    jobs.Book
	Planner jobs.Planner
	Holds   jobs.Holds  // nil for 404
	Sweeps  jobs.Sweeps // nil for 404

	Returns jobs.Returns // nil for 404
	Stores  []string     // names that a request may give; empty leaves it to the book

	// Tokens tells who asks. Nil lets everybody do everything.
	Tokens jobs.Tokens

	LogHandler http.Handler  // serves GET /log/checkpoint, /log/keys and /log/tile/…; nil for 404
	PublicKey  func() string // the log's verifier key in force, one line, for /log/key; nil for 404

	// Ready returns why the service should get no requests now, without values
	// of theirs; none if it should. Nil means always.
	Ready func(context.Context) []string

	// Roles are what the process does, for /readyz.
	Roles []string

	// States returns how each store is, for /readyz. A store that is down keeps
	// nobody from filing requests, also for that store. Nil means no stores.
	States func() []StoreState

	// Doctor says what is weak or broken about the service and around it, without a
	// value of anybody's. Nil for 404.
	Doctor func(context.Context) (Checkup, error)

	// Backup makes a copy of the ledger and checks it; the caller closes it. Nil for
	// 404.
	Backup func(context.Context) (*Backup, error)

	Rate     *Meter // of the calls of each token or address; nil for no limit
	Refusals *Meter // of the calls from each address whose token is refused; nil for no limit

	// Operations are the calls that other doors of the service answer, for the
	// OpenAPI document alone: whoever mounts the doors gives them.
	Operations []Operation

	Logger  *slog.Logger // nil for none
	Version string       // for the OpenAPI document; "" for "dev"

	// Listen is the address that is listened on. If it is a loopback address,
	// or Hosts are given, a request's Host must be a loopback name or address,
	// the host of Listen or one of Hosts (without ports), against DNS
	// rebinding.
	Listen string
	Hosts  []string

	// Closing ends the event streams when it is closed; they would hold up
	// http.Server.Shutdown for as long as a request takes. Close it from
	// http.Server.RegisterOnShutdown.
	Closing <-chan struct{}

	Poll       time.Duration // how often a stream asks the book; 0 for 1 s
	MaxStreams int           // open streams at once, others get 503; 0 for 256
	MaxCalls   int           // other calls being answered at once, others get 503; 0 for 512
}

type server struct {
	Options
	mux     *http.ServeMux
	streams chan struct{} // holds one element for each open stream
	flights chan struct{} // likewise for each other call
	openapi func() []byte // made when it is first asked for

	upkeep sync.Mutex // of what is done one at a time: a check-up, a backup
}

// New returns the handler of /v1/, /log/, /healthz and /readyz, with the guard
// of [Protect] around it. Whatever else it is asked is a 404 or 405 problem.
func New(o Options) http.Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 256
	}
	if o.MaxCalls == 0 {
		o.MaxCalls = maxInFlight
	}
	if o.Version == "" {
		o.Version = "dev"
	}
	s := &server{Options: o, mux: http.NewServeMux(), streams: make(chan struct{}, o.MaxStreams), flights: make(chan struct{}, o.MaxCalls)}
	routes := s.routes()
	for _, r := range routes {
		s.mux.HandleFunc(r.method+" "+r.path, s.answer(s.admit(r.may, r.handle)))
	}
	s.openapi = sync.OnceValue(func() []byte { return document(o.Version, append(described(routes), o.Operations...)) })
	return Protect(http.HandlerFunc(s.serve), o)
}

// Server returns a server for h with the limits that a service open to strangers
// needs: 5 s for the header, 16 KiB of it, 60 s for an idle connection. Bodies
// are timed by the handlers that read them, answers by [Protect]: streams have
// other limits than the rest.
func Server(addr string, h http.Handler) *http.Server {
	return &http.Server{
		Addr:              addr,
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		Protocols:         http1(),

		DisableGeneralOptionsHandler: true, // OPTIONS * is refused like every other path that there is not
	}
}

// http1 is the one protocol that is spoken, also over TLS: streams within one
// connection would be one more thing to bound.
func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// serve answers what the mux would answer in plain text, or by a redirect that
// repeats the path.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	leave, busy := s.enter(r)
	defer leave()
	if busy != nil {
		busy.write(w)
		return
	}
	if _, pattern := s.mux.Handler(r); pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
		s.mux.ServeHTTP(w, r)
		return
	}
	allowed := s.allowed(r)
	if len(allowed) == 0 {
		problem(http.StatusNotFound, "not_found", "there is nothing at this path").write(w)
		return
	}
	w.Header().Set("Allow", strings.Join(allowed, ", ")) // RFC 9110, section 15.5.6
	problem(http.StatusMethodNotAllowed, "method", "this path does not take this method").write(w)
}

func (s *server) allowed(r *http.Request) []string {
	var methods []string
	for _, m := range []string{http.MethodDelete, http.MethodGet, http.MethodHead, http.MethodPost} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(probe); pattern != "" {
			methods = append(methods, m)
		}
	}
	if path.Clean(r.URL.Path) != r.URL.Path || slices.Contains(methods, r.Method) {
		return nil
	}
	return methods
}

// answer turns a handler that can fail into one that says so.
func (s *server) answer(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := handle(w, r)
		if err == nil {
			return
		}
		p := problemOf(err)
		if p.Status >= http.StatusInternalServerError && p.Code != codeStoreDown && p.Code != codePlacing && r.Context().Err() == nil {
			s.Logger.LogAttrs(r.Context(), slog.LevelError, "request not answered",
				slog.String("route", r.Pattern), slog.Int("status", p.Status), slog.Any("error", err))
		}
		p.write(w)
	}
}
