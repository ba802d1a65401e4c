package jobs_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lethe/audit/proof"
	"lethe/jobs"
)

// row is one dated example of testdata/clock.tsv.
type row struct {
	regime, zone, holidays, received, due, extended, confirm, why string
}

func examples(t testing.TB) []row {
	t.Helper()
	text, err := os.ReadFile("testdata/clock.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var list []row
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 8 {
			t.Fatalf("%q has %d columns, want 8", line, len(f))
		}
		list = append(list, row{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]})
	}
	return list
}

// regime is the row's: a built-in one with the row's zone and holidays.
func (r row) regimeOf(t testing.TB) jobs.Regime {
	t.Helper()
	for _, known := range jobs.BuiltIn() {
		if known.Name == r.regime {
			known.Zone = zone(t, r.zone)
			if r.holidays != "-" {
				var err error
				if known.Holidays, err = jobs.ReadHolidays(strings.Fields(r.holidays)); err != nil {
					t.Fatal(err)
				}
			}
			return known
		}
	}
	t.Fatalf("%s is no built-in regime", r.regime)
	return jobs.Regime{}
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestTheDatedExamplesHold(t *testing.T) {
	list := examples(t)
	if len(list) < 30 {
		t.Fatalf("%d examples, want at least 30", len(list))
	}
	for _, x := range list {
		r := x.regimeOf(t)
		received, err := time.Parse(time.RFC3339, x.received)
		if err != nil {
			t.Fatal(err)
		}
		text := func(at time.Time, there bool) string {
			if !there {
				return "-"
			}
			return at.Format(time.RFC3339)
		}
		got := []string{text(r.Due(received), true), text(r.Extended(received)), text(r.ConfirmBy(received))}
		if want := []string{x.due, x.extended, x.confirm}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s, received %s (%s):\n got %s\nwant %s", x.regime, x.received, x.why, got, want)
		}
	}
}

// The table of the README is that of the test.
func TestTheExamplesArePublished(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var table strings.Builder
	table.WriteString("| regime | zone | holidays | received | due | extended | confirm | why |\n|---|---|---|---|---|---|---|---|\n")
	const day = "Mon 2006-01-02 -07:00" // each to 23:59:59
	for _, x := range examples(t) {
		fmt.Fprintf(&table, "| %s | %s | %s | %s | %s | %s | %s | %s |\n", x.regime, x.zone, x.holidays,
			worded(t, x.received, "Mon 2006-01-02 15:04:05 -07:00"), worded(t, x.due, day), worded(t, x.extended, day), worded(t, x.confirm, day), x.why)
	}
	if !strings.Contains(string(readme), "\n"+table.String()) {
		t.Errorf("README.md lacks this table of testdata/clock.tsv:\n%s", table.String())
	}
}

// worded is how people write a time.
func worded(t testing.TB, text, layout string) string {
	t.Helper()
	if text == "-" {
		return text
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at.Format(layout)
}

// anyRegime draws a regime of any kind, in zones with all sorts of clocks.
func anyRegime(t *rapid.T) jobs.Regime {
	zones := []string{"UTC", "Europe/Berlin", "America/Los_Angeles", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Pacific/Apia", "Pacific/Kiritimati", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago", "Atlantic/Azores"}
	z, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
	if err != nil {
		t.Fatal(err)
	}
	h, err := jobs.ReadHolidays(rapid.SampledFrom([][]string{nil, {"de-be"}, {"us"}, {"jp"}, {"ie", "2027-06-01"}}).Draw(t, "holidays"))
	if err != nil {
		t.Fatal(err)
	}
	r := jobs.Regime{Name: "own", NextWorkingDay: rapid.Bool().Draw(t, "next"), Holidays: h, Zone: z, Confirm: rapid.IntRange(0, 20).Draw(t, "confirm")}
	n := rapid.IntRange(1, 60).Draw(t, "n")
	switch rapid.IntRange(0, 2).Draw(t, "unit") {
	case 0:
		r.Period.Months = n%12 + 1
	case 1:
		r.Period.Days = n
	default:
		r.Period.BusinessDays = n
	}
	switch rapid.IntRange(0, 2).Draw(t, "extension") {
	case 0:
		r.Extension.Months = rapid.IntRange(1, 6).Draw(t, "more")
	case 1:
		r.Extension.Days = rapid.IntRange(1, 90).Draw(t, "more")
	}
	return r
}

func anyTime(t *rapid.T, name string) time.Time {
	from := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	return time.Unix(from+rapid.Int64Range(0, 30*366*86400).Draw(t, name), 0)
}

func TestWhoAsksLaterIsNeverDueEarlier(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegime(t)
		a, gap := anyTime(t, "received"), rapid.Int64Range(0, 40*86400).Draw(t, "gap")
		b := a.Add(time.Duration(gap) * time.Second)
		if r.Due(b).Before(r.Due(a)) {
			t.Errorf("received %s due %s, received %s due %s", a, r.Due(a), b, r.Due(b))
		}
		xa, has := r.Extended(a)
		if xb, _ := r.Extended(b); xb.Before(xa) || has && xa.Before(r.Due(a)) {
			t.Errorf("extended %s and %s, due %s", xa, xb, r.Due(a))
		}
		ca, _ := r.ConfirmBy(a)
		if cb, _ := r.ConfirmBy(b); cb.Before(ca) {
			t.Errorf("confirm by %s and %s", ca, cb)
		}
	})
}

