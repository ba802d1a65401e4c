package worker_test

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/worker"
)

// A world is stores as a watch sees them, with the clock of the house.
type world struct {
	*worker.Surveyor
	clock *clock
	skew  time.Duration
}

func (w *world) Clock(context.Context, string) (time.Time, error) {
	return w.clock.Now().Add(w.skew), nil
}

// watching is an eraser that keeps marks, and a watch over its stores.
func (h *house) watching(stores ...*worker.Store) (*worker.Eraser, *jobs.Watch) {
	e := h.eraser(stores...)
	e.Suppression = &jobs.Suppression{Keys: h.keys, Watch: []time.Duration{time.Hour, 24 * time.Hour}}
	var names []string
	for _, s := range stores {
		names = append(names, s.Name)
	}
	return e, &jobs.Watch{
		Ledger: h.ledger, Keys: h.keys, Intake: h.intake, Names: names, Erase: map[string]bool{}, Keep: 400 * 24 * time.Hour,
		Stores: &world{Surveyor: &worker.Surveyor{Stores: stores}, clock: h.clock}, Now: h.clock.Now, Logger: h.logger, Turn: 5 * time.Millisecond,
	}
}

// run lets watches run until done.
func (h *house) run(what string, done func() bool, watches ...*jobs.Watch) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	var group sync.WaitGroup
	for _, w := range watches {
		group.Go(func() { _ = w.Run(ctx) })
	}
	for end := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			h.t.Errorf("not in time: %s\n%s", what, h.logs)
			break
		}
	}
	cancel()
	group.Wait()
}

