package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

var jane = store.Selector{UserID: "jane-doe"}

func TestSubmitSaysWhichFieldIsWrong(t *testing.T) {
	in, _ := newIntake(t)
	const secret = "jane-doe"
	rows := map[string]struct {
		field  string
		change func(*jobs.Submission)
	}{
		"unknown regime":       {"regime", func(s *jobs.Submission) { s.Regime = secret }},
		"regime in capitals":   {"regime", func(s *jobs.Submission) { s.Regime = "GDPR" }},
		"free text as ground":  {"ground", func(s *jobs.Submission) { s.Ground = "because " + secret + " asked" }},
		"unknown store":        {"stores", func(s *jobs.Submission) { s.Stores = []string{"notes", secret} }},
		"store twice":          {"stores", func(s *jobs.Submission) { s.Stores = []string{"notes", "notes"} }},
		"blank store":          {"stores", func(s *jobs.Submission) { s.Stores = []string{""} }},
		"received tomorrow":    {"received_at", func(s *jobs.Submission) { s.ReceivedAt = clock.AddDate(0, 0, 1) }},
		"received in 5m1s":     {"received_at", func(s *jobs.Submission) { s.ReceivedAt = clock.Add(5*time.Minute + time.Second) }},
		"received in 1970":     {"received_at", func(s *jobs.Submission) { s.ReceivedAt = time.Unix(1, 0) }},
		"negative grace":       {"grace", func(s *jobs.Submission) { s.Grace = -1 }},
		"grace of a year":      {"grace", func(s *jobs.Submission) { s.Grace = jobs.MaxGrace + 1 }},
		"long ticket":          {"ticket", func(s *jobs.Submission) { s.Ticket = strings.Repeat(secret, 26) }},
		"ticket of two lines":  {"ticket", func(s *jobs.Submission) { s.Ticket = secret + "\n" }},
		"ticket not UTF-8":     {"ticket", func(s *jobs.Submission) { s.Ticket = secret + "\xff" }},
		"empty selector":       {"selector", func(s *jobs.Submission) { s.Selector = store.Selector{} }},
		"wildcard":             {"selector.user_id", func(s *jobs.Submission) { s.Selector.UserID = "*" }},
		"blank agent":          {"selector.agent_id", func(s *jobs.Submission) { s.Selector.AgentID = " \u200b" }},
		"IDs and a user":       {"selector", func(s *jobs.Submission) { s.Selector.IDs = []string{secret} }},
		"blank ID":             {"selector.ids", func(s *jobs.Submission) { s.Selector = store.Selector{IDs: []string{secret, ""}} }},
		"metadata that is nil": {"selector.metadata", func(s *jobs.Submission) { s.Selector.Metadata = map[string]store.Value{secret: {}} }},
	}
	for name, row := range rows {
		s := jobs.Submission{By: jobs.ActorLocal, Selector: jane}
		row.change(&s)
		_, _, err := in.Submit(t.Context(), s)
		var invalid *jobs.Invalid
		var field *store.FieldError
		got := ""
		switch {
		case errors.As(err, &invalid) && errors.Is(err, jobs.ErrInvalid):
			got = invalid.Field
		case errors.As(err, &field) && errors.Is(err, store.ErrSelector):
			got = field.Field
		}
		if got != row.field {
			t.Errorf("%s: err = %v, want one of %s", name, err, row.field)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats the value: %v", name, err)
		}
	}
	if list, _, err := in.List(t.Context(), jobs.ActorLocal, nil, 10, ""); err != nil || len(list) != 0 {
		t.Errorf("%d requests were filed, %v", len(list), err)
	}
}

func TestSubmitTakesWhatIsJustAllowed(t *testing.T) {
	in, _ := newIntake(t)
	for name, s := range map[string]jobs.Submission{
		"nothing but a user":  {By: jobs.ActorLocal, Selector: jane},
		"skew of five min":    {By: jobs.ActorLocal, Selector: jane, ReceivedAt: clock.Add(5 * time.Minute)},
		"ten years ago":       {By: jobs.ActorLocal, Selector: jane, ReceivedAt: clock.AddDate(-10, 0, 0)},
		"longest grace":       {By: jobs.ActorLocal, Selector: jane, Grace: jobs.MaxGrace},
		"longest ticket":      {By: jobs.ActorLocal, Selector: jane, Ticket: strings.Repeat("é", jobs.MaxTicketBytes/2)},
		"longest ground":      {By: jobs.ActorLocal, Selector: jane, Ground: strings.Repeat("a", 32)},
		"IDs":                 {By: jobs.ActorLocal, Selector: store.Selector{IDs: []string{"a", "b"}}},
		"every store by name": {By: jobs.ActorLocal, Selector: jane, Stores: []string{"notes", "memories"}},
	} {
		r, replayed, err := in.Submit(t.Context(), s)
		if err != nil || replayed {
			t.Errorf("%s: %v, %v", name, replayed, err)
			continue
		}
		if r.Regime != jobs.GDPR || r.DueAt.Before(r.ReceivedAt) || len(r.Jobs) != 2 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// A foreign Staging must not be taken for no IDs at all.
func TestIDsStagedElsewhereAreRefused(t *testing.T) {
	in, _ := newIntake(t)
	other, _ := newIntake(t)
	st, err := other.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Add(t.Context(), []string{"a"}); err != nil {
		t.Fatal(err)
	}
	type wrapped struct{ jobs.Staging }
	for name, s := range map[string]jobs.Submission{
		"wrapped":         {By: jobs.ActorLocal, Staged: wrapped{st}},
		"another book's":  {By: jobs.ActorLocal, Staged: st},
		"with a selector": {By: jobs.ActorLocal, Staged: st, Selector: jane},
	} {
		if r, _, err := in.Submit(t.Context(), s); err == nil {
			t.Errorf("%s: filed as %+v", name, r)
		}
	}
	empty, err := in.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := in.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: empty}); !errors.Is(err, store.ErrSelector) {
		t.Errorf("no IDs: err = %v, want ErrSelector", err)
	}
}

