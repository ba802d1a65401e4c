package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// bookAttacks come from behind the doors: the book trusts none of them, and asks
// everything again.
func bookAttacks() (list []attack) {
	who := func(role jobs.Role) jobs.Actor { return jobs.Actor{ID: "tok-x", Role: role} }
	bob := func(by jobs.Actor) jobs.Submission {
		return jobs.Submission{By: by, Origin: jobs.OriginAPI, Selector: store.Selector{UserID: "bob"}}
	}
	file := func(change func(*jobs.Submission, string)) func(context.Context, *service, *strings.Replacer) error {
		return func(ctx context.Context, s *service, words *strings.Replacer) error {
			sub := bob(who(jobs.RoleSubmitter))
			change(&sub, words.Replace("{canary}"))
			_, _, err := s.intake.Submit(ctx, sub)
			return err
		}
	}
	on := func(id string, do func(*jobs.Intake, context.Context, string) error) func(context.Context, *service, *strings.Replacer) error {
		return func(ctx context.Context, s *service, words *strings.Replacer) error {
			return do(s.intake, ctx, words.Replace(id))
		}
	}
	add := func(name string, is error, book func(context.Context, *service, *strings.Replacer) error) {
		list = append(list, attack{name: name, book: book, is: is, want: "refused"})
	}
	add("a store that there is not", jobs.ErrInvalid, file(func(s *jobs.Submission, canary string) { s.Stores = []string{canary} }))
	add("everything", store.ErrSelector, file(func(s *jobs.Submission, _ string) { s.Selector = store.Selector{} }))
	add("a wildcard", store.ErrSelector, file(func(s *jobs.Submission, _ string) { s.Selector.UserID = "%" }))
	add("a name with lines", store.ErrSelector, file(func(s *jobs.Submission, canary string) { s.Selector.UserID = canary + "\r\n" }))
	add("a ticket with ANSI", jobs.ErrInvalid, file(func(s *jobs.Submission, canary string) { s.Ticket = "\x1b" + canary }))
	add("a webhook inside", jobs.ErrInvalid, file(func(s *jobs.Submission, canary string) { s.NotifyURL = "https://10.0.0.1/" + canary }))
	add("a regime that there is not", jobs.ErrInvalid, file(func(s *jobs.Submission, canary string) { s.Regime = canary }))
	for _, role := range []jobs.Role{jobs.RoleApprover, jobs.RoleAuditor, "", "root"} {
		add(fmt.Sprintf("to file as %q", role), jobs.ErrForbidden, file(func(s *jobs.Submission, _ string) { s.By.Role = role }))
	}
	add("to file as nobody", jobs.ErrForbidden, file(func(s *jobs.Submission, _ string) { s.By.ID = "" }))
	add("to cancel another's", jobs.ErrNotFound, on("{graced}", func(in *jobs.Intake, ctx context.Context, id string) error {
		_, err := in.Cancel(ctx, who(jobs.RoleSubmitter), id)
		return err
	}))
	add("to read another's key", jobs.ErrNotFound, on("{done}", func(in *jobs.Intake, ctx context.Context, id string) error {
		_, err := in.SubjectKey(ctx, who(jobs.RoleSubmitter), id)
		return err
	}))
	add("to approve as submitter", jobs.ErrForbidden, on("{waiting} {hash}", func(in *jobs.Intake, ctx context.Context, both string) error {
		id, hash, _ := strings.Cut(both, " ")
		_, err := in.Approve(ctx, who(jobs.RoleSubmitter), id, hash)
		return err
	}))
	add("to approve what one has filed", jobs.ErrSelfApproval, on("{own} {own hash} {id of admin}", func(in *jobs.Intake, ctx context.Context, all string) error {
		part := strings.Fields(all)
		_, err := in.Approve(ctx, jobs.Actor{ID: part[2], Role: jobs.RoleAdmin}, part[0], part[1])
		return err
	}))
	add("to approve another plan", jobs.ErrPlanChanged, on("{waiting} {own hash}", func(in *jobs.Intake, ctx context.Context, both string) error {
		id, hash, _ := strings.Cut(both, " ")
		_, err := in.Approve(ctx, who(jobs.RoleApprover), id, hash)
		return err
	}))
	add("to make a token as approver", jobs.ErrForbidden, func(ctx context.Context, s *service, _ *strings.Replacer) error {
		_, _, err := s.ledger.CreateToken(ctx, who(jobs.RoleApprover), jobs.TokenOrder{Name: "n", Role: jobs.RoleAdmin})
		return err
	})
	add("to release a hold as auditor", jobs.ErrForbidden, func(ctx context.Context, s *service, words *strings.Replacer) error {
		_, err := s.holds.ReleaseHold(ctx, words.Replace("{hold}"), "released", who(jobs.RoleAuditor))
		return err
	})
	return list
}

