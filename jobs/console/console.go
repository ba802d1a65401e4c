package console

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/alexedwards/scs/v2"

	"lethe/jobs"
	"lethe/store"
)

// A Book is what the page asks of the book of requests. What by may not see is
// jobs.ErrNotFound, what he may not do jobs.ErrForbidden; the other errors are
// those of [jobs.Book].
type Book interface {
	Submit(ctx context.Context, by jobs.Actor, s jobs.Submission) (jobs.Request, error)
	Request(ctx context.Context, by jobs.Actor, id string) (jobs.Request, error)

	// List returns a page of requests, and the cursor of the next page or "".
	// Those that have not ended come with the nearest deadline first, the others
	// newest first; statuses never mix the two.
	List(ctx context.Context, by jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error)

	Cancel(ctx context.Context, by jobs.Actor, id string) error
	Certificate(ctx context.Context, by jobs.Actor, id string) ([]byte, error)
	AcceptedReceipt(ctx context.Context, by jobs.Actor, id string) ([]byte, error)

	// Commitment returns the subject commitment of a request, as the log has it.
	Commitment(ctx context.Context, by jobs.Actor, id string) (string, error)
}

// Approvals are where a second person says yes or no to a plan. The errors are
// those of Book; jobs.ErrConflict means that the plan is another by now.
type Approvals interface {
	Approve(ctx context.Context, by jobs.Actor, id, planHash string) error
	Reject(ctx context.Context, by jobs.Actor, id, reason string) error
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
// any more that the hold forbids.
type Holds interface {
	Holds(ctx context.Context, by jobs.Actor) ([]Hold, error)
	Place(ctx context.Context, by jobs.Actor, sel store.Selector, reason string, until time.Time) (id string, err error)
	Release(ctx context.Context, by jobs.Actor, id string) error
}

// Tokens tell whom a token of the API belongs to.
type Tokens interface {
	// Actor returns an error wrapping jobs.ErrForbidden for a token that is
	// unknown, revoked or expired. Any other error means that the book did not
	// answer.
	Actor(ctx context.Context, token string) (jobs.Actor, error)

	// Open reports whether nobody needs a token: there are none, and only this
	// machine reaches the service.
	Open(ctx context.Context) (bool, error)
}

// Options are what the page works with. Book and Planner must be set.
type Options struct {
	Book      Book
	Planner   jobs.Planner
	Approvals Approvals // nil: there are no such buttons
	Holds     Holds     // nil: there is no such page
	Tokens    Tokens    // nil: the service is open, unless OIDC is set
	OIDC      *OIDC     // nil: one signs in by token alone

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
func New(o Options) (*Console, error) {
	if o.OIDC != nil && len(o.Secret) < 16 {
		return nil, errors.New("console: OIDC needs the installation's secret")
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
	if _, err := rand.Read(c.key); err != nil {
		return nil, err
	}
	// Not scs.New, which starts a goroutine for a store that is not used.
	c.sessions = &scs.SessionManager{
		IdleTimeout: idle, Lifetime: lifetime, Store: newShelf(maxSessions), Codec: scs.GobCodec{}, HashTokenInStore: true,
	}
	var err error
	if c.pages, err = readPages(); err != nil {
		return nil, err
	}
	c.handler = c.mux()
	return c, nil
}

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.handler.ServeHTTP(w, r) }

// A route is one thing that the page can be asked for.
type route struct {
	pattern string
	do      func(*visit) (answer, error)
	roles   []jobs.Role // besides admin; nil for everybody who is signed in
}

func (c *Console) routes() []route {
	files := []jobs.Role{jobs.RoleSubmitter}
	decides := []jobs.Role{jobs.RoleApprover}
	list := []route{
		{"GET /{$}", c.list, nil},
		{"GET /console/new", c.form, files},
		{"POST /console/plan", c.plan, files},
		{"POST /console/file", c.file, files},
		{"GET /console/requests/{id}", c.request, nil},
		{"GET /console/requests/{id}/certificate", c.certificate, nil},
		{"GET /console/requests/{id}/receipt", c.receipt, nil},
		{"POST /console/requests/{id}/cancel", c.cancel, files},
		{"GET /console/log", c.log, nil},
		{"POST /console/sign-out", c.signOut, nil},
	}
	if c.Approvals != nil {
		list = append(list,
			route{"POST /console/requests/{id}/approve", c.approve, decides},
			route{"POST /console/requests/{id}/reject", c.reject, decides})
	}
	if c.Holds != nil {
		list = append(list,
			route{"GET /console/holds", c.holds, []jobs.Role{jobs.RoleApprover, jobs.RoleAuditor}},
			route{"POST /console/holds", c.placeHold, decides},
			route{"POST /console/holds/{id}/release", c.releaseHold, decides})
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
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}