// Whoever has the subject key can open the commitment with the selector that
// was given, whichever way it came.
func TestCommitmentsOpenWithTheCanonicalSelector(t *testing.T) {
	in, l := newIntake(t)
	ids := []string{"b", "a", `q"\é` + "\u2028", "c"}
	unstaged := jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{IDs: ids}, Ticket: "T-1"}
	st, err := in.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range [][]string{ids[:2], {"a"}, {"b", ids[2]}, {}, ids[2:]} {
		if err := st.Add(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	rows := map[string]struct {
		s    jobs.Submission
		text string
	}{
		"unstaged IDs": {unstaged, `{"ids":["b","a","q\"\\é` + "\u2028" + `","c"]}`},
		"staged IDs":   {jobs.Submission{By: jobs.ActorLocal, Staged: st}, `{ "ids" : ["b","a","q\"\\é\u2028","c"]}`},
		"selector":     {jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "u", Metadata: map[string]store.Value{"n": number("1.50"), "b": store.BoolValue(true)}}}, `{"user_id":"u","metadata":{"n":1.5,"b":true}}`},
	}
	for name, row := range rows {
		r, _, err := in.Submit(t.Context(), row.s)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		key, err := in.SubjectKey(t.Context(), jobs.ActorLocal, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		text, err := proof.CanonicalSelector([]byte(row.text))
		if err != nil {
			t.Fatal(err)
		}
		rec, err := l.Record(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if want := proof.SubjectCommitment(key, text); rec.Subject != want {
			t.Errorf("%s: committed to %s, want %s", name, rec.Subject, want)
		}
		if row.s.Ticket != "" && rec.TicketHMAC != proof.TicketDigest(key, row.s.Ticket) {
			t.Errorf("%s: ticket digest %s", name, rec.TicketHMAC)
		}
	}
}

func TestListPagesThroughEverythingOnce(t *testing.T) {
	in, _ := newIntake(t)
	var want []string
	for i := range 7 {
		in.Now = func() time.Time { return clock.Add(time.Duration(i) * time.Millisecond) }
		r, _, err := in.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: fmt.Sprint("u", i)}})
		if err != nil {
			t.Fatal(err)
		}
		if id := uuid.MustParse(r.ID); id.Version() != 7 || !time.Unix(id.Time().UnixTime()).Truncate(time.Millisecond).Equal(in.Now()) {
			t.Errorf("request ID %s is not of the ledger's time", id)
		}
		want = append(want, r.ID)
	}
	if _, err := in.Cancel(t.Context(), jobs.ActorLocal, want[3]); err != nil {
		t.Fatal(err)
	}
	slices.Reverse(want)
	for limit := 1; limit <= 8; limit++ {
		var got []string
		for cursor := ""; ; {
			list, next, err := in.List(t.Context(), jobs.ActorLocal, nil, limit, cursor)
			if err != nil || len(list) > limit {
				t.Fatalf("limit %d: %d, %v", limit, len(list), err)
			}
			for _, r := range list {
				got = append(got, r.ID)
			}
			if cursor = next; cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: got %d requests, want all 7 newest first", limit, len(got))
		}
	}
	list, _, err := in.List(t.Context(), jobs.ActorLocal, []jobs.Status{jobs.Cancelled}, 10, "")
	if err != nil || len(list) != 1 || list[0].ID != want[3] {
		t.Errorf("cancelled: %d, %v", len(list), err)
	}
}

// A fragile ledger panics after it has committed.
type fragile struct{ jobs.Ledger }

func (f fragile) Accept(ctx context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	if _, _, err := f.Ledger.Accept(ctx, a); err != nil {
		return nil, nil, err
	}
	panic("after the commit")
}

// The caller's deferred Discard must not destroy the keys of a request that
// stands: nobody could ever carry it out.
func TestAPanicAfterTheCommitKeepsTheIDs(t *testing.T) {
	in, l := newIntake(t)
	in.Ledger = fragile{l}
	st, err := in.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Add(t.Context(), []string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	func() {
		defer func() { _ = recover() }()
		defer func() {
			if err := st.Discard(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		_, _, err := in.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: st})
		t.Error("submitted: ", err)
	}()
	list, _, err := in.List(t.Context(), jobs.ActorLocal, nil, 10, "")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d requests, %v", len(list), err)
	}
	n := 0
	for ids, err := range l.Staged(t.Context(), list[0].ID) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(ids)
	}
	if n != 2 {
		t.Errorf("%d of 2 IDs are left of a request that stands", n)
	}
}

// Requests are listed by their IDs: also those of one millisecond stand in the
// order in which they were filed, by a clock that is not this machine's.
func TestIDsOfOneMillisecondRise(t *testing.T) {
	in, _ := newIntake(t)
	last := ""
	for i := range 20 {
		r, _, err := in.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: jane})
		if err != nil {
			t.Fatal(err)
		}
		if r.ID <= last {
			t.Errorf("request %d: %s comes after %s", i, r.ID, last)
		}
		last = r.ID
		sec, nsec := uuid.MustParse(r.ID).Time().UnixTime()
		if off := time.Unix(sec, nsec).Sub(clock); off < 0 || off > time.Millisecond {
			t.Errorf("request %d: its ID is %s off the clock", i, off)
		}
	}
}