// behind makes an attack on the book itself.
func (w *target) behind(t *testing.T, a attack, words *strings.Replacer) (answer, string) {
	t.Helper()
	err := a.book(t.Context(), w.s, words)
	if err == nil {
		return answer{}, "let in"
	}
	if !errors.Is(err, a.is) {
		t.Errorf("%v, want %v", err, a.is)
	}
	return answer{body: err.Error()}, "refused"
}

// forReal files what looks like an instruction, and lets it be carried out: it
// selects nobody, and nothing is erased.
func (w *target) forReal(t *testing.T) {
	t.Helper()
	before := w.memories(t)
	var ids []string
	n := 0
	for _, a := range literalSelectors() {
		if strings.HasPrefix(a.name, "ids: ") {
			continue // ask for rows by their IDs, and are certified as missing
		}
		n++
		body := strings.ReplaceAll(a.body, "{canary}", fmt.Sprintf("kanari%dy", n))
		got := w.ask(t, fileRequest, "submitter", "", body)
		if got.status != 202 {
			t.Errorf("%s: %d %s", a.name, got.status, got.body)
			continue
		}
		_, id, _ := strings.Cut(got.body, `{"id":"`)
		ids = append(ids, id[:36])
	}
	for _, id := range ids {
		r := w.wait(t, id, func(r api.Request) bool { return r.Status.Ended() || r.Status == jobs.AwaitingApproval })
		if r.Status != jobs.Completed || r.Stores[0].Found+r.Stores[0].Erased > 0 {
			t.Errorf("%s: %s, %+v", id, r.Status, r.Stores)
		}
	}
	if after := w.memories(t); after != before {
		t.Errorf("MEMORIES HAVE CHANGED: %s", difference(before, after))
	}
	w.quiet(t, "kanari")
	t.Logf("%d of them were filed for real as well, and erased nothing", n)
}

// keyOfAnother files with a key that another has used: it replays nothing of hers.
func (w *target) keyOfAnother(t *testing.T) {
	t.Helper()
	got := w.ask(t, fileRequest, "other", "Idempotency-Key: a key of hers\r\n", `{"selector":{"user_id":"nobody"}}`)
	if got.status != 202 || strings.Contains(got.head, "Idempotent-Replayed") || strings.Contains(got.body, strings.NewReplacer(w.words...).Replace("{graced}")) {
		t.Errorf("the key of another is answered with %d %s", got.status, got.body)
	}
}

// guesses sends bad tokens again and again from one address: it is slowed down,
// and nobody else is.
func (w *target) guesses(t *testing.T) {
	t.Helper()
	from := attack{from: 1}
	var last answer
	for i := 0; i < 40 && last.status != 429; i++ {
		last = w.exchange(t, from, w.call("GET /v1/requests", "forged", "", ""))
	}
	if last.status != 429 || !strings.Contains(last.head, "Retry-After: ") {
		t.Errorf("40 guesses are answered with %d", last.status)
	}
	begun := time.Now()
	if good := w.exchange(t, from, w.call("GET /v1/requests", "auditor", "", "")); good.status != 200 && time.Since(begun) < time.Minute {
		t.Errorf("a good token from there: %d", good.status)
	}
}
