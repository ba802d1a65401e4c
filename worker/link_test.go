package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A far store is one whose Link a test opens by hand, as s or with err.
type far struct {
	*worker.Link
	s   store.Store
	err error
}

func (h *house) far(name string, s store.Store, err error) *far {
	f := &far{s: s, err: err}
	f.Link = &worker.Link{Name: name, Logger: h.logger, Now: h.clock.Now, Open: func(context.Context) (store.Store, error) { return f.s, f.err }}
	_ = f.Reopen(h.t.Context())
	return f
}

// comesBack opens the store.
func (f *far) comesBack(t *testing.T) {
	t.Helper()
	f.err = nil
	if err := f.Reopen(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func away() error { return fmt.Errorf("%w: nobody answers", store.ErrUnavailable) }

// wait takes some turns that must not end anything.
func (h *house) wait(e *worker.Eraser) {
	h.t.Helper()
	for range 6 {
		h.turn(e)
		h.clock.add(2 * time.Second)
	}
}

// said counts a text in the log.
func (h *house) said(text string) int { return strings.Count(h.logs.String(), text) }

func TestAJobWaitsForAStoreThatIsDownAndGoesOnWhenItIsBack(t *testing.T) {
	t.Parallel()
	for name, reason := range map[string]error{
		"away":   away(),
		"denied": fmt.Errorf("%w: wrong password", store.ErrDenied),
		"schema": fmt.Errorf("%w: GRANT DELETE ON memories", store.ErrSchema),
		"other":  errors.New("no such secret"),
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "a", "b")
			a, b := storetest.NewMemory(people(3, "alice", "bob")...), storetest.NewMemory(people(4, "alice")...)
			f := h.far("b", b, reason)
			e := h.eraser(kept("a", a), kept("b", f.Link))
			both := h.forget("alice")
			only := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "bob"}, Stores: []string{"a"}})
			h.finish(e, only) // the other store's work goes on meanwhile
			h.wait(e)
			h.wantNoCertificate(both)
			if j := h.request(both).Jobs[1]; j.Note != jobs.NoteStoreDown || b.Len() != 4 {
				t.Errorf("note %q, %d rows", j.Note, b.Len())
			}
			f.comesBack(t)
			h.finish(e, both)
			h.wantCounts(both, "requested 3 found 3 erased 3 absent 0 batches 1 rounds 1 purged", "requested 4 found 4 erased 4 absent 0 batches 1 rounds 1 purged")
			if h.said("a store is down") != 1 || h.said("a store is back") != 1 || h.said("a task failed") != 0 {
				t.Errorf("log:\n%s", h.logs)
			}
		})
	}
}

func TestAnOutageMidwayLosesNothingAndCountsNothingTwice(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*storetest.Faults){
		"before the commit": func(f *storetest.Faults) { f.Away = away() },
		"after the commit":  func(f *storetest.Faults) { f.LeaveAfter = away() },
		"revoked":           func(f *storetest.Faults) { f.Away = fmt.Errorf("%w: a permission is missing", store.ErrSchema) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, "m")
			m := storetest.NewMemory(people(2500, "alice")...)
			f := h.far("m", m, nil)
			e := h.measured(h.eraser(kept("m", f.Link)))
			id := h.forget("alice")
			h.handle(e, h.ring()) // planned
			rings := h.rings()
			h.handle(e, rings[0])
			m.Set(leave)
			h.handle(e, rings[1])
			h.handle(e, rings[2])
			h.wait(e)
			if _, reason := f.Down(); reason == nil {
				t.Fatal("the store is up")
			}
			h.wantNoCertificate(id)
			if h.request(id).Jobs[0].Note != jobs.NoteStoreDown || m.Calls(storetest.Erase) != 2 {
				t.Errorf("note %q, %d calls", h.request(id).Jobs[0].Note, m.Calls(storetest.Erase))
			}
			m.Set(func(f *storetest.Faults) { f.Away = nil })
			f.comesBack(t)
			h.finish(e, id)
			h.wantCounts(id, "requested 2500 found 2500 erased 2500 absent 0 batches 3 rounds 1 purged")
		})
	}
}