// The law's period is whole: no end comes before the same time of the day on
// the last day of the period.
func TestNobodyIsGivenLessThanTheLawGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegime(t)
		received := anyTime(t, "received").In(r.Zone)
		due := r.Due(received)
		low := received.AddDate(0, 0, r.Period.Days+r.Period.BusinessDays)
		if m := r.Period.Months; m > 0 {
			low = received.AddDate(0, m, 0)
			if low.Day() != received.Day() { // shorter month
				low = low.AddDate(0, 0, -low.Day())
			}
		}
		y, m, d := low.Date()
		if dy, dm, dd := due.Date(); time.Date(dy, dm, dd, 0, 0, 0, 0, time.UTC).Before(time.Date(y, m, d, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("received %s, due %s, before %s", received, due, low)
		}
		if most := low.AddDate(0, 0, 12+2*r.Period.BusinessDays); due.After(most) {
			t.Errorf("received %s, due %s, after %s", received, due, most)
		}
	})
}

func TestAnEndIsTheLastSecondOfADay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegime(t)
		due := r.Due(anyTime(t, "received"))
		if next := due.Add(time.Second); due.Location() != r.Zone || next.Day() == due.Day() || due.Minute() != 59 || due.Second() != 59 {
			t.Errorf("due %s, the second after is %s", due, next)
		}
	})
}

func TestNoEndIsOnADayOfRestWhereTheLawSaysSo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegime(t)
		received := anyTime(t, "received")
		ends := []time.Time{}
		if r.NextWorkingDay || r.Period.BusinessDays > 0 {
			ends = append(ends, r.Due(received))
		}
		if x, ok := r.Extended(received); ok && r.NextWorkingDay {
			ends = append(ends, x)
		}
		if c, ok := r.ConfirmBy(received); ok {
			ends = append(ends, c)
		}
		// What a working day is, asked in another way: one working day after the
		// day before is the day itself.
		for _, end := range ends {
			one := jobs.Regime{Name: "one", Period: jobs.Period{BusinessDays: 1}, Holidays: r.Holidays, Zone: r.Zone}
			noon := time.Date(end.Year(), end.Month(), end.Day(), 12, 0, 0, 0, r.Zone)
			if got := one.Due(noon.AddDate(0, 0, -1)); !got.Equal(end) || end.Weekday() == time.Saturday || end.Weekday() == time.Sunday {
				t.Errorf("%s is no working day; the next is %s", end, got)
			}
		}
	})
}

// More holidays never make anybody late.
func TestHolidaysOnlyMoveAnEndForward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyRegime(t)
		received := anyTime(t, "received")
		bare := r
		bare.Holidays = jobs.Holidays{}
		if r.Due(received).Before(bare.Due(received)) {
			t.Errorf("received %s: %s with holidays, %s without", received, r.Due(received), bare.Due(received))
		}
	})
}

func TestAClockRefusesWhatIsNoRegime(t *testing.T) {
	good := jobs.Regime{Name: "own", Period: jobs.Period{Days: 15}}
	with := func(change func(*jobs.Regime)) jobs.Regime { r := good; change(&r); return r }
	if _, err := jobs.NewClock("own", good); err != nil {
		t.Error(err)
	}
	for name, list := range map[string][]jobs.Regime{
		"no name":        {with(func(r *jobs.Regime) { r.Name = "" })},
		"a sentence":     {with(func(r *jobs.Regime) { r.Name = "our own law" })},
		"no period":      {with(func(r *jobs.Regime) { r.Period = jobs.Period{} })},
		"two periods":    {with(func(r *jobs.Regime) { r.Period.Months = 1 })},
		"a negative one": {with(func(r *jobs.Regime) { r.Period.Days = -15 })},
		"a century":      {with(func(r *jobs.Regime) { r.Period.Days = 36500 })},
		"two extensions": {with(func(r *jobs.Regime) { r.Extension = jobs.Period{Months: 1, Days: 1} })},
		"given twice":    {good, good},
	} {
		if _, err := jobs.NewClock("", list...); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := jobs.NewClock("lgpd"); err == nil {
		t.Error("a default that is no regime: taken")
	}
	for _, h := range []string{"", "DE", "de-xx", "2026-02-30", "24.12.", "christmas"} {
		if _, err := jobs.ReadHolidays([]string{h}); err == nil {
			t.Errorf("holidays %q: taken", h)
		}
	}
}

func TestReasonsAreOfTheListsAlone(t *testing.T) {
	own := jobs.Codes{Exempt: []string{"hgb-257"}, Extend: []string{"strike"}}
	for _, good := range own.Refusals() {
		e := &proof.Rejected{Header: proof.Header{Origin: "log.example/lethe"}, Terms: accepted().Terms, RejectedAt: 1, Reason: good}
		if _, err := proof.Encode(e); err != nil || own.CheckReason(good) != nil {
			t.Errorf("%q: %v, %v", good, err, own.CheckReason(good))
		}
	}
	for code, check := range map[string]func(string) error{
		"hgb-257": own.CheckExemption, "art17-3-b": own.CheckExemption, "ccpa-1798.105-d-8": own.CheckExemption,
		"strike": own.CheckExtension, "complexity": own.CheckExtension, "not-identified": own.CheckReason, "art17-3-e": jobs.Codes{}.CheckReason,
	} {
		if err := check(code); err != nil {
			t.Errorf("%q: %v", code, err)
		}
	}
	for code, check := range map[string]func(string) error{
		"": own.CheckReason, "because of john": own.CheckReason, "art17-3-f": own.CheckReason, "hgb-257": jobs.Codes{}.CheckReason,
		"not-identified": own.CheckExemption, "art17-3-a": own.CheckExtension, "john@example.com": own.CheckExtension,
	} {
		var invalid *jobs.Invalid
		if err := check(code); !errors.As(err, &invalid) || invalid.Field != "reason" || strings.Contains(err.Error(), "john") {
			t.Errorf("%q: err = %v, want an *Invalid of reason that does not repeat it", code, err)
		}
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
