package proof

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// A report is text in two columns: a word and what is to be said of it.
type report struct {
	b    strings.Builder
	when Time // the operator's time, once the entry has said it
}

func (r *report) line(word, format string, args ...any) {
	fmt.Fprintf(&r.b, "  %-10s %s\n", word, fmt.Sprintf(format, args...))
}

// String returns what Write writes.
func (r *Result) String() string {
	var p report
	r.Entry.report(&p)
	r.reportTimes(&p)
	p.line("log", "%s, entry %d of %d, key %08x", r.Head.Origin, r.Index, r.Head.Size, r.Head.KeyID)
	if len(r.Head.Others) > 0 {
		p.line("unchecked", "signatures of %s: no key given for them", strings.Join(r.Head.Others, ", "))
	}
	r.reportWitnesses(&p)
	p.line("proves", "%s", r.proves())
	return p.b.String()
}

// reportTimes goes on where the entry has ended, with the operator's time, and
// keeps the others apart: whose word each of them is.
func (r *Result) reportTimes(p *report) {
	if t := At(r.Head.At); t != 0 {
		p.line("", "log says %s, which is the operator's word too", t)
	}
	for _, w := range r.Head.Witnesses {
		p.line("", "witnessed no later than %s by %s", At(w.At), legible(w.Name))
	}
	if len(r.Head.Witnesses) == 0 {
		p.line("", "no independent time")
	}
	r.reportDoubt(p)
}

// clockSlack is how many seconds clocks may be apart before it is said.
const clockSlack = 60

// reportDoubt says so if the entry was signed or seen before the time that it
// says it was made at: it speaks of what had not happened yet, or a clock is
// wrong. That is no refusal, for whose clock it is nobody can tell.
func (r *Result) reportDoubt(p *report) {
	early := func(t time.Time) bool { return !t.IsZero() && At(t) < p.when-clockSlack }
	for _, w := range r.Head.Witnesses {
		if early(w.At) {
			p.line("DOUBT", "%s saw the entry before the operator's time for it: one of these times is wrong", legible(w.Name))
		}
	}
	if early(r.Head.At) {
		p.line("DOUBT", "the log signed the entry before the operator's time for it: the operator contradicts himself")
	}
}

func (r *Result) reportWitnesses(p *report) {
	word := "witnesses"
	for _, w := range r.Head.Witnesses {
		p.line(word, "%s: %s, key %08x", legible(w.Name), w.Key.Name(), w.Key.KeyHash())
		word = ""
	}
	met, missing := r.Witnessed()
	switch {
	case !met:
		p.line("quorum", "NOT met: %s", missing)
	case r.policy.AsksForWitnesses():
		p.line("quorum", "met: %s", legible(r.policy.quorum))
	case word != "":
		p.line(word, "none asked for, none checked")
	default:
		p.line("quorum", "none asked for")
	}
}

// proves says in one line what follows from the certificate, and what does not.
// Nobody's seeing a head makes the statement in the log true.
func (r *Result) proves() string {
	const statement = "the operator committed to this statement"
	const not = "not that it is true, and not that no copy exists elsewhere"
	if len(r.Head.Witnesses) == 0 {
		return statement + "; " + not + "; no independent time; the operator could show others a different history"
	}
	var names []string
	for _, w := range r.Head.Witnesses {
		names = append(names, legible(w.Name))
	}
	last := r.Head.Witnesses[len(names)-1].At
	seen := statement + ", and " + enumerate(names) + " saw the log with it by " + At(last).String()
	if met, _ := r.Witnessed(); !met {
		return seen + ", which is fewer than your policy asks for; " + not
	}
	return seen + "; " + not
}

func enumerate(names []string) string {
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " and " + names[n]
	}
	return names[0]
}

// Write writes the certificate for people: what was erased where and how that
// was seen, what was left, and what this proves. It says nothing that the
// entry does not, and names of the file's making are limited to characters
// that cannot upset a terminal.
func (r *Result) Write(w io.Writer) error {
	_, err := io.WriteString(w, r.String())
	return err
}

func (t *Terms) report(p *report) {
	law := t.Regime
	if t.Ground != "" {
		law += ", ground " + t.Ground
	}
	p.line("request", "%s under %s", t.RequestID, law)
	p.line("asked", "%s, accepted %s, due %s", t.ReceivedAt, t.AcceptedAt, t.DueAt)
	p.line("subject", "%s", t.Subject)
	if t.Ticket != "" {
		p.line("ticket", "%s", t.Ticket)
	}
}