// of returns the requests of an origin.
func (h *house) of(origin string) (list []jobs.Request) {
	h.t.Helper()
	all, err := h.ledger.List(h.t.Context(), "", nil, 1000, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, r := range all {
		if r.Origin == origin {
			list = append(list, r)
		}
	}
	return list
}

// quiet says that no look is due any more.
func (h *house) quiet() bool {
	h.t.Helper()
	n, err := h.ledger.WatchesDue(h.t.Context(), "s")
	if err != nil {
		h.t.Fatal(err)
	}
	return n == 0
}

func made(id, user string, at time.Time) storetest.Record {
	r := storetest.Record{ID: id, UserID: user, Text: "text of " + id}
	if !at.IsZero() {
		r.Created = at.Format(time.RFC3339)
	}
	return r
}

const (
	randomID = "0b7f6d52-5f0c-4c7e-9a53-7f7c2f1f6d01"
	otherID  = "0b7f6d52-5f0c-4c7e-9a53-7f7c2f1f6d02"
)

// An hour after she was forgotten alice's rows are back, and more of hers: those that
// were made before are erased again, and her certificate says that another request
// goes on. What was made since, what does not say when it was made, and what is
// bob's, are left as they are.
func TestWhatComesBackIsErasedAgainAndWhatIsMadeLaterIsLeft(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	hers := []storetest.Record{made("a1", "alice", before), made("a2", "alice", before), made(randomID, "alice", time.Time{})}
	m := storetest.NewMemory(append(hers, made("b1", "bob", before))...)
	e, w := h.watching(kept("s", m))
	first := h.forget("alice")
	h.finish(e, first)
	m.Add(hers...)                                                               // a backup
	m.Add(made("a3", "alice", before))                                           // hers, and not in the plan
	m.Add(made("a4", "alice", h.clock.Now().Add(time.Minute)))                   // she has returned
	m.Add(made("a5", "alice", time.Time{}), made(otherID, "alice", time.Time{})) // nobody knows
	h.clock.add(61 * time.Minute)
	h.run("the watch files a request", func() bool { return len(h.of(jobs.OriginWatch)) > 0 }, w)
	again := h.of(jobs.OriginWatch)[0]
	if again.FiledBy != "watch" || again.Clock.ConfirmBy != nil || len(again.Jobs) != 1 {
		t.Errorf("%+v", again)
	}
	h.finish(e, again.ID)
	if s := h.completed(again.ID).Stores[0]; s.Requested != 4 || s.Erased != 4 || s.Remaining != 0 {
		t.Errorf("certificate: %s", counts(s))
	}
	var left []string
	for name := range rows(t, m) {
		left = append(left, name)
	}
	for _, id := range []string{"a4", "a5", otherID, "b1"} {
		if !slices.ContainsFunc(left, func(s string) bool { return strings.HasSuffix(s, id) }) {
			t.Errorf("%s is gone", id)
		}
	}
	for _, id := range []string{"a1", "a2", "a3", randomID} {
		if slices.ContainsFunc(left, func(s string) bool { return strings.HasSuffix(s, id) }) {
			t.Errorf("%s is left", id)
		}
	}
	if got := h.request(first).Superseded; got != again.ID {
		t.Errorf("superseded by %q, want %s", got, again.ID)
	}
	if s, ok := h.logged(first + "/" + proof.KindSuperseded).(*proof.Superseded); !ok || s.SupersededBy != again.ID || s.Reason != jobs.SupersededReturned {
		t.Errorf("the log says %+v", s)
	}
	h.clock.add(48 * time.Hour) // the later looks find what is left, and leave it
	h.run("all looks are done", h.quiet, w)
	if n := len(h.of(jobs.OriginWatch)); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	if len(rows(t, m)) != len(left) {
		t.Error("a later look has erased something")
	}
	if strings.Contains(h.logs.String(), "alice") || strings.Contains(h.logs.String(), randomID) {
		t.Error("the logs name her")
	}
}

// Of watches in several processes one does each look, and files its request.
func TestALookIsDoneOnce(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	m := storetest.NewMemory(made("a1", "alice", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.forget("alice"))
	m.Add(made("a1", "alice", before))
	h.clock.add(25 * time.Hour) // two looks at once
	var all []*jobs.Watch
	for range 6 {
		_, other := h.watching(e.Stores["s"])
		other.Keep = 0
		all = append(all, other)
	}
	h.run("all looks are done", h.quiet, append(all, w)...)
	if n := len(h.of(jobs.OriginWatch)); n != 1 {
		t.Errorf("%d requests were filed, want 1", n)
	}
}

// A crash between taking a look and answering it loses nothing: when the lease is
// over the look is done, and only then.
func TestALookWhoseProcessDiedIsDoneLater(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	m := storetest.NewMemory(made("a1", "alice", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.forget("alice"))
	m.Add(made("a1", "alice", before))
	h.clock.add(2 * time.Hour)
	taken, err := h.ledger.TakeWatches(t.Context(), "s", h.clock.Now().Add(time.Hour), 10)
	if err != nil || len(taken) != 1 {
		t.Fatalf("%d, %v", len(taken), err)
	}
	if again, err := h.ledger.TakeWatches(t.Context(), "s", h.clock.Now().Add(time.Hour), 10); err != nil || len(again) != 0 {
		t.Errorf("taken again: %d, %v", len(again), err)
	}
	h.clock.add(2 * time.Hour)
	h.run("the watch files a request", func() bool { return len(h.of(jobs.OriginWatch)) > 0 }, w)
}

// A request with explicit IDs, or with several keys, has forgotten these rows, and
// nobody: rows of the same people with other IDs have not come back.
func TestOnlyWhatOneKeyForgotIsSuppressed(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	r := made("a1", "alice", before)
	r.RunID = "run"
	m := storetest.NewMemory(r, made("c1", "carol", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice", RunID: "run"}}))
	h.finish(e, h.forgetIDs("c1"))
	for _, who := range []string{"alice", "carol"} {
		if s, err := w.Suppressed(t.Context(), jobs.ActorLocal, store.Selector{UserID: who}); err != nil || s != nil {
			t.Errorf("%s: %+v, %v", who, s, err)
		}
	}
	m.Add(r, made("a2", "alice", before), made("c1", "carol", before), made("c2", "carol", before))
	found, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"})
	if err != nil || found.Return != (jobs.Return{Back: 2}) || len(found.Requests) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	h.finish(e, found.Requests[0])
	if n := m.Len(); n != 2 {
		t.Errorf("%d rows are left, want a2 and c2", n)
	}
}

// A replay compares what was erased since the backup, and no more: what had been
// erased before it cannot have come from it.
func TestAReplayGoesByTheTimeOfTheBackup(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	m := storetest.NewMemory(made("a1", "alice", before), made("b1", "bob", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.forget("alice"))
	backup := h.clock.add(time.Hour)
	h.finish(e, h.forget("bob"))
	m.Add(made("a1", "alice", before), made("b1", "bob", before))
	for _, c := range []struct {
		order jobs.ReplayOrder
		back  int
	}{{jobs.ReplayOrder{Store: "s", BackupAt: backup, Dry: true}, 1}, {jobs.ReplayOrder{Store: "s", Dry: true}, 2}} {
		if found, err := w.Replay(t.Context(), jobs.ActorLocal, c.order); err != nil || found.Back != c.back || len(found.Requests) != 0 {
			t.Errorf("%+v: %+v, %v", c.order, found, err)
		}
	}
	if n := len(h.of(jobs.OriginReplay)); n != 0 {
		t.Errorf("a dry run has filed %d", n)
	}
	w.Stores.(*world).skew = 2 * time.Minute
	if _, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"}); err == nil || !strings.Contains(err.Error(), "clock") {
		t.Errorf("with a store whose clock is wrong: %v", err)
	}
	if _, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "elsewhere"}); err == nil {
		t.Error("a store that is not configured")
	}
	if _, err := w.Replay(t.Context(), jobs.Actor{ID: "tok", Role: jobs.RoleApprover}, jobs.ReplayOrder{Store: "s"}); err == nil {
		t.Error("an approver has replayed a store")
	}
}

// What was exempt, and what a hold protects, has not come back: it never went.
func TestWhatWasExemptHasNotComeBack(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	r := made("a1", "alice", before)
	r.Message = true
	m := storetest.NewMemory(r)
	e, w := h.watching(kept("s", m))
	id := h.submit(jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "alice"}})
	h.exempt(id, jobs.Exemption{Store: "s", Place: "messages", Reason: "art17-3-b"})
	h.finish(e, id)
	if n := m.Len(); n != 1 {
		t.Fatalf("%d rows, want the message", n)
	}
	if found, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"}); err != nil || found.Return != (jobs.Return{}) {
		t.Errorf("%+v, %v", found, err)
	}
}

