package api_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// memory is a Book and a Planner in memory. It counts what it is asked, keeps
// what was submitted, and fails with fail if that is set.
type memory struct {
	mu        sync.Mutex
	calls     int
	staged    []*staging
	submitted []jobs.Submission
	requests  []*jobs.Request // in the order filed
	keys      map[string]filed
	fail      error
	keep      bool   // whether stagings keep their IDs
	uncut     error  // of receipts only
	decided   string // the last decision, and by whom
	provedID  string // the last memory that was asked for
	not       error  // why nothing can be decided
	due       jobs.Due

	proves     bool  // any memory, and not canary alone
	peopleFail error // of tokens
}

type filed struct {
	request *jobs.Request
	digest  []byte
}

func newMemory() *memory { return &memory{keys: map[string]filed{}, keep: true} }

func (m *memory) enter() (func(), error) {
	m.mu.Lock()
	m.calls++
	return m.mu.Unlock, m.fail
}

func (m *memory) Stage(context.Context) (jobs.Staging, error) {
	leave, err := m.enter()
	defer leave()
	s := &staging{keep: m.keep}
	m.staged = append(m.staged, s)
	return s, err
}

func (m *memory) Submit(_ context.Context, s jobs.Submission) (jobs.Request, bool, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return jobs.Request{}, false, err
	}
	if old, ok := m.keys[s.IdempotencyKey]; ok && s.IdempotencyKey != "" {
		if !bytes.Equal(old.digest, s.BodyDigest) {
			return jobs.Request{}, false, fmt.Errorf("submit: %w", jobs.ErrConflict)
		}
		return *old.request, true, nil
	}
	if st, ok := s.Staged.(*staging); ok {
		st.used = true
	}
	m.submitted = append(m.submitted, s)
	zone := time.FixedZone("", 3600) // a ledger may give local times
	r := &jobs.Request{
		ID: fmt.Sprintf("0193a000-0000-7000-8000-%012d", len(m.requests)+1), Status: jobs.Received,
		Origin: s.Origin, FiledBy: s.By.ID, Related: s.Related, Ticket: s.Ticket, Regime: s.Regime, Ground: s.Ground,
		ReceivedAt: s.ReceivedAt.In(zone), DueAt: s.ReceivedAt.Add(720 * time.Hour).In(zone), CreatedAt: time.Unix(1_800_000_000, 0).In(zone),
	}
	for i, name := range s.Stores {
		r.Jobs = append(r.Jobs, jobs.Job{Store: name, Kind: "memory", Stage: jobs.StagePlanning, Found: i})
	}
	m.requests = append(m.requests, r)
	m.keys[s.IdempotencyKey] = filed{r, s.BodyDigest}
	return *r, false, nil
}

func (m *memory) find(id string) (*jobs.Request, error) {
	for _, r := range m.requests {
		if r.ID == id {
			return r, nil
		}
	}
	return nil, fmt.Errorf("request: %w", jobs.ErrNotFound)
}

func (m *memory) Request(_ context.Context, _ jobs.Actor, id string) (jobs.Request, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return jobs.Request{}, err
	}
	r, err := m.find(id)
	if err != nil {
		return jobs.Request{}, err
	}
	return *r, nil
}

// List pages by the number of requests already given.
func (m *memory) List(_ context.Context, _ jobs.Actor, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return nil, "", err
	}
	from := 0
	if cursor != "" {
		if from, err = strconv.Atoi(cursor); err != nil {
			return nil, "", &jobs.Invalid{Field: "cursor", Problem: "must be a cursor of ours"}
		}
	}
	var all []jobs.Request
	for _, r := range slices.Backward(m.requests) {
		if len(statuses) == 0 || slices.Contains(statuses, r.Status) {
			all = append(all, *r)
		}
	}
	to := min(from+limit, len(all))
	if to == len(all) {
		return all[from:], "", nil
	}
	return all[from:to], strconv.Itoa(to), nil
}

func (m *memory) ListDue(ctx context.Context, by jobs.Actor, due jobs.Due, statuses []jobs.Status, limit int, cursor string) ([]jobs.Request, string, error) {
	m.due = due
	return m.List(ctx, by, statuses, limit, cursor)
}

// decide lets a request be what a decision makes of it, or is told why not.
func (m *memory) turn(id string, change func(*jobs.Request)) (jobs.Request, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return jobs.Request{}, err
	}
	r, err := m.find(id)
	if err != nil {
		return jobs.Request{}, err
	}
	if r.Status.Ended() {
		return jobs.Request{}, fmt.Errorf("decide: %w", jobs.ErrTooLate)
	}
	change(r)
	return *r, m.not
}

func (m *memory) Extend(_ context.Context, by jobs.Actor, id, reason string) (jobs.Request, error) {
	if err := (jobs.Codes{}).CheckExtension(reason); err != nil {
		return jobs.Request{}, err
	}
	return m.turn(id, func(r *jobs.Request) { r.Clock.Reason, r.Clock.ExtendedBy = reason, by.ID })
}