// when comes last in an entry's report: the result goes on with the times that
// others say.
func when(p *report, t Time) {
	p.when = t
	p.line("when", "operator says %s", t)
}

func (a *Accepted) report(p *report) {
	p.line("accepted", "a request to erase; this is NOT an erasure")
	if a.Selector == SelectsIDs {
		p.line("selects", "%d explicit IDs", a.IDs)
	} else {
		p.line("selects", "everything the subject's keys match")
	}
	p.line("stores", "%s", strings.Join(a.Stores, ", "))
	a.Terms.report(p)
	if a.By != "" {
		p.line("filed by", "%s", a.By)
	}
	when(p, a.AcceptedAt)
}

func (e *Completed) report(p *report) {
	var requested, erased, absent, held int
	for _, s := range e.Stores {
		requested, erased = requested+s.Requested, erased+s.Erased
		absent, held = absent+s.Absent, held+s.Held
	}
	p.line("erased", "%d of %d IDs (%d were already absent, %d held), %s", erased, requested, absent, held, counted(e.Batches, "batch", "batches"))
	if held > 0 {
		p.line("NOT erased", "%d IDs that a legal hold forbids to erase", held)
	}
	for _, x := range e.Exemptions {
		x.report(p)
	}
	for _, s := range e.Stores {
		s.report(p, e.exempts(s.Name))
	}
	for _, x := range e.Exclusions {
		p.line("excluded", "%s%s", x, e.meaning(x))
	}
	e.Terms.report(p)
	p.line("plan", "%s, made %s", e.PlanHash, e.PlannedAt)
	switch {
	case e.ApprovedBy != "" && e.ApprovedAt != 0:
		p.line("approved", "by %s, %s", e.ApprovedBy, e.ApprovedAt)
	case e.ApprovedBy != "":
		p.line("approved", "by %s", e.ApprovedBy)
	}
	p.line("receipts", "%s", e.BatchesRoot)
	when(p, e.CompletedAt)
}

func (s *StoreProof) report(p *report, exempt bool) {
	p.line("store", "%s (%s): %d erased, %d absent, %d held, %d remaining, in %s",
		s.Name, s.StoreKind, s.Erased, s.Absent, s.Held, s.Remaining, counted(s.Rounds, "round", "rounds"))
	for i := range s.Places {
		s.Places[i].report(p)
	}
	left := "nothing left"
	switch {
	case s.Held > 0 && exempt:
		left = "nothing left but what is held and what was refused"
	case s.Held > 0:
		left = "nothing left but what is held"
	case exempt:
		left = "nothing left but what was refused"
	}
	if s.Evidence == EvidenceErased {
		p.line("", "erased, by the store's own word: it shows no more of it (%s, %s), %s to see", s.Method, s.VerifiedAt, left)
		p.line("", "NOT verified: the store keeps what it does not show; see what is excluded as residue")
	} else {
		p.line("", "verified: read again (%s, %s), %s", s.Method, s.VerifiedAt, left)
	}
	switch {
	case s.rewritten():
		p.line("", "purged: the tables rewritten; of their pages, those of indexes and those written since aside, each was read: nothing but rows (%s)", s.PurgedAt)
	case s.unseen():
		p.line("", "not purged: the tables were rewritten, but the server did not let their files be read; bytes may be left")
	case s.Evidence == EvidencePurged:
		p.line("", "purged: the store's files rewritten, no free page or journal left in them (%s)", s.PurgedAt)
	default:
		p.line("", "not purged: bytes may be left in the store's files")
	}
	if s.Unattributable > 0 {
		p.line("", "left alone: %d rows that nothing ties to anyone", s.Unattributable)
	}
}

func (e *Cancelled) report(p *report) {
	p.line("cancelled", "this is NOT a completed erasure")
	for _, s := range e.Stores {
		p.line("store", "%s (%s): %d of %d erased when it stopped, %d absent, %d held, %d refused; %d of %s done",
			s.Name, s.StoreKind, s.Erased, s.Requested, s.Absent, s.Held, s.Refused, s.BatchesDone, counted(s.Batches, "batch", "batches"))
		if s.Remaining != nil {
			p.line("", "remaining: %d", *s.Remaining)
		} else {
			p.line("", "remaining: not looked at")
		}
	}
	e.Terms.report(p)
	if e.By != "" {
		p.line("stopped by", "%s", e.By)
	}
	p.line("receipts", "%s", e.BatchesRoot)
	when(p, e.CancelledAt)
}

func (e *SubjectKeyDestroyed) report(p *report) {
	p.line("destroyed", "the operator's copy of the subject key of request %s", e.RequestID)
	when(p, e.DestroyedAt)
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