// TestAnAttemptThatNeverReachedTheStoreIsNone: what its owner erased while the
// store was down was absent when its turn came.
func TestAnAttemptThatNeverReachedTheStoreIsNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(3, "alice")...)
	f := h.far("m", m, nil)
	e := h.eraser(kept("m", f.Link))
	id := h.forget("alice")
	h.handle(e, h.ring())
	down := h.far("m", m, away())
	h.wait(h.eraser(kept("m", down.Link)))
	if _, err := m.Erase(t.Context(), []store.ID{{Place: "memories", Key: "alice-0001"}}); err != nil {
		t.Fatal(err)
	}
	h.finish(e, id)
	h.wantCounts(id, "requested 3 found 3 erased 2 absent 1 batches 1 rounds 1 purged")
}

// beforeComplete is a ledger whose process dies before it completes a request.
type beforeComplete struct{ worker.Ledger }

func (beforeComplete) Complete(context.Context, jobs.Task, proof.Entry, jobs.Ending) error {
	return errDead
}

// TestNothingIsCertifiedOfAStoreThatWasNeverOpened: its places and what it can
// do are not known, and must not be taken for none.
func TestNothingIsCertifiedOfAStoreThatWasNeverOpened(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	a, b := kept("a", storetest.NewMemory(people(2, "alice")...)), deaf{storetest.NewMemory()}
	id := h.forgetIDs("alice-0000")
	dying := h.eraser(a, kept("b", b)) // b is done first, and a's task is left
	dying.Ledger = beforeComplete{h.ledger}
	h.until(dying, "both jobs are done", func() bool {
		j := h.request(id).Jobs
		return j[0].Stage == jobs.StageDone && j[1].Stage == jobs.StageDone
	})
	h.restart()
	f := h.far("b", b, away())
	e := h.eraser(a, kept("b", f.Link))
	for range 3 {
		h.clock.add(time.Minute)
		h.wait(e)
	}
	h.wantNoCertificate(id)
	f.comesBack(t)
	h.finish(e, id)
	if diff := cmp.Diff(proof.Exclusions{{Code: "unreached-messages", Store: "a"}, {Code: "unreached-messages", Store: "b"}}, h.completed(id).Exclusions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if s := h.completed(id).Stores[1]; s.Evidence != string(store.EvidencePurged) {
		t.Errorf("evidence %s", s.Evidence)
	}
}

// reselecting is a ledger with which something happens while a selector is read.
type reselecting struct {
	worker.Ledger
	then func()
}

func (r reselecting) Selector(ctx context.Context, request string) ([]byte, error) {
	r.then()
	return r.Ledger.Selector(ctx, request)
}

// TestAStoreThatIsAnotherWhenItIsBackIsVerifiedAnew: an old copy takes the place
// of the file between two reads of one verification.
func TestAStoreThatIsAnotherWhenItIsBackIsVerifiedAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m, copied := storetest.NewMemory(people(3, "alice")...), storetest.NewMemory()
	copied.AddHistory("alice-0001", "hangs on what was erased") // no selector finds it, only Remaining does
	f := h.far("m", m, nil)
	e := h.eraser(kept("m", f.Link))
	id := h.forget("alice")
	h.handle(e, h.ring())
	h.handle(e, h.ring())
	var once atomic.Bool
	e.Ledger = reselecting{h.ledger, func() {
		if once.Swap(true) {
			return
		}
		m.Set(func(f *storetest.Faults) { f.Away = away() })
		if _, err := f.Remaining(t.Context(), nil); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
		f.s = copied
		f.comesBack(t)
	}}
	h.finish(e, id)
	if left := rows(t, copied); len(left) != 0 {
		t.Errorf("certified with %d rows left", len(left))
	}
	if c := h.completed(id).Stores[0]; c.Rounds != 2 {
		t.Errorf("%d rounds, want 2", c.Rounds)
	}
}

func TestASurveyOfAStoreThatIsDownNamesIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	f := h.far("b", storetest.NewMemory(), away())
	v := &worker.Surveyor{Stores: []*worker.Store{kept("a", storetest.NewMemory()), kept("b", f.Link)}, Secret: h.keys.Secret()}
	_, err := v.Plan(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}})
	if d, ok := errors.AsType[*jobs.StoreDown](err); !ok || d.Store != "b" {
		t.Errorf("error %v", err)
	}
	if _, err = v.Plan(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}, Stores: []string{"a"}}); err != nil {
		t.Errorf("a store that is up: %v", err)
	}
}