// unlisted is a store that does not say what is in it.
type unlisted struct{ store.Store }

// A store that lists nothing is not watched, and whoever wants it replayed is told.
func TestAStoreThatListsNothingIsNotTakenForClean(t *testing.T) {
	h := newHouse(t, "s")
	e, w := h.watching(kept("s", unlisted{storetest.NewMemory(made("a1", "alice", time.Time{}))}))
	h.finish(e, h.forget("alice"))
	if _, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"}); err == nil || !strings.Contains(err.Error(), jobs.ErrUnable.Error()) {
		t.Errorf("err = %v, want ErrUnable", err)
	}
	h.clock.add(2 * time.Hour)
	h.run("the look is done", h.quiet, w)
}

// When no backup can be as old any more the key of a month is destroyed, the digests
// go with it, the log says so once, and nobody is recognized; what was erased later
// still is.
func TestTheKeysOfOldMonthsAreDestroyed(t *testing.T) {
	h := newHouse(t, "s")
	m := storetest.NewMemory(made("a1", "alice", time.Time{}), made("b1", "bob", time.Time{}))
	e, w := h.watching(kept("s", m))
	first := h.forget("alice")
	h.finish(e, first)
	old := jobs.EpochOf(h.clock.Now())
	h.clock.add(300 * 24 * time.Hour)
	h.finish(e, h.forget("bob"))
	asks := func(who string) bool {
		s, err := w.Suppressed(t.Context(), jobs.ActorLocal, store.Selector{UserID: who})
		if err != nil {
			t.Fatal(err)
		}
		return s != nil
	}
	if !asks("alice") || !asks("bob") || asks("carol") {
		t.Error("before: alice and bob were forgotten, and nobody else")
	}
	stranger := jobs.Actor{ID: "tok-1", Role: jobs.RoleSubmitter}
	if s, err := w.Suppressed(t.Context(), stranger, store.Selector{UserID: "alice"}); err != nil || s == nil || s.Request != "" || s.ErasedAt.IsZero() {
		t.Errorf("to whom it is not his: %+v, %v", s, err)
	}
	h.clock.add(150 * 24 * time.Hour) // the month was over 400 days before
	over := func() bool {
		epochs, err := h.ledger.SuppressionEpochs(t.Context())
		return err == nil && !slices.Contains(epochs, old)
	}
	h.run("the key is destroyed", over, w, w)
	h.run("again", over, w)
	if asks("alice") {
		t.Error("alice is still recognized")
	}
	if !asks("bob") {
		t.Error("bob is not recognized any more")
	}
	if epochs, err := h.ledger.SuppressionEpochs(t.Context()); err != nil || slices.Contains(epochs, old) || len(epochs) != 1 {
		t.Errorf("epochs %v, %v", epochs, err)
	}
	if e, ok := h.logged("suppression/" + old + "/" + proof.KindSuppressionDestroyed).(*proof.SuppressionDestroyed); !ok || e.Epoch != old {
		t.Errorf("the log says %+v", e)
	}
	report, err := h.ledger.Log().Check(t.Context())
	if err != nil || report.Kinds[proof.KindSuppressionDestroyed] != 1 {
		t.Errorf("%d entries, %v", report.Kinds[proof.KindSuppressionDestroyed], err)
	}
}

// No file of ours names whom it forgot, or an ID: not while marks stand, nor after
// something was asked, found and erased again.
func TestMarksNameNobody(t *testing.T) {
	h := newHouse(t, "s")
	before := h.clock.Now().Add(-48 * time.Hour)
	m := storetest.NewMemory(made("canary-id-1", "canary-user", before))
	e, w := h.watching(kept("s", m))
	h.finish(e, h.forget("canary-user"))
	if s, err := w.Suppressed(t.Context(), jobs.ActorLocal, store.Selector{UserID: "canary-user"}); err != nil || s == nil {
		t.Fatalf("%+v, %v", s, err)
	}
	m.Add(made("canary-id-1", "canary-user", before))
	found, err := w.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "s"})
	if err != nil || found.Back != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	h.finish(e, found.Requests[0])
	files := 0
	err = filepath.WalkDir(h.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if files++; bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s names them", filepath.Base(path))
		}
		return err
	})
	if err != nil || files < 3 {
		t.Errorf("%d files, %v", files, err)
	}
}
