package console

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"lethe/jobs"
	"lethe/store"
)

// A Book is what the page asks of the book of requests; the errors are those of
// [jobs.Book]. *jobs.Intake is one.
type Book interface {
	Submit(ctx context.Context, s jobs.Submission) (r jobs.Request, replayed bool, err error)
	Request(ctx context.Context, by jobs.Actor, id string) (jobs.Request, error)
	Cancel(ctx context.Context, by jobs.Actor, id string) (jobs.Request, error)
	Certificate(ctx context.Context, by jobs.Actor, id string) ([]byte, error)
	AcceptedReceipt(ctx context.Context, by jobs.Actor, id string) ([]byte, error)

	// List returns requests newest first, ListDue those that have not ended, the
	// nearest deadline first, and the cursor of the next page or "".
	List(ctx context.Context, by jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error)
	ListDue(ctx context.Context, by jobs.Actor, due jobs.Due, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error)

	// Commitment returns the subject commitment of a request, as the log has it.
	Commitment(ctx context.Context, by jobs.Actor, id string) (string, error)
}

// A Hold is a legal hold without its selector, which is never told.
type Hold struct {
	ID     string
	State  string // placing, active, released, ended
	Reason string // a code
	By     string // who placed it, opaque
	Placed time.Time
	Until  time.Time // zero for no end
}

// Holds are where legal holds are kept. Place returns once no row can be erased
// any more that the hold forbids, or an error wrapping jobs.ErrPlacing if that
// takes long; Release ends one that is in force. The other errors are the book's.
type Holds interface {
	Holds(ctx context.Context, by jobs.Actor) ([]Hold, error)
	Place(ctx context.Context, by jobs.Actor, sel store.Selector, reason string, until time.Time) (id string, err error)
	Release(ctx context.Context, by jobs.Actor, id, reason string) error
}

// A Gate tells whose token it is. Its error wraps jobs.ErrUnknownToken if it is
// nobody's now; any other means that the book did not answer.
type Gate interface {
	Actor(ctx context.Context, token string) (jobs.Actor, error)
}

// Options are what the page works with. Book and Planner must be set.
type Options struct {
	Book    Book
	Planner jobs.Planner
	Decider jobs.Decider // nil: there are no buttons to approve and reject
	Holds   Holds        // nil: there is no such page
	Sweeps  jobs.Sweeps  // nil: there is no page of policies
	Gate    Gate         // nil: nobody signs in with a token
	OIDC    *OIDC        // nil: nobody signs in through a provider

	// Open reports whether a call needs nobody who has signed in. Nil means
	// always, and with OIDC never.
	Open func(*http.Request) (bool, error)

	Stores  []string // names that a request may give
	Regimes []string // under which a request may be filed; the first is the default

	// PublicKey returns the log's verifier key, one line, and Head its signed
	// head (C2SP tlog-checkpoint). Nil leaves them out.
	PublicKey func() string
	Head      func(ctx context.Context) ([]byte, error)

	Secret  []byte       // of the installation; makes the IDs of people who sign in by OIDC
	Secure  bool         // browsers reach the page by https, though this process may not see it
	Logger  *slog.Logger // nil for none
	Version string       // "" for none

	Closing    <-chan struct{} // ends the streams when it is closed; see api.Options
	Poll       time.Duration   // how often a stream asks the book; 0 for 1 s
	MaxStreams int             // open streams at once; 0 for 256
}

// Limits of sessions.
const (
	idle        = 30 * time.Minute
	lifetime    = 8 * time.Hour
	maxSessions = 10_000 // the one that would end first makes room
)

// A Console is the page. Use New.
type Console struct {
	Options
	handler  http.Handler
	pages    pages
	sessions *scs.SessionManager
	drafts   drafts
	streams  chan struct{}
	key      []byte // of this process: signs and seals what a browser keeps before a session

	provider sync.Mutex // guards found
	found    *provider
}

// New returns the handler of / and /console/. Whatever else it is asked is a
// page that says 404. It must stand behind api.Protect, which checks the Host.
// It panics if there is OIDC without the installation's secret.
func New(o Options) *Console {
	if o.OIDC != nil && len(o.Secret) < 16 {
		panic("console: OIDC needs the installation's secret")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.MaxStreams == 0 {
		o.MaxStreams = 256
	}
	if len(o.Regimes) == 0 {
		o.Regimes = []string{jobs.GDPR, jobs.CCPA}
	}
	c := &Console{Options: o, streams: make(chan struct{}, o.MaxStreams), key: make([]byte, 32), drafts: newDrafts()}
	_, _ = rand.Read(c.key) // never fails
	// Not scs.New, which starts a goroutine for a store that is not used.
	c.sessions = &scs.SessionManager{
		IdleTimeout: idle, Lifetime: lifetime, Store: newShelf(maxSessions), Codec: scs.GobCodec{}, HashTokenInStore: true,
	}
	var err error
	if c.pages, err = readPages(); err != nil { // they are part of the program
		panic(err)
	}
	c.handler = c.mux()
	return c
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// A route is one thing that the page can be asked for.
type route struct {
	pattern string
	do      func(*visit) (answer, error)
	may     jobs.Act
}

func (c *Console) routes() []route {
	list := []route{
		{"GET /{$}", c.list, jobs.ActRead},
		{"GET /console/new", c.form, jobs.ActFile},
		{"POST /console/plan", c.plan, jobs.ActFile},
		{"POST /console/file", c.file, jobs.ActFile},
		{"GET /console/requests/{id}", c.request, jobs.ActRead},
		{"GET /console/requests/{id}/certificate", c.certificate, jobs.ActRead},
		{"GET /console/requests/{id}/receipt", c.receipt, jobs.ActRead},
		{"POST /console/requests/{id}/cancel", c.cancel, jobs.ActCancel},
		{"GET /console/log", c.log, jobs.ActOpen},
		{"POST /console/sign-out", c.signOut, jobs.ActOpen},
	}
	if c.Decider != nil {
		list = append(list,
			route{"POST /console/requests/{id}/approve", c.approve, jobs.ActDecide},
			route{"POST /console/requests/{id}/reject", c.reject, jobs.ActDecide})
	}
	if c.Holds != nil {
		list = append(list,
			route{"GET /console/holds", c.holds, jobs.ActHolds},
			route{"POST /console/holds", c.placeHold, jobs.ActHold},
			route{"POST /console/holds/{id}/release", c.releaseHold, jobs.ActHold})
	}
	if c.Sweeps != nil {
		list = append(list, route{"GET /console/policies", c.policies, jobs.ActPolicies})
	}
	return list
}

func (c *Console) mux() http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.routes() {
		mux.Handle(r.pattern, c.visited(r))
	}
	mux.HandleFunc("GET /console/requests/{id}/events", c.events)
	mux.HandleFunc("GET /console/sign-in", c.signInPage)
	mux.HandleFunc("POST /console/sign-in", c.signIn)
	if c.OIDC != nil {
		mux.HandleFunc("GET /console/sign-in/oidc", c.leave)
		mux.HandleFunc("GET /console/sign-in/oidc/callback", c.comeBack)
	}
	mux.HandleFunc("GET /console/assets/{name}", c.asset)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		c.write(w, c.problem(nil, jobs.ErrNotFound))
	})
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		c.write(w, c.problem(nil, errForeign))
	}))
	inner := origin.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setHeaders(w.Header())
		inner.ServeHTTP(w, r)
	})
}

func setHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers hide the Origin of forms from us too
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
