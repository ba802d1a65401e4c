package mem0_test

import (
	"testing"
	"testing/synctest"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

const one = "DELETE /mem0/v1/memories/" + known + "/"

func waits(reason string) string {
	return `{"message":"Delete in progress. This may take some time.","event_id":"{event}","reason":"` + reason + `"}`
}

// Success is said of what is verified in every store, and of nothing else.
func TestSuccessIsSaidOfWhatIsVerified(t *testing.T) {
	const deleted = `{"message":"Memory deleted successfully!","event_id":"{event}"}`
	for _, c := range []struct {
		name   string
		then   func(*jobs.Request)
		status int
		want   string
		at     time.Duration // how long it waited
	}{
		{"purging", verified, 200, deleted, 0},
		{"done", func(r *jobs.Request) { verified(r); r.Status, r.Jobs[0].Stage = jobs.Completed, jobs.StageDone }, 200, deleted, 0},
		{"done, erased at most", func(r *jobs.Request) {
			verified(r)
			r.Status, r.Jobs[0].Stage, r.Jobs[0].Evidence = jobs.Completed, jobs.StageDone, store.EvidenceErased
		}, 200, deleted, 0},
		{"erased and not verified", func(r *jobs.Request) { r.Status, r.Jobs[0].Stage = jobs.Verifying, jobs.StageVerifying }, 202, waits("verifying"), 10 * time.Second},
		{"one store of two", func(r *jobs.Request) {
			verified(r)
			r.Status, r.Jobs = jobs.Erasing, append(r.Jobs[:1:1], jobs.Job{Stage: jobs.StageErasing})
		}, 202, waits("erasing"), 10 * time.Second},
		{"the store refuses", func(r *jobs.Request) {
			r.Status, r.Jobs[0].Stage, r.Jobs[0].Note = jobs.Erasing, jobs.StageErasing, "store-refused"
		}, 202, waits("store-refused"), 10 * time.Second},
		{"for an approval", func(r *jobs.Request) { r.Status = jobs.AwaitingApproval }, 202, waits("awaiting_approval"), 0},
		{"held", func(r *jobs.Request) { r.Status = jobs.Held }, 202, waits("held"), 0},
		{"the store is down", func(r *jobs.Request) { r.Status, r.Jobs[0].Note = jobs.Planning, jobs.NoteStoreDown }, 202, waits("store-down"), 0},
		{"a part is held", func(r *jobs.Request) { verified(r); r.Jobs[0].Held = 1 }, 202, waits("verifying"), 10 * time.Second},
		{"a part is refused", func(r *jobs.Request) {
			verified(r)
			r.Status, r.Jobs[0].Stage, r.Jobs[0].Exempt = jobs.Completed, jobs.StageDone, 1
		}, 409, `{"error":"a part of the request was refused, the rest is erased: its certificate says what is left and why","event_id":"{event}"}`, 0},
		{"cancelled", func(r *jobs.Request) { verified(r); r.Status = jobs.Cancelled }, 409, `{"error":"the request was cancelled: its certificate says how far it got","event_id":"{event}"}`, 0},
		{"rejected", func(r *jobs.Request) { r.Status = jobs.Rejected }, 409, `{"error":"the request was rejected: its certificate says how far it got","event_id":"{event}"}`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := open(t)
				h.then = c.then
				began := time.Now()
				h.wants(one, "", c.status, c.want)
				if waited := time.Since(began); waited != c.at {
					t.Errorf("it waited %s, want %s", waited, c.at)
				}
			})
		})
	}
}

// An answer comes soon after the erasure is verified, and a long wait asks the book
// seldom.
func TestAnAnswerComesSoonAfterItIsVerified(t *testing.T) {
	for _, after := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			h := open(t)
			began := time.Now()
			h.then = func(r *jobs.Request) {
				if time.Since(began) >= after {
					verified(r)
				}
			}
			h.wants(one, "", 200, `{"message":"Memory deleted successfully!","event_id":"{event}"}`)
			if late := time.Since(began) - after; late > max(after/16, 2*time.Millisecond) {
				t.Errorf("verified after %s, answered %s later", after, late)
			}
			if h.looks > 120 {
				t.Errorf("the book was asked %d times", h.looks)
			}
		})
	}
}

// If a store is down nobody can say whether a memory is there: it is filed, and the
// answer is not success.
func TestAStoreThatIsDownIsWaitedForWithoutTheClient(t *testing.T) {
	h := open(t)
	h.down = true
	h.then = func(r *jobs.Request) { r.Jobs[0].Note = jobs.NoteStoreDown }
	h.wants("DELETE /mem0/v1/memories/"+unknown+"/", "", 202, waits("store-down"))
	if len(h.filed) != 1 {
		t.Errorf("%d requests, want 1", len(h.filed))
	}
}

// A service that stops does not wait for what it is asked.
func TestClosingEndsTheWait(t *testing.T) {
	closing := make(chan struct{})
	close(closing)
	h := open(t, func(o *api.Options) { o.Closing = closing })
	h.then = func(r *jobs.Request) { r.Status = jobs.Erasing }
	h.wants(one, "", 202, waits("erasing"))
}