func TestAnOutageEndsTheCallsThatHang(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	m := storetest.NewMemory(people(1, "alice")...)
	m.Set(func(f *storetest.Faults) { f.Gate = make(chan struct{}) })
	f := h.far("m", m, nil)
	hung := make(chan error)
	go func() {
		_, err := f.Erase(t.Context(), []store.ID{{Place: "memories", Key: "alice-0000"}})
		hung <- err
	}()
	for m.Calls(storetest.Erase) == 0 {
		time.Sleep(time.Millisecond)
	}
	m.Set(func(f *storetest.Faults) { f.Away = away() })
	_, err := f.Remaining(t.Context(), nil)
	for _, err := range []error{err, <-hung} {
		if !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	}
}

// TestAnOutageIsLoggedOnce, and again when people have something else to do.
func TestAnOutageIsLoggedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	f := h.far("m", storetest.NewMemory(), away())
	for _, err := range []error{
		fmt.Errorf("%w: it is starting", store.ErrUnavailable), fmt.Errorf("%w: GRANT SELECT", store.ErrSchema),
		fmt.Errorf("%w: GRANT SELECT", store.ErrSchema), fmt.Errorf("%w: GRANT DELETE", store.ErrSchema),
	} {
		f.err = err
		_ = f.Reopen(t.Context())
		if _, reason := f.Down(); !errors.Is(reason, err) {
			t.Errorf("reason %v, want %v", reason, err)
		}
	}
	f.comesBack(t)
	if h.said("a store is down") != 3 || h.said("a store is back") != 1 || h.said("GRANT DELETE") != 2 {
		t.Errorf("log:\n%s", h.logs)
	}
}

// pinged is a store that answers when it is asked, or not.
type pinged struct {
	*storetest.Memory
	silent atomic.Bool
}

func (p *pinged) Ping(ctx context.Context) error {
	if p.silent.Load() {
		<-ctx.Done()
	}
	return ctx.Err()
}

// TestAnIdleStoreThatGoesSilentIsDownUntilItAnswers runs the loop itself.
func TestAnIdleStoreThatGoesSilentIsDownUntilItAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "m")
	p := &pinged{Memory: storetest.NewMemory()}
	var opens atomic.Int64
	l := &worker.Link{Name: "m", Logger: h.logger, Now: time.Now, Pace: 2 * time.Millisecond, Patience: 10 * time.Millisecond, Open: func(context.Context) (store.Store, error) {
		opens.Add(1)
		if p.silent.Load() {
			return nil, away()
		}
		return p, nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	until := func(what string, ok func() bool) {
		t.Helper()
		for range 5000 {
			if ok() {
				return
			}
			time.Sleep(2 * time.Millisecond)
		}
		t.Fatalf("never: %s", what)
	}
	up := func() bool { _, reason := l.Down(); return reason == nil }
	until("the store is up", up)
	p.silent.Store(true)
	until("the store is down", func() bool { return !up() })
	tried := opens.Load()
	until("it is tried again and again", func() bool { return opens.Load() > tried+5 })
	p.silent.Store(false)
	until("the store is back", up)
	cancel()
	if err := errors.Join(<-done, l.Close()); err != nil {
		t.Error(err)
	}
}

// A store that is no longer configured may have backups, and places that the
// request did not reach: nobody can say so any more.
func TestTheCertificateNamesTheStoreOfWhichNothingIsKnownAnyMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "a", "b")
	a, b := kept("a", storetest.NewMemory(people(2, "alice")...)), kept("b", deaf{storetest.NewMemory()})
	id := h.forgetIDs("alice-0000")
	dying := h.eraser(a, b) // b is done first, and a's task is left
	dying.Ledger = beforeComplete{h.ledger}
	h.until(dying, "both jobs are done", func() bool {
		j := h.request(id).Jobs
		return j[0].Stage == jobs.StageDone && j[1].Stage == jobs.StageDone
	})
	h.restart()
	h.finish(h.eraser(a), id)
	if diff := cmp.Diff(proof.Exclusions{{Code: "no-longer-configured", Store: "b"}, {Code: "unreached-messages", Store: "a"}}, h.completed(id).Exclusions); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
