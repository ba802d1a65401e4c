package api

import (
	"context"
	"crypto/sha256"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"lethe/jobs"
)

// How long a client may keep us waiting for a body, over all: bodyPatience and
// a second more for each bodyRate bytes that it has sent.
const (
	bodyPatience = 15 * time.Second
	bodyRate     = 16 << 10
)

// receiptPatience is how long an answer waits for its receipt.
const receiptPatience = 2 * time.Second

// originHeader is what a Client says it is.
const originHeader = "Lethe-Origin"

// submit is POST /v1/requests.
func (s *server) submit(w http.ResponseWriter, r *http.Request) error {
	key, err := idempotencyKey(r.Header)
	if err != nil {
		return err
	}
	sub, discard, err := s.intake(w, r)
	defer discard()
	if err != nil {
		return err
	}
	sub.IdempotencyKey = key
	req, replayed, err := s.Book.Submit(r.Context(), sub)
	if err != nil {
		return err
	}
	if replayed {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	w.Header().Set("Location", requestPath(req.ID))
	return writeJSON(w, http.StatusAccepted, Accepted{wireRequest(req), s.receiptText(r.Context(), sub.By, req.ID)})
}

// receiptText returns the proof that a request was accepted, or nil. The request
// is durable by now, so no error and no delay of its proof may hide that.
func (s *server) receiptText(ctx context.Context, by jobs.Actor, id string) *string {
	ctx, cancel := context.WithTimeout(ctx, receiptPatience)
	defer cancel()
	file, err := s.Book.AcceptedReceipt(ctx, by, id)
	if err != nil {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "receipt not cut", slog.String("request", id), slog.Any("error", err))
		return nil
	}
	return new(string(file))
}

// plan is POST /v1/plans.
func (s *server) plan(w http.ResponseWriter, r *http.Request) error {
	sub, discard, err := s.intake(w, r)
	defer discard()
	if err != nil {
		return err
	}
	p, err := s.Planner.Plan(r.Context(), sub)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, wirePlan(p))
}

// intake reads a submission. The IDs it staged are gone after discard, which is
// never nil, unless they were submitted.
func (s *server) intake(w http.ResponseWriter, r *http.Request) (sub jobs.Submission, discard func(), err error) {
	st := &stage{ctx: r.Context(), book: s.Book}
	if err := checkBodyHeader(r.Header); err != nil {
		return sub, st.discard, err
	}
	digest := sha256.New()
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxBodyBytes), control: http.NewResponseController(w)}
	if sub, err = readSubmission(io.TeeReader(body, digest), st.add); err != nil {
		return sub, st.discard, err
	}
	body.done()
	if err := checkStores(sub.Stores, s.Stores); err != nil {
		return sub, st.discard, err
	}
	sub.BodyDigest = digest.Sum(nil)
	sub.By = ActorOf(r)
	sub.Origin = jobs.OriginAPI
	if r.Header.Get(originHeader) == jobs.OriginCLI {
		sub.Origin = jobs.OriginCLI
	}
	if st.staging != nil {
		sub.Staged = st.staging
	}
	return sub, st.discard, nil
}

// checkBodyHeader refuses bodies that are not plain JSON. A form's types are
// refused with the rest, which is also what keeps forms of other sites out.
func checkBodyHeader(h http.Header) error {
	if ct := h.Get("Content-Type"); ct != "" {
		if media, _, err := mime.ParseMediaType(ct); err != nil || media != "application/json" {
			return problem(http.StatusUnsupportedMediaType, "media_type", "Content-Type must be application/json")
		}
	}
	if h.Get("Content-Encoding") != "" {
		return problem(http.StatusUnsupportedMediaType, "media_type", "bodies must come without Content-Encoding")
	}
	return nil
}

func idempotencyKey(h http.Header) (string, error) {
	keys := h.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	unprintable := func(r rune) bool { return r < ' ' || r > '~' }
	if len(keys) > 1 || len(keys[0]) == 0 || len(keys[0]) > 255 || strings.ContainsFunc(keys[0], unprintable) {
		return "", malformed("Idempotency-Key", "must be one value of 1 to 255 printable ASCII characters")
	}
	return keys[0], nil
}

// A stage opens a Staging when the first IDs come and keeps it for the end.
type stage struct {
	ctx     context.Context // of the one request that it lives for
	book    jobs.Book
	staging jobs.Staging
}

func (s *stage) add(ids []string) (err error) {
	if s.staging == nil {
		if s.staging, err = s.book.Stage(s.ctx); err != nil {
			s.staging = nil // an interface may hold a nil pointer
			return err
		}
	}
	return s.staging.Add(s.ctx, ids)
}

// discard works after the client has gone: that is when it matters. What it
// cannot remove, the next start removes.
func (s *stage) discard() {
	if s.staging == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), 10*time.Second)
	defer cancel()
	_ = s.staging.Discard(ctx)
}

// A pacedReader is a body with a deadline that moves on as bytes arrive. Only
// waiting for the client counts, not the time that the book takes in between.
type pacedReader struct {
	r       io.Reader
	control *http.ResponseController
	waited  time.Duration
	n       int64
}

func (p *pacedReader) Read(b []byte) (int, error) {
	start := time.Now()
	allowed := bodyPatience + time.Duration(p.n/bodyRate)*time.Second
	_ = p.control.SetReadDeadline(start.Add(allowed - p.waited)) // not every writer has deadlines
	n, err := p.r.Read(b)
	p.waited += time.Since(start)
	p.n += int64(n)
	return n, err
}

// done takes the deadline away: net/http goes on reading, to notice when the
// client goes, and would take a deadline for that.
func (p *pacedReader) done() { _ = p.control.SetReadDeadline(time.Time{}) }
