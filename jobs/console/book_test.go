package console_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/console"
	"lethe/store"
)

const (
	openID  = "0193a000-0000-7000-8000-000000000001" // erasing, filed by sam
	askedID = "0193a000-0000-7000-8000-000000000002" // waits for approval, filed by sam
	endedID = "0193a000-0000-7000-8000-000000000003" // completed, filed by ada
	holdID  = "0193a000-0000-7000-8000-0000000000aa"
)

// The tokens of a house with people in it, by role.
func tokens() map[string]jobs.Actor {
	return map[string]jobs.Actor{
		"token-sam": {ID: "tok-sam", Role: jobs.RoleSubmitter}, "token-eve": {ID: "tok-eve", Role: jobs.RoleSubmitter},
		"token-abe": {ID: "tok-abe", Role: jobs.RoleApprover}, "token-una": {ID: "tok-una", Role: jobs.RoleAuditor},
		"token-ada": {ID: "tok-ada", Role: jobs.RoleAdmin},
	}
}

// A house is all that the page asks, in memory, with the rules that the book
// keeps, and a record of what was changed.
type house struct {
	mu       sync.Mutex
	requests []jobs.Request
	people   map[string]jobs.Actor
	held     []console.Hold
	changes  []string
	planned  []jobs.Submission
	filed    map[string]string // ID by idempotency key
	fail     error
	placing  bool // holds are not in force yet
	plan     jobs.Plan
	log      safeBuffer
}

func newHouse() *house {
	now := time.Now().UTC()
	r := func(id, by string, s jobs.Status, due time.Duration) jobs.Request {
		return jobs.Request{
			ID: id, Status: s, Origin: jobs.OriginAPI, FiledBy: by, Ticket: "PRIV-" + id[len(id)-1:], Regime: jobs.GDPR, Ground: "art17-1-b",
			ReceivedAt: now.Add(-time.Hour), CreatedAt: now.Add(-time.Hour), NotBefore: now.Add(-time.Hour), DueAt: now.Add(due),
			Jobs: []jobs.Job{{
				Store: "assistant", Kind: "mem0-sqlite", Stage: jobs.StageErasing, Found: 4000, Erased: 1000, Held: 5, BatchesTotal: 4, BatchesDone: 1, Note: "store-busy",
				Unattributable: 2, Places: []jobs.PlaceCount{{Place: "memories", Found: 4000}, {Place: "history", Found: 9, With: "memories"}},
			}},
		}
	}
	h := &house{
		people: tokens(), filed: map[string]string{},
		requests: []jobs.Request{
			r(openID, "tok-sam", jobs.Erasing, -50*time.Hour), r(askedID, "tok-sam", jobs.AwaitingApproval, 73*time.Hour), r(endedID, "tok-ada", jobs.Completed, time.Hour),
		},
		held: []console.Hold{{ID: holdID, State: "active", Reason: "litigation", By: "tok-abe", Placed: now}},
		plan: jobs.Plan{Hash: "h", Stores: []jobs.StorePlan{{
			Store: "assistant", Kind: "mem0-sqlite", Found: 1234, Held: 1, Unattributable: 3,
			Places: []jobs.PlaceCount{{Place: "memories", Found: 1234}, {Place: "history", Found: 5, With: "memories"}},
		}}},
	}
	h.requests[1].PlanHash = "sha256:plan-of-2"
	h.requests[1].Approval = jobs.Approval{Needed: true, Beyond: []jobs.Excess{{Code: jobs.BeyondFraction, Store: "assistant", Place: "memories", Found: 4000, Of: 9000}}}
	h.requests[2].CompletedAt, h.requests[2].Certificate = &now, true
	return h
}

// page makes a page on the house. With people, one has to sign in.
func (h *house) page(people bool, change ...func(*console.Options)) *console.Console {
	o := console.Options{
		Book: h, Planner: planner{h}, Decider: h, Holds: h, Gate: h, Stores: []string{"assistant", "app"},
		Open:      func(*http.Request) (bool, error) { return !people, nil },
		PublicKey: func() string { return "log.example+1+key" }, Head: func(context.Context) ([]byte, error) { return []byte("log.example\n7\nroot\n"), nil },
		Logger: slog.New(slog.NewJSONHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})), Poll: 5 * time.Millisecond, Version: "1.2.3",
	}
	for _, c := range change {
		c(&o)
	}
	return console.New(o)
}

// did notes a change.
func (h *house) did(format string, args ...any) {
	h.changes = append(h.changes, fmt.Sprintf(format, args...))
}

// done returns what was changed.
func (h *house) done() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.changes)
}

// set changes a request as a worker would.
func (h *house) set(id string, change func(*jobs.Request)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.requests {
		if h.requests[i].ID == id {
			change(&h.requests[i])
		}
	}
}

// revoke ends a token.
func (h *house) revoke(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.people, token)
}

func (h *house) Actor(_ context.Context, token string) (jobs.Actor, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if by, ok := h.people[token]; ok {
		return by, h.fail
	}
	return jobs.Actor{}, fmt.Errorf("look up: %w", jobs.ErrUnknownToken)
}

