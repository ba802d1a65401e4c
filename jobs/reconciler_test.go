package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
)

// A diary is every door of the Reconciler at once; it writes down who was
// called, in order, and answers as it was told.
type diary struct {
	rest  func() bool
	alone bool

	mu    sync.Mutex // of lines
	lines []string
	fails map[string]bool // by line
	waits bool            // the end of a request does, for long

	expired int
	fresh   bool
	overdue []jobs.Ring
	waiting map[jobs.Ring]bool
	stopped []string
	keysDue []string
	ended   []string
	unfiled []string

	late, unconfirmed []string

	requeued map[string]int
}

func (d *diary) note(format string, args ...any) error {
	line := fmt.Sprintf(format, args...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	if d.fails[line] {
		return errors.New("out of order")
	}
	return nil
}

func (d *diary) Expired(context.Context) (int, error) { return d.expired, d.note("expired") }

func (d *diary) Forgotten(_ context.Context, r *jobs.Ring) (int, error) {
	if r == nil {
		return 5, d.note("forgotten all")
	}
	return 1, d.note("forgotten %s/%d", r.ID, r.Epoch)
}

func (d *diary) Overdue(_ context.Context, older time.Duration, _ int) ([]jobs.Ring, error) {
	return d.overdue, d.note("overdue %s", older)
}

func (d *diary) Stopped(context.Context) ([]string, error) { return d.stopped, d.note("stopped") }
func (d *diary) Outlived(context.Context, time.Time, time.Time) (int, error) {
	return 0, d.note("outlived")
}
func (d *diary) KeysDue(context.Context) ([]string, error) { return d.keysDue, d.note("keys due") }

func (d *diary) Late(context.Context) (overdue, unconfirmed []string, err error) {
	return d.late, d.unconfirmed, d.note("late")
}

func (d *diary) Unsealed(_ context.Context, sealed []string) (ended, unfiled []string, err error) {
	return d.ended, d.unfiled, d.note("unsealed %v", sealed)
}

func (d *diary) DropStaged(_ context.Context, id string) error { return d.note("drop staged %s", id) }

func (d *diary) SubjectKeyGone(_ context.Context, id string, e proof.Entry) error {
	return d.note("entry %s", e.ID())
}

func (d *diary) Waiting(_ context.Context, r jobs.Ring) (bool, error) {
	return d.waiting[r], d.note("waiting? %s", r.ID)
}

func (d *diary) Fresh(context.Context) (bool, error) {
	was := d.fresh
	d.fresh = false
	return was, d.note("fresh?")
}

func (d *diary) Create(string) error            { return errors.New("not asked for") }
func (d *diary) Subject(string) ([]byte, error) { return nil, errors.New("not asked for") }
func (d *diary) Secret() []byte                 { return nil }
func (d *diary) DestroySeal(id string) error    { return d.note("destroy seal %s", id) }
func (d *diary) DestroySubject(id string) error { return d.note("destroy subject %s", id) }
func (d *diary) End(ctx context.Context, id string) error {
	if d.waits {
		<-ctx.Done()
	}
	return d.note("end %s", id)
}

// day runs a Reconciler for a while and returns what it did.
func (d *diary) day(t *testing.T, long time.Duration) []string {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d.requeued = map[string]int{}
		r := &jobs.Reconciler{
			Ledger: d, Queue: d, Keys: d, End: d.End, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Sealed: func() ([]string, error) { return []string{"x", "y"}, d.note("sealed") },
			Requeued: func(reason string, n int) {
				d.mu.Lock()
				defer d.mu.Unlock()
				d.requeued[reason] += n
			},
			Rest: d.rest, Alone: d.alone,
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- r.Run(ctx) }()
		time.Sleep(long)
		synctest.Wait()
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return d.lines
}

const once = 100 * time.Millisecond

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	last := -1
	for _, line := range want {
		i := slices.Index(d.lines, line)
		if i <= last {
			t.Errorf("%q is not where it should be in %q", line, d.lines)
		}
		last = i
	}
}

func (d *diary) never(t *testing.T, line string) {
	t.Helper()
	if slices.Contains(d.lines, line) {
		t.Errorf("%q in %q", line, d.lines)
	}
}

func TestAFlushedQueueIsFilledAgainOnce(t *testing.T) {
	d := &diary{fresh: true, expired: 2}
	d.day(t, 3*time.Second)
	n := 0
	for _, line := range d.lines {
		if line == "forgotten all" {
			n++
		}
	}
	if n != 1 || d.requeued[jobs.ReasonFlush] != 5 || d.requeued[jobs.ReasonLease] < 10 {
		t.Errorf("filled %d times; counted %v", n, d.requeued)
	}
}

