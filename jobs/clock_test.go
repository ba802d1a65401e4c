package jobs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
)

func TestDueAt(t *testing.T) {
	rows := []struct{ regime, received, due string }{
		{jobs.GDPR, "2026-01-15T10:30:00Z", "2026-02-15T10:30:00Z"},
		{jobs.GDPR, "2026-01-28T00:00:00Z", "2026-02-28T00:00:00Z"},
		{jobs.GDPR, "2026-01-29T12:00:00Z", "2026-02-28T12:00:00Z"},
		{jobs.GDPR, "2026-01-30T12:00:00Z", "2026-02-28T12:00:00Z"},
		{jobs.GDPR, "2026-01-31T23:59:59Z", "2026-02-28T23:59:59Z"},
		{jobs.GDPR, "2028-01-29T12:00:00Z", "2028-02-29T12:00:00Z"},
		{jobs.GDPR, "2028-01-31T12:00:00Z", "2028-02-29T12:00:00Z"},
		{jobs.GDPR, "2000-01-31T12:00:00Z", "2000-02-29T12:00:00Z"},
		{jobs.GDPR, "2100-01-31T12:00:00Z", "2100-02-28T12:00:00Z"},
		{jobs.GDPR, "2028-02-29T12:00:00Z", "2028-03-29T12:00:00Z"},
		{jobs.GDPR, "2026-02-28T12:00:00Z", "2026-03-28T12:00:00Z"},
		{jobs.GDPR, "2026-03-31T12:00:00Z", "2026-04-30T12:00:00Z"},
		{jobs.GDPR, "2026-04-30T12:00:00Z", "2026-05-30T12:00:00Z"},
		{jobs.GDPR, "2026-08-31T12:00:00Z", "2026-09-30T12:00:00Z"},
		{jobs.GDPR, "2026-12-31T12:00:00Z", "2027-01-31T12:00:00Z"},
		{jobs.GDPR, "2027-01-01T00:30:00+02:00", "2027-01-31T22:30:00Z"}, // 31 December in UTC
		{jobs.CCPA, "2026-01-01T00:00:00Z", "2026-02-15T00:00:00Z"},
		{jobs.CCPA, "2028-01-31T08:00:00Z", "2028-03-16T08:00:00Z"},
		{jobs.CCPA, "2026-12-01T08:00:00Z", "2027-01-15T08:00:00Z"},
	}
	for _, row := range rows {
		received, err := time.Parse(time.RFC3339, row.received)
		if err != nil {
			t.Fatal(err)
		}
		due, ok := jobs.DueAt(row.regime, received)
		if got := due.Format(time.RFC3339); !ok || got != row.due {
			t.Errorf("%s, received %s: due %s, want %s", row.regime, row.received, got, row.due)
		}
	}
	for _, regime := range []string{"", "GDPR", "gdpr ", "lgpd"} {
		if _, ok := jobs.DueAt(regime, time.Now()); ok {
			t.Errorf("regime %q is known", regime)
		}
	}
}

// One month is never less than the shortest and never more than the longest,
// and who asks later is never due earlier.
func TestDueAtNeverRunsOverAMonth(t *testing.T) {
	const day = 24 * time.Hour
	var last time.Time
	for d := range 366 * 8 {
		received := time.Date(2026, 1, 1, 23, 59, 59, 0, time.UTC).AddDate(0, 0, d)
		due, _ := jobs.DueAt(jobs.GDPR, received)
		months := int(due.Month()) - int(received.Month()) + 12*(due.Year()-received.Year())
		if took := due.Sub(received); took < 28*day || took > 31*day || months != 1 || due.Day() > received.Day() || due.Before(last) {
			t.Errorf("received %s, due %s, the one before %s", received, due, last)
		}
		last = due
	}
}

func TestCheckGround(t *testing.T) {
	for _, good := range []string{"", "art17-1-b", "a", "0", "ccpa.1798-105", strings.Repeat("a", 32)} {
		if err := jobs.CheckGround(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
		// What the book takes, the log must take, too.
		e := accepted()
		e.Ground = good
		if _, err := proof.Encode(e); err != nil {
			t.Errorf("%q: the log refuses it: %v", good, err)
		}
	}
	for _, bad := range []string{" ", "Art17", "art 17", "art17\n", "-a", ".a", "ärt17", "a_b", "john@example.com", strings.Repeat("a", 33)} {
		err := jobs.CheckGround(bad)
		var invalid *jobs.Invalid
		if !errors.As(err, &invalid) || invalid.Field != "ground" || !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("%q: err = %v, want an *Invalid of ground", bad, err)
		} else if strings.Contains(err.Error(), "john") {
			t.Errorf("%q: the error repeats it: %v", bad, err)
		}
	}
}

func accepted() *proof.Accepted {
	return &proof.Accepted{
		Header: proof.Header{Origin: "log.example/lethe"},
		Terms: proof.Terms{
			RequestID: "018f3c5e-7b1a-7000-8000-000000000001", ReceivedAt: proof.At(time.Unix(1, 0)), AcceptedAt: proof.At(time.Unix(1, 0)),
			DueAt: proof.At(time.Unix(2, 0)), Regime: jobs.GDPR, Subject: proof.SubjectCommitment(make([]byte, 32), []byte("{}")),
		},
		Selector: proof.SelectsScope, Stores: []string{"notes"},
	}
}

func TestTheMonthIsCountedByTheAskersCalendar(t *testing.T) {
	received := time.Date(2026, 3, 31, 0, 30, 0, 0, time.FixedZone("", 2*60*60))
	due, _ := jobs.DueAt(jobs.GDPR, received)
	if want := time.Date(2026, 4, 29, 22, 30, 0, 0, time.UTC); !due.Equal(want) {
		t.Errorf("due %s, want %s", due, want)
	}
}