// see returns a request that by may do something with. The lock must be held.
func (h *house) see(by jobs.Actor, do jobs.Act, id string) (jobs.Request, error) {
	if err := by.Check(do); err != nil || h.fail != nil {
		return jobs.Request{}, fmt.Errorf("see: %w", first(h.fail, err))
	}
	for _, r := range h.requests {
		if r.ID == id && by.Sees(r.FiledBy) {
			return r, nil
		}
	}
	return jobs.Request{}, fmt.Errorf("see: %w", jobs.ErrNotFound)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *house) Submit(_ context.Context, s jobs.Submission) (jobs.Request, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := first(h.fail, s.By.Check(jobs.ActFile), s.Selector.Validate()); err != nil {
		return jobs.Request{}, false, err
	}
	id, again := h.filed[s.IdempotencyKey]
	if !again {
		id = fmt.Sprintf("0193a000-0000-7000-8000-%012d", 100+len(h.filed))
		h.filed[s.IdempotencyKey] = id
		h.requests = append(h.requests, jobs.Request{
			ID: id, Status: jobs.Received, FiledBy: s.By.ID, Ticket: s.Ticket, Regime: s.Regime, Ground: s.Ground, Origin: s.Origin,
			ReceivedAt: time.Now(), CreatedAt: time.Now(), DueAt: time.Now().Add(720 * time.Hour),
		})
		h.did("filed %v by %s", s.Stores, s.By.ID)
	}
	r, err := h.see(s.By, jobs.ActRead, id)
	return r, again, err
}

func (h *house) Request(_ context.Context, by jobs.Actor, id string) (jobs.Request, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.see(by, jobs.ActRead, id)
}

func (h *house) List(_ context.Context, by jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []jobs.Request
	for _, r := range h.requests {
		if slices.Contains(statuses, r.Status) && by.Sees(r.FiledBy) && cursor == "" {
			list = append(list, r)
		}
	}
	next := ""
	if len(list) > limit {
		next, list = list[limit-1].ID, list[:limit]
	}
	return list, next, h.fail
}

func (h *house) ListDue(ctx context.Context, by jobs.Actor, _ jobs.Due, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error) {
	list, next, err := h.List(ctx, by, statuses, limit, cursor)
	slices.SortFunc(list, func(a, b jobs.Request) int { return a.DueAt.Compare(b.DueAt) })
	return list, next, err
}

func (h *house) Cancel(_ context.Context, by jobs.Actor, id string) (jobs.Request, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.see(by, jobs.ActCancel, id)
	if err == nil {
		h.did("cancelled by %s", by.ID)
	}
	return r, err
}

func (h *house) Certificate(_ context.Context, by jobs.Actor, id string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.see(by, jobs.ActRead, id)
	if err == nil && !r.Certificate {
		err = fmt.Errorf("certificate: %w", jobs.ErrTooLate)
	}
	return []byte("certificate of " + id), err
}

func (h *house) AcceptedReceipt(_ context.Context, by jobs.Actor, id string) ([]byte, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.see(by, jobs.ActRead, id)
	return []byte("receipt of " + id), err
}

func (h *house) Commitment(_ context.Context, by jobs.Actor, id string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := h.see(by, jobs.ActRead, id)
	return "hmac-sha256:commitment", err
}

func (h *house) Approve(_ context.Context, by jobs.Actor, id, planHash string) (jobs.Request, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.see(by, jobs.ActDecide, id)
	switch {
	case err != nil:
	case r.FiledBy == by.ID:
		err = fmt.Errorf("approve: %w", jobs.ErrSelfApproval)
	case r.PlanHash != planHash:
		err = fmt.Errorf("approve: %w", jobs.ErrPlanChanged)
	default:
		h.did("approved %s by %s", planHash, by.ID)
	}
	return r, err
}

func (h *house) Reject(_ context.Context, by jobs.Actor, id, reason string) (jobs.Request, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, err := h.see(by, jobs.ActDecide, id)
	if err == nil {
		err = jobs.CheckGround(reason)
	}
	if err == nil {
		h.did("rejected %s by %s", reason, by.ID)
	}
	return r, err
}

func (h *house) Holds(context.Context, jobs.Actor) ([]console.Hold, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.held), h.fail
}

func (h *house) Place(_ context.Context, by jobs.Actor, _ store.Selector, reason string, until time.Time) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := jobs.CheckGround(reason); err != nil {
		return "", err
	}
	h.did("held for %s until %s by %s", reason, until.Format(time.DateOnly), by.ID)
	if h.placing {
		return "", fmt.Errorf("place: %w", jobs.ErrPlacing)
	}
	return holdID, h.fail
}

func (h *house) Release(_ context.Context, by jobs.Actor, id, reason string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.placing {
		return fmt.Errorf("release: %w", jobs.ErrPlacing)
	}
	if err := first(h.fail, jobs.CheckGround(reason)); err != nil || reason == "" {
		return first(err, jobs.ErrInvalid)
	}
	h.did("released %s by %s", id, by.ID)
	return nil
}

// planner is the house asked for plans.
type planner struct{ *house }

func (p planner) Plan(_ context.Context, s jobs.Submission) (jobs.Plan, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.planned = append(p.planned, s)
	return p.plan, first(p.fail, s.By.Check(jobs.ActFile))
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// signedIn returns a browser whose user has signed in with a token.
func signedIn(t *testing.T, h http.Handler, token string) *browser {
	t.Helper()
	b := newBrowser(t, h)
	if a := b.signIn(token); a.status != http.StatusSeeOther {
		t.Fatalf("sign in with %s: %d\n%s", token, a.status, a.body)
	}
	return b
}
