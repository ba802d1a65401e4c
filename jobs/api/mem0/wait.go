package mem0

import (
	"net/http"
	"slices"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// How long to pause between two looks at a request.
const (
	shortPause = 2 * time.Millisecond
	longPause  = 250 * time.Millisecond
)

// wait returns a request as it is once it is verified, or once there is no sense in
// waiting any longer: it waits for somebody itself, or has ended, or the answer is
// due. The request is durable, so whatever the book does not say is no error.
func (d *door) wait(c call, r jobs.Request) jobs.Request {
	began, by := time.Now(), api.ActorOf(c.r)
	for {
		if now, err := d.book.Request(c.r.Context(), by, r.ID); err == nil {
			r = now
		}
		passed := time.Since(began)
		if gone(r) || stuck(r) || passed >= d.patient {
			return r
		}
		pause := min(max(passed/16, shortPause), longPause, d.patient-passed)
		select {
		case <-time.After(pause):
		case <-c.r.Context().Done():
			return r
		case <-d.Closing:
			return r
		}
	}
}

// gone reports whether all that a request selects was read again and is not there,
// in every store.
func gone(r jobs.Request) bool {
	left := func(j jobs.Job) bool {
		verified := j.Stage == jobs.StagePurging || j.Stage == jobs.StageDone
		return !verified || j.Held+j.Refused+j.Exempt+j.Remaining > 0
	}
	return len(r.Jobs) > 0 && !slices.ContainsFunc(r.Jobs, left) && r.Status != jobs.Cancelled && r.Status != jobs.Rejected
}

// stuck reports whether a request goes on only when somebody has done something, or
// has ended.
func stuck(r jobs.Request) bool {
	if r.Status == jobs.AwaitingApproval || r.Status == jobs.Held || r.Status.Ended() {
		return true
	}
	return slices.ContainsFunc(r.Jobs, func(j jobs.Job) bool { return j.Note == jobs.NoteStoreDown })
}

// reason says how far a request is, or why it waits, as a code.
func reason(r jobs.Request) string {
	for _, j := range r.Jobs {
		switch {
		case r.Status == jobs.AwaitingApproval, r.Status == jobs.Held, r.Status.Ended():
		case j.Note != "":
			return j.Note
		}
	}
	return string(r.Status)
}

// told answers for a call that has waited: with done if all is gone.
func told(r jobs.Request, done Deleted) (answer, error) {
	done.EventID = r.ID
	switch {
	case gone(r):
		return answer{http.StatusOK, done}, nil
	case r.Status == jobs.Cancelled, r.Status == jobs.Rejected:
		return answer{}, &refusal{status: http.StatusConflict, text: "the request was " + string(r.Status) + ": its certificate says how far it got", event: r.ID}
	case r.Status == jobs.Completed:
		return answer{}, &refusal{status: http.StatusConflict, text: "a part of the request was refused, the rest is erased: its certificate says what is left and why", event: r.ID}
	}
	return answer{http.StatusAccepted, Deleted{Message: inProgress, EventID: r.ID, Reason: reason(r)}}, nil
}