func (m *memory) Confirm(_ context.Context, _ jobs.Actor, id string) (jobs.Request, error) {
	return m.turn(id, func(r *jobs.Request) { r.Clock.ConfirmedAt = new(r.CreatedAt) })
}

func (m *memory) Exempt(_ context.Context, by jobs.Actor, id string, x jobs.Exemption) (jobs.Request, error) {
	x.By = by.ID
	return m.turn(id, func(r *jobs.Request) { r.Exemptions = append(r.Exemptions, x) })
}

func (m *memory) Cancel(_ context.Context, _ jobs.Actor, id string) (jobs.Request, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return jobs.Request{}, err
	}
	r, err := m.find(id)
	if err != nil {
		return jobs.Request{}, err
	}
	if r.Status.Ended() {
		return jobs.Request{}, fmt.Errorf("cancel: %w", jobs.ErrTooLate)
	}
	end(r, jobs.Cancelled)
	return *r, nil
}

// end ends r. The fake's lock must be held.
func end(r *jobs.Request, s jobs.Status) {
	r.Status = s
	r.CompletedAt = new(time.Unix(1_800_000_100, 0))
	r.Certificate = true
}

// set changes a request as a worker would.
func (m *memory) set(id string, change func(*jobs.Request)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, err := m.find(id)
	if err != nil {
		panic(err)
	}
	change(r)
}

func (m *memory) Certificate(_ context.Context, _ jobs.Actor, id string) ([]byte, error) {
	return m.file(id, "certificate", func(r *jobs.Request) bool { return r.Certificate })
}

func (m *memory) Reissue(_ context.Context, _ jobs.Actor, id string, accepted bool) ([]byte, error) {
	return m.file(id, fmt.Sprintf("newest %v", accepted), func(r *jobs.Request) bool { return accepted || r.Certificate })
}

// MemoryProof knows one memory, canary.
func (m *memory) MemoryProof(_ context.Context, _ jobs.Actor, id, memoryID string) ([]byte, error) {
	m.provedID = memoryID
	file, err := m.file(id, "proof", func(r *jobs.Request) bool { return r.Certificate })
	if err == nil && memoryID != canary && !m.proves {
		err = fmt.Errorf("prove memory: %w", jobs.ErrNotFound)
	}
	return file, err
}

func (m *memory) AcceptedReceipt(_ context.Context, _ jobs.Actor, id string) ([]byte, error) {
	if m.uncut != nil {
		return nil, m.uncut
	}
	return m.file(id, "receipt", func(*jobs.Request) bool { return true })
}

func (m *memory) file(id, what string, there func(*jobs.Request) bool) ([]byte, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	r, err := m.find(id)
	if err != nil {
		return nil, err
	}
	if !there(r) {
		return nil, fmt.Errorf("%s: %w", what, jobs.ErrTooLate)
	}
	return []byte(fileHead(what) + what + " of " + id + "\n"), nil
}

func (m *memory) SubjectKey(_ context.Context, _ jobs.Actor, id string) ([]byte, error) {
	leave, err := m.enter()
	defer leave()
	if err != nil {
		return nil, err
	}
	r, err := m.find(id)
	if err != nil {
		return nil, err
	}
	if r.Status == jobs.Cancelled {
		return nil, fmt.Errorf("subject key: %w", jobs.ErrGone)
	}
	sum := sha256.Sum256([]byte(id))
	return sum[:], nil
}

func (m *memory) Plan(_ context.Context, s jobs.Submission) (jobs.Plan, error) {
	leave, err := m.enter()
	defer leave()
	m.submitted = append(m.submitted, s)
	return jobs.Plan{Hash: "h", Stores: []jobs.StorePlan{{
		Store: "assistant", Kind: "memory", Found: 3, Held: 1, Related: 2,
		Places: []jobs.PlaceCount{{Place: "memories", Found: 3}, {Place: "history", Found: 5, With: "memories"}},
	}}}, err
}

// count returns how often the book was called.
func (m *memory) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// staging is a Staging in memory, or one that only counts.
type staging struct {
	ids       []string
	n         int
	keep      bool
	used      bool
	discarded bool
}

func (s *staging) Add(_ context.Context, ids []string) error {
	if len(ids) == 0 || len(ids) > store.MaxBatch {
		return fmt.Errorf("add: a batch of %d", len(ids))
	}
	s.n += len(ids)
	if s.keep {
		s.ids = append(s.ids, ids...)
	}
	return nil
}

func (s *staging) Len() int { return s.n }

func (s *staging) Chunks(context.Context) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		for c := range slices.Chunk(s.ids, store.MaxBatch) {
			if !yield(c, nil) {
				return
			}
		}
	}
}

func (s *staging) Discard(context.Context) error {
	s.discarded = !s.used
	return nil
}
