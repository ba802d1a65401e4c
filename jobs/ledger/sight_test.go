package ledger_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"lethe/audit/proof"
	"lethe/jobs"
)

func jane() jobs.Actor    { return jobs.Actor{ID: "tok-jane", Role: jobs.RoleSubmitter} }
func john() jobs.Actor    { return jobs.Actor{ID: "tok-john", Role: jobs.RoleSubmitter} }
func auditor() jobs.Actor { return jobs.Actor{ID: "tok-aud", Role: jobs.RoleAuditor} }

// calls is every call of the book that is about one request.
func (b *book) calls() map[string]func(context.Context, jobs.Actor, string) error {
	in := b.intake
	return map[string]func(context.Context, jobs.Actor, string) error{
		"request": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.Request(ctx, by, id)
			return err
		},
		"certificate": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.Certificate(ctx, by, id)
			return err
		},
		"receipt": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.AcceptedReceipt(ctx, by, id)
			return err
		},
		"reissue": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.Reissue(ctx, by, id, false)
			return err
		},
		"reissue receipt": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.Reissue(ctx, by, id, true)
			return err
		},
		"subject key": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.SubjectKey(ctx, by, id)
			return err
		},
		"memory": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.MemoryProof(ctx, by, id, "m")
			return err
		},
		"cancel": func(ctx context.Context, by jobs.Actor, id string) error {
			_, err := in.Cancel(ctx, by, id)
			return err
		},
	}
}

// Neither by its words nor by what it wraps may an answer tell that a request is
// there which is another's.
func TestAForeignRequestIsAsOneThatIsNotThere(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		filed := b.submitBy(t, jane())
		for name, call := range b.calls() {
			foreign, absent := call(t.Context(), john(), filed.ID), call(t.Context(), john(), uuid.NewString())
			if errors.Is(foreign, jobs.ErrNotFound) && errors.Is(absent, jobs.ErrNotFound) && foreign.Error() != absent.Error() {
				t.Errorf("%s: in other words: foreign %v, absent %v", name, foreign, absent)
			}
			if !errors.Is(foreign, jobs.ErrNotFound) || !errors.Is(absent, jobs.ErrNotFound) || errors.Is(foreign, jobs.ErrTooLate) {
				t.Errorf("%s: foreign %v, absent %v, want ErrNotFound", name, foreign, absent)
			}
			if name != "cancel" {
				if err := call(t.Context(), auditor(), filed.ID); errors.Is(err, jobs.ErrNotFound) && name != "memory" || errors.Is(err, jobs.ErrForbidden) {
					t.Errorf("%s: an auditor gets %v", name, err)
				}
			}
		}
		if got := b.request(t, filed.ID); got.Status != jobs.Received {
			t.Errorf("another's cancelling made it %s", got.Status)
		}
		if _, err := b.intake.Cancel(t.Context(), jane(), filed.ID); err != nil {
			t.Errorf("the own one: %v", err)
		}
	})
}

func (b *book) submitBy(t testing.TB, by jobs.Actor) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: by, Selector: user("u1")})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestASubmittersListIsHisOwn(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		var hers []string
		for range 3 {
			hers = append(hers, b.submitBy(t, jane()).ID)
			b.submitBy(t, john())
		}
		slices.Reverse(hers)
		list := func(by jobs.Actor, limit int) (ids []string) {
			for cursor := ""; ; {
				page, next, err := b.intake.List(t.Context(), by, nil, limit, cursor)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					ids = append(ids, r.ID)
				}
				if cursor = next; cursor == "" {
					return ids
				}
			}
		}
		for _, limit := range []int{1, 2, 100} {
			if d := cmp.Diff(hers, list(jane(), limit)); d != "" {
				t.Errorf("pages of %d (-hers +listed):\n%s", limit, d)
			}
		}
		if n := len(list(auditor(), 100)); n != 6 {
			t.Errorf("an auditor sees %d requests, want 6", n)
		}
		if n := len(list(jobs.Actor{ID: "tok-new", Role: jobs.RoleSubmitter}, 100)); n != 0 {
			t.Errorf("who filed nothing sees %d requests", n)
		}
	})
}

// The book asks by itself what a role may do, whatever a door has asked.
func TestTheBookAsksForTheRole(t *testing.T) {
	b := newBook(t, onSQLite)
	filed := b.submitBy(t, jane())
	for _, by := range []jobs.Actor{{}, auditor(), {ID: "tok-app", Role: jobs.RoleApprover}, {ID: "tok-x", Role: "root"}} {
		_, _, submit := b.intake.Submit(t.Context(), jobs.Submission{By: by, Selector: user("u1")})
		_, cancel := b.intake.Cancel(t.Context(), by, filed.ID)
		for what, err := range map[string]error{"submit": submit, "cancel": cancel} {
			if !errors.Is(err, jobs.ErrForbidden) {
				t.Errorf("%s by %+v: err = %v, want ErrForbidden", what, by, err)
			}
		}
	}
	for name, call := range b.calls() {
		if err := call(t.Context(), jobs.Actor{}, filed.ID); !errors.Is(err, jobs.ErrForbidden) {
			t.Errorf("%s by nobody: err = %v, want ErrForbidden", name, err)
		}
	}
	if n := b.count(t, `requests`); n != 1 || b.request(t, filed.ID).Status != jobs.Received {
		t.Errorf("%d requests, want the one, untouched", n)
	}
}

// A key that another has used neither brings his request nor says that he has
// used it.
func TestIdempotencyKeysArePerActor(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		file := func(by jobs.Actor, body string) (string, bool, error) {
			digest := sha256.Sum256([]byte(body))
			r, replayed, err := b.intake.Submit(t.Context(), jobs.Submission{By: by, Selector: user(body), IdempotencyKey: "key-1", BodyDigest: digest[:]})
			return r.ID, replayed, err
		}
		ids := map[string]bool{}
		for _, by := range []jobs.Actor{jane(), john(), jobs.ActorOpen, jobs.ActorLocal} {
			id, replayed, err := file(by, "u-"+by.ID) // another body: with his key it would be a conflict
			if err != nil || replayed || ids[id] {
				t.Fatalf("%s: %s, replayed %v, %v", by.ID, id, replayed, err)
			}
			ids[id] = true
			if again, replayed, err := file(by, "u-"+by.ID); err != nil || !replayed || again != id {
				t.Errorf("%s again: %s, replayed %v, %v", by.ID, again, replayed, err)
			}
		}
		if _, _, err := file(jane(), "other"); !errors.Is(err, jobs.ErrConflict) {
			t.Errorf("her own key for another body: %v", err)
		}
	})
}

func TestTheLogSaysWhoFiledAndWhoStopped(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		filed := b.submitBy(t, jane())
		if filed.FiledBy != "tok-jane" {
			t.Errorf("filed by %q", filed.FiledBy)
		}
		admin := jobs.Actor{ID: "tok-admin", Role: jobs.RoleAdmin}
		if _, err := b.intake.Cancel(t.Context(), admin, filed.ID); err != nil {
			t.Fatal(err)
		}
		for kind, want := range map[string]string{proof.KindAccepted: `"by":"tok-jane"`, proof.KindCancelled: `"by":"tok-admin"`} {
			text, err := b.Certificate(t.Context(), proof.EntryID(filed.ID, kind))
			if err != nil {
				t.Fatal(err)
			}
			c, err := proof.ParseCertificate(text)
			if err != nil || !strings.Contains(string(c.Entry), want) {
				t.Errorf("%s: no %s, %v\n%s", kind, want, err, c.Entry)
			}
		}
	})
}
