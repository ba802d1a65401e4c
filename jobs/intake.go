package jobs

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// Limits of a Submission.
const (
	MaxTicketBytes = 200
	MaxGrace       = 90 * 24 * time.Hour
	clockSkew      = 5 * time.Minute // how far in the future received_at may be
)

// A Keyring keeps the keys of requests. Create is durable once it returns; the
// others return an error wrapping ErrGone for a key that is not there.
type Keyring interface {
	Create(request string) error
	Subject(request string) ([]byte, error)
	DestroySeal(request string) error
	DestroySubject(request string) error
	Secret() []byte // of the installation; blinds idempotency keys
}

// A StoreName is a configured Store as Intake knows it.
type StoreName struct{ Name, Kind string }

// An Intake files requests: it is the Book that doors ask. Every field but Down
// is required. It may be used concurrently.
type Intake struct {
	Ledger  Ledger
	Keys    Keyring
	Stores  []StoreName   // in the order of the configuration
	KeepKey time.Duration // how long a subject key is kept after the end
	Now     func() time.Time
	Clock   *Clock // nil for that of the built-in regimes
	Codes   Codes  // further reasons

	// Places returns the places of a store's data map, to check those that are
	// named. Nil means that they are not checked.
	Places func(ctx context.Context, storeName string) ([]PlaceCount, error)

	// Down reports whether a store is down, for the Note of the jobs that wait
	// for it. Nil means never.
	Down func(storeName string) bool

	Notify *Notify // nil: nobody is told of status changes

	ids sequence
}

var _ Book = (*Intake)(nil)

// Stage implements Book.
func (in *Intake) Stage(ctx context.Context) (Staging, error) { return in.stage(ctx) }

// Submit implements Book.
func (in *Intake) Submit(ctx context.Context, s Submission) (Request, bool, error) {
	return in.file(ctx, s, occasion{})
}

// An occasion is why Lethe itself files a request. Of a request that somebody asks
// for it is zero.
type occasion struct {
	unasked  bool                             // there is nobody to whom its receipt could be confirmed
	sweep    *Sweep                           // that files it
	brakes   *Brakes                          // frozen with it
	watched  []Watched                        // looks that it answers
	replayed func(request string) proof.Entry // says so in the log
}

// file is Submit on an occasion.
func (in *Intake) file(ctx context.Context, s Submission, o occasion) (Request, bool, error) {
	if err := s.By.Check(ActFile); err != nil {
		return Request{}, false, err
	}
	r, err := in.request(s)
	if err != nil {
		return Request{}, false, err
	}
	a := Acceptance{Request: r, Sweep: o.sweep, Brakes: o.brakes, Watched: o.watched}
	if o.unasked {
		a.Request.Clock.ConfirmBy = nil
	}
	if fault.Bug("jobs/keys-ignored") {
		s.IdempotencyKey = ""
	}
	if s.IdempotencyKey != "" {
		a.Idempotency, a.Body = in.blindKey(s)
		if found, body, err := in.Ledger.ByIdempotency(ctx, a.Idempotency); err != nil || found != nil {
			return replay(found, body, a.Body, err)
		}
	}
	if err := in.seal(&a, s); err != nil {
		return Request{}, false, err
	}
	fault.Point("jobs/keys-made")
	st, staged := s.Staged.(*staging)
	if staged {
		st.used = true // before the commit, which may happen however this ends
	}
	if o.replayed != nil {
		a.Also = append(a.Also, o.replayed(a.Request.ID))
	}
	existing, body, err := in.Ledger.Accept(ctx, a)
	fault.Point("jobs/accepted")
	if existing != nil && err == nil {
		if staged {
			st.used = false
		}
		return replay(existing, body, a.Body, in.forget(a.Request.ID, s))
	}
	if errors.Is(err, ErrSwept) || errors.Is(err, ErrOverlap) { // nothing was written
		if staged {
			st.used = false
		}
		return Request{}, false, errors.Join(err, in.forget(a.Request.ID, s))
	}
	if err != nil {
		return Request{}, false, err // ambiguous: keys and IDs stay until the reconciler knows better
	}
	r, err = in.look(ctx, a.Request.ID)
	return r, false, err
}

// Filed returns the request that s.By filed before with the same idempotency key
// and body, and whether there is one. ErrConflict if the body was another one. It
// files nothing.
func (in *Intake) Filed(ctx context.Context, s Submission) (Request, bool, error) {
	if err := s.By.Check(ActFile); err != nil || s.IdempotencyKey == "" {
		return Request{}, false, err
	}
	key, want := in.blindKey(s)
	found, body, err := in.Ledger.ByIdempotency(ctx, key)
	if err != nil || found == nil {
		return Request{}, false, err
	}
	return replay(found, body, want, nil)
}

// blindKey digests the idempotency key of a Submission, and its body.
func (in *Intake) blindKey(s Submission) (key, body []byte) {
	return in.blind(keysOf(s.By), []byte(s.IdempotencyKey)), in.blind("body", s.BodyDigest)
}

// seal makes the request's keys, or takes those its IDs were staged under, and
// the commitments of its entry.
func (in *Intake) seal(a *Acceptance, s Submission) error {
	if st, ok := s.Staged.(*staging); ok {
		a.Request.ID = st.request
		a.Requested = st.n
		a.Subject = st.subject()
	} else {
		if err := in.Keys.Create(a.Request.ID); err != nil {
			return err
		}
		s.Selector.IDs = distinct(s.Selector.IDs)
		a.Requested = len(s.Selector.IDs)
		var err error
		if a.Selector, err = EncodeSelector(s.Selector); err != nil {
			return err
		}
	}
	key, err := in.Keys.Subject(a.Request.ID)
	if err != nil {
		return err
	}
	if a.Selector != nil {
		a.Subject = proof.SubjectCommitment(key, a.Selector)
	}
	if a.Request.Ticket != "" {
		a.TicketHMAC = proof.TicketDigest(key, a.Request.Ticket)
	}
	a.Entry = acceptedEntry(*a)
	return in.sealNotify(a, s)
}

