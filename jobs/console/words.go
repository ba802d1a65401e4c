package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// words are the functions of the templates.
func words() template.FuncMap {
	return template.FuncMap{
		"stamp":    func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") },
		"machine":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"deadline": deadline, "urgency": urgency,
		"status": statusWords, "regime": regimeWords, "ground": groundWords, "stage": stageWords, "shown": shownWords,
		"waits": waits, "note": noteWords, "count": count, "number": number,
		"short": func(id string) string { return id[:min(len(id), 13)] },
		"sum":   sum, "excess": excess,
		"hold": holdWords, "sweep": sweepWords,
		"length": func(d time.Duration) string { return span(d) },
	}
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// number groups digits by thousands.
func number(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// span writes a length of time in its largest whole unit.
func span(d time.Duration) string {
	switch d = d.Abs(); {
	case d >= 48*time.Hour:
		return count(int(d/(24*time.Hour)), "day", "days")
	case d >= 2*time.Hour:
		return count(int(d/time.Hour), "hour", "hours")
	case d >= time.Minute:
		return count(int(d/time.Minute), "minute", "minutes")
	}
	return "less than a minute"
}

// deadline says when due is, or how an ended request kept it.
func deadline(now time.Time, r jobs.Request) string {
	switch {
	case r.CompletedAt != nil && r.CompletedAt.After(r.DueAt):
		return "ended " + span(r.CompletedAt.Sub(r.DueAt)) + " late"
	case r.CompletedAt != nil:
		return "ended in time"
	case now.After(r.DueAt):
		return "overdue by " + span(now.Sub(r.DueAt))
	}
	return "in " + span(r.DueAt.Sub(now))
}

// urgency is the class of a deadline; the words say the same.
func urgency(now time.Time, r jobs.Request) string {
	left := r.DueAt.Sub(now)
	switch {
	case r.Status.Ended():
		return "past"
	case left < 0:
		return "overdue"
	case left < 7*24*time.Hour:
		return "soon"
	}
	return "calm"
}

func statusWords(s jobs.Status) string {
	if w, ok := map[jobs.Status]string{
		jobs.Received: "Received", jobs.Planning: "Counting", jobs.AwaitingApproval: "Waits for approval", jobs.Waiting: "In its grace period",
		jobs.Erasing: "Erasing", jobs.Verifying: "Reading again", jobs.Held: "Held by a legal hold",
		jobs.Completed: "Completed", jobs.Cancelled: "Cancelled", jobs.Rejected: "Rejected",
	}[s]; ok {
		return w
	}
	return string(s)
}

func stageWords(s jobs.Stage) string {
	if w, ok := map[jobs.Stage]string{
		jobs.StagePlanning: "counting", jobs.StageErasing: "erasing", jobs.StageVerifying: "reading again",
		jobs.StagePurging: "waits until the files are purged", jobs.StageDone: "done",
	}[s]; ok {
		return w
	}
	return string(s)
}

// shownWords says what has been shown of a job. What a store that is done says of
// itself is all that there will be.
func shownWords(j jobs.Job) string {
	if j.Stage == jobs.StageDone && j.Evidence == store.EvidenceErased {
		return evidenceWords(j.Evidence) + "; it keeps what it does not show, as the certificate says"
	}
	return evidenceWords(j.Evidence)
}

func evidenceWords(e store.Evidence) string {
	if w, ok := map[store.Evidence]string{
		store.EvidenceNone: "nothing shown yet", store.EvidenceErased: "the store says it is erased",
		store.EvidenceVerified: "read again, nothing left", store.EvidencePurged: "read again, and no bytes left in the store's files",
	}[e]; ok {
		return w
	}
	return "nothing shown yet"
}

// waits says in plain words what a request waits for, and who must act.
func waits(now time.Time, r jobs.Request) string {
	switch r.Status {
	case jobs.Received, jobs.Planning:
		return "Lethe is counting what there is to erase. Nothing has been erased yet, and nobody has to do anything."
	case jobs.AwaitingApproval:
		return "The plan is larger than one person may decide. A second person has to look at the counts, and approve or reject them. Nothing is erased before."
	case jobs.Waiting:
		if r.NotBefore.After(now) {
			return "Its grace period ends in " + span(r.NotBefore.Sub(now)) + ". Nothing is touched before, and it can be cancelled."
		}
		return "Its grace period has ended. It begins now."
	case jobs.Held:
		return "A legal hold forbids erasing a part of it. The rest is erased. It goes on by itself once the hold is released or ends."
	case jobs.Erasing:
		return "Lethe is erasing. It is safe to close this page."
	case jobs.Verifying:
		return "Lethe reads the stores again, by another path than the one that erased, and purges their files. It is safe to close this page."
	case jobs.Completed:
		return "All that was found is erased, and the stores were read again. The certificate says how far that goes, and what it does not cover."
	case jobs.Cancelled:
		return "It was cancelled. What had been erased before is in the table, and in the certificate."
	case jobs.Rejected:
		return "A second person rejected it. Nothing more is erased."
	}
	return ""
}

// excess says one reason why a second person has to look at a plan.
func excess(x jobs.Excess) string {
	where := "all stores together"
	if x.Store != "" {
		where = "store " + x.Store
	}
	if x.Place != "" {
		where = x.Place + " of " + where
	}
	switch x.Code {
	case jobs.BeyondAlways:
		return "Every plan has to be approved here."
	case jobs.BeyondRows:
		return "It would erase " + count(x.Found, "row", "rows") + " of " + where + "; without approval it may be " + number(x.Of) + "."
	case jobs.BeyondFraction:
		return "It would erase " + number(x.Found) + " of the " + count(x.Of, "row", "rows") + " that " + where + " has."
	case jobs.BeyondDrifted:
		return "What is in " + where + " is not what had been approved: it was planned anew."
	case jobs.BeyondResidue:
		return "While " + where + " was read again, more was found than had been approved."
	case jobs.BeyondUnusual:
		return "It would erase " + count(x.Found, "row", "rows") + " of " + where + ", many times what sweeps of this policy usually find."
	}
	return x.Code
}

// noteWords says why a store waits.
func noteWords(code string) string {
	if w, ok := map[string]string{
		"":                     "",
		jobs.NoteStoreDown:     "The store is down. It goes on by itself once the store is back.",
		"store-busy":           "The store is busy. Lethe tries again by itself.",
		"store-error":          "The store answered with an error. Lethe tries again by itself; if this stays, whoever runs the store should look.",
		"store-broken":         "The store's files look broken. Whoever runs the store has to act.",
		"store-refused":        "The store refuses, and no retry will mend it. Whoever runs the store has to act.",
		"store-not-configured": "The store is not in the configuration of Lethe any more. Whoever runs Lethe has to act.",
		"schema":               "The store has a table or column that is not in its data map. Whoever runs Lethe has to map or waive it.",
		"purge-window":         "It waits for the hours in which the store may be purged.",
		jobs.NoteDrifted:       "What there is to erase had changed when its turn came. It is planned anew.",
		"purge-rest":           "The store was purged a short time ago, and rests.",
	}[code]; ok {
		return w
	}
	return "It waits: " + code + "."
}

func regimeWords(code string) string {
	switch code {
	case jobs.GDPR:
		return "GDPR: one month from receipt (Art. 12(3))"
	case jobs.CCPA:
		return "CCPA: 45 days from receipt (§ 1798.130(a)(2))"
	}
	return code
}

// grounds are those of the GDPR; any other code may be typed.
func grounds() []choice {
	return []choice{
		{"art17-1-a", "GDPR Art. 17(1)(a): no longer necessary"},
		{"art17-1-b", "GDPR Art. 17(1)(b): consent withdrawn"},
		{"art17-1-c", "GDPR Art. 17(1)(c): objection"},
		{"art17-1-d", "GDPR Art. 17(1)(d): unlawfully processed"},
		{"art17-1-e", "GDPR Art. 17(1)(e): legal obligation to erase"},
		{"art17-1-f", "GDPR Art. 17(1)(f): collected from a child"},
	}
}

func groundWords(code string) string {
	for _, g := range grounds() {
		if g.Value == code {
			return g.Words
		}
	}
	if code == "" {
		return "not given"
	}
	return code
}

func holdWords(state string) string {
	return strings.ToUpper(state[:min(1, len(state))]) + state[min(1, len(state)):]
}

// remark is what a page says of what was just done.
func remark(code string) string {
	return map[string]string{
		"filed":     "The request was filed.",
		"cancelled": "The request is cancelled, or stops before its next batch.",
		"approved":  "You approved the plan.",
		"rejected":  "You rejected the request.",
		"held":      "The hold stands: from now on nothing that it matches is erased.",
		"placing":   "The hold is being placed: what has begun before it may still be erased, and nothing else that it matches. It is in force once the list says active.",
		"released":  "The hold is released.",
	}[code]
}

// A total is a request's figures over all its stores.
type total struct {
	Found, Settled, Erased, Held, Refused, Absent int
	Percent                                       string
}

// sum adds up the stores of a request. What is settled will not change by
// erasing: it is erased, held or refused.
func sum(r jobs.Request) total {
	var t total
	for _, j := range r.Jobs {
		t.Found += j.Found
		t.Erased += j.Erased
		t.Held += j.Held
		t.Refused += j.Refused
		t.Absent += j.Absent
		t.Settled += min(j.Found, j.Erased+j.Held+j.Refused)
	}
	if t.Found > 0 {
		t.Percent = fmt.Sprintf("%d %%", t.Settled*100/t.Found)
	}
	return t
}