func TestAForgottenTaskIsRungAgain(t *testing.T) {
	a, b, c := jobs.Ring{ID: "a", Epoch: 1}, jobs.Ring{ID: "b", Epoch: 2}, jobs.Ring{ID: "c", Epoch: 3}
	d := &diary{overdue: []jobs.Ring{a, b, c}, waiting: map[jobs.Ring]bool{b: true}}
	d.day(t, once)
	d.expect(t, "overdue 5s", "waiting? a", "forgotten a/1", "waiting? b", "waiting? c", "forgotten c/3")
	d.never(t, "forgotten b/2")
	d.never(t, "forgotten all")
	if d.requeued[jobs.ReasonForgot] != 2 {
		t.Errorf("counted %v", d.requeued)
	}
}

// The one that marked it may have died before it rang.
func TestWhatWasQueuedAtTheStartIsAskedAfterAtOnceAndOnce(t *testing.T) {
	a := jobs.Ring{ID: "a", Epoch: 1}
	d := &diary{alone: true, overdue: []jobs.Ring{a}}
	d.day(t, 3*time.Second)
	d.expect(t, "overdue 0s", "forgotten a/1", "overdue 5s")
	if n := slices.Index(d.lines, "overdue 5s"); slices.Contains(d.lines[n:], "overdue 0s") {
		t.Errorf("asked again: %q", d.lines)
	}

	deaf := &diary{alone: true, overdue: []jobs.Ring{a}, fails: map[string]bool{"waiting? a": true}}
	deaf.day(t, 3*time.Second)
	deaf.never(t, "overdue 5s") // until the queue has answered
}

func TestAQueueThatDoesNotAnswerForgetsNothing(t *testing.T) {
	d := &diary{overdue: []jobs.Ring{{ID: "a", Epoch: 1}}, stopped: []string{"r1"}, fails: map[string]bool{"waiting? a": true, "fresh?": true}}
	d.day(t, once)
	d.never(t, "forgotten a/1")
	d.never(t, "forgotten all")
	d.expect(t, "expired") // the rest goes on
	d.expect(t, "end r1")
}

// An end waits for the log, for one, which a process kept that has died.
func TestALostTaskIsFoundWhileTheEndOfARequestWaits(t *testing.T) {
	d := &diary{stopped: []string{"r1"}, waits: true, expired: 1}
	d.day(t, 10*time.Second)
	if n := d.requeued[jobs.ReasonLease]; n < 20 {
		t.Errorf("leases were looked at %d times in 10 s", n)
	}
}

func TestStoppedRequestsAreEnded(t *testing.T) {
	d := &diary{stopped: []string{"r1", "r2"}, fails: map[string]bool{"end r1": true}}
	d.day(t, once)
	d.expect(t, "stopped", "end r1", "end r2")
}

// An entry must never say of a key that still exists that it is gone.
func TestAKeyIsDestroyedBeforeItsEntryIsWritten(t *testing.T) {
	d := &diary{keysDue: []string{"r1", "r2", "r3"}, fails: map[string]bool{"destroy subject r2": true}}
	d.day(t, once)
	d.expect(t, "destroy subject r1", "entry "+proof.EntryID("r1", proof.KindSubjectKeyDestroyed), "destroy subject r2",
		"destroy subject r3", "entry "+proof.EntryID("r3", proof.KindSubjectKeyDestroyed))
	d.never(t, "entry "+proof.EntryID("r2", proof.KindSubjectKeyDestroyed))
}

func TestWhatACrashLeftOfKeysIsDestroyed(t *testing.T) {
	d := &diary{ended: []string{"r1"}, unfiled: []string{"u1", "u2"}, fails: map[string]bool{"destroy subject u2": true}}
	d.day(t, once)
	d.expect(t, "sealed", "unsealed [x y]", "drop staged u1", "destroy subject u1", "destroy seal r1", "destroy seal u1")
	d.never(t, "destroy subject r1") // it is kept for its time
	d.never(t, "destroy seal u2")    // else nobody would find the other key again
}

func TestKeysAreSweptEveryMinute(t *testing.T) {
	d := &diary{}
	d.day(t, 3*time.Minute+once)
	sweeps, rounds := 0, 0
	for _, line := range d.lines {
		switch line {
		case "sealed":
			sweeps++
		case "expired":
			rounds++
		}
	}
	if sweeps != 4 || rounds < 300 {
		t.Errorf("%d sweeps and %d rounds in three minutes", sweeps, rounds)
	}
}

func TestNothingIsReconciledAtRest(t *testing.T) {
	d := &diary{rest: func() bool { return true }}
	if did := d.day(t, time.Hour); len(did) > 0 {
		t.Errorf("did %q at rest", did)
	}
	var asked atomic.Int32
	d = &diary{rest: func() bool { return asked.Add(1) < 10 }}
	if did := d.day(t, 2*time.Minute); len(did) == 0 {
		t.Error("did nothing after its rest")
	}
}