// distinct returns ids in the order in which they first came, each once.
func distinct(ids []string) []string {
	seen := make(map[string]bool, len(ids))
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		again := seen[id]
		seen[id] = true
		return again
	})
}

// forget destroys keys made for a request that another submission won.
func (in *Intake) forget(id string, s Submission) error {
	if s.Staged != nil {
		return in.forgetNotify(id, s) // of the others, its Discard does
	}
	return errors.Join(in.forgetNotify(id, s), in.Keys.DestroySubject(id), in.Keys.DestroySeal(id))
}

func replay(r *Request, body, want []byte, err error) (Request, bool, error) {
	switch {
	case err != nil:
		return Request{}, false, err
	case !hmac.Equal(body, want) && !fault.Bug("jobs/body-ignored"):
		return Request{}, false, fmt.Errorf("%w: this idempotency key was used with another body", ErrConflict)
	}
	return *r, true, nil
}

// blind digests what must be comparable but not readable.
func (in *Intake) blind(what string, b []byte) []byte {
	mac := hmac.New(sha256.New, in.Keys.Secret())
	mac.Write([]byte("lethe " + what + " v1\n"))
	mac.Write(b)
	return mac.Sum(nil)
}

// request checks a Submission and makes a Request of it.
func (in *Intake) request(s Submission) (Request, error) {
	if err := checkSelector(s); err != nil {
		return Request{}, err
	}
	now := in.Now().UTC().Truncate(time.Millisecond)
	r := Request{
		ID: in.ids.id(now), Status: Received, Origin: s.Origin, FiledBy: s.By.ID, Related: s.Related, Ticket: s.Ticket, Regime: s.Regime, Ground: s.Ground,
		CreatedAt: now, NotBefore: now.Add(s.Grace),
	}
	clock := in.clock()
	if r.Regime == "" {
		r.Regime = clock.Default
	}
	if s.Grace > 0 && fault.Bug("jobs/no-grace") {
		r.NotBefore = now
	}
	if s.Grace > 0 {
		r.Status = Waiting
	}
	received := s.ReceivedAt
	if received.IsZero() {
		received = now
	}
	r.ReceivedAt = received.UTC()
	switch regime, known := clock.Regime(r.Regime); {
	case !known:
		return r, &Invalid{"regime", "must be one of " + clock.Names()}
	default:
		r.start(regime)
	}
	switch {
	case r.ReceivedAt.After(now.Add(clockSkew)):
		return r, &Invalid{"received_at", "must not be in the future"}
	case r.ReceivedAt.Before(now.AddDate(-10, 0, 0)):
		return r, &Invalid{"received_at", "must not be more than ten years ago"}
	case s.Grace < 0 || s.Grace > MaxGrace:
		return r, &Invalid{"grace", fmt.Sprintf("must be from 0s to %s", MaxGrace)}
	}
	if err := CheckTicket(s.Ticket); err != nil {
		return r, err
	}
	if err := CheckGround(s.Ground); err != nil {
		return r, err
	}
	if err := in.notifyOf(s); err != nil {
		return r, err
	}
	var err error
	r.Jobs, err = in.jobsFor(s.Stores)
	return r, err
}

// CheckTicket returns an error unless v may be a ticket. It is shown to people
// who decide by it, so nothing in it may hide, end its line or turn it around.
func CheckTicket(v string) error {
	if len(v) > MaxTicketBytes || !utf8.ValidString(v) || strings.ContainsFunc(v, unprintable) {
		return &Invalid{"ticket", fmt.Sprintf("must be at most %d bytes of UTF-8 without control characters, or others that cannot be seen", MaxTicketBytes)}
	}
	return nil
}

func checkSelector(s Submission) error {
	if s.Staged == nil {
		return s.Selector.Validate()
	}
	if _, ok := s.Staged.(*staging); !ok {
		return errors.New("submit: the IDs were staged elsewhere") // taken for no IDs, it would select nothing
	}
	if len(s.Selector.Identity()) > 0 || len(s.Selector.Metadata) > 0 {
		return &store.FieldError{Field: "selector", Problem: "must have either ids or other keys, not both"}
	}
	if s.Staged.Len() == 0 {
		return &store.FieldError{Field: "selector.ids", Problem: "must not be empty"}
	}
	return nil
}

// jobsFor makes one job for each named store, or for every store.
func (in *Intake) jobsFor(names []string) ([]Job, error) {
	var list []Job
	for _, s := range in.Stores {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			list = append(list, Job{ID: uuid.NewString(), Store: s.Name, Kind: s.Kind, Stage: StagePlanning, Evidence: store.EvidenceNone})
		}
	}
	for i, n := range names {
		if !slices.ContainsFunc(in.Stores, func(s StoreName) bool { return s.Name == n }) {
			if fault.Bug("jobs/error-repeats-value") {
				return nil, &Invalid{"stores", "unknown: " + n}
			}
			return nil, &Invalid{"stores", "must name configured stores; see lethe stores check"}
		}
		if slices.Contains(names[:i], n) {
			return nil, &Invalid{"stores", "must name each store once"}
		}
	}
	return list, nil
}
