package ledger_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs"
	"lethe/jobs/ledger"
)

// Nobody can sign here, as while an agent is away.
func TestMetricsOfAnEmptyLogAskForNoSignature(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		o := b.options()
		o.Dir, o.Signer, o.Verifier = filepath.Join(t.TempDir(), "data"), nil, b.key.Verifier
		l, err := ledger.Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		r := prometheus.NewRegistry()
		r.MustRegister(ledger.NewCollector(l))
		if n, err := testutil.GatherAndCount(r, "lethe_log_size"); err != nil || n != 1 {
			t.Errorf("%d sizes, %v", n, err)
		}
	})
}

// series returns what a registry of a collector says, and fails if it says so with
// an error.
func series(t testing.TB, list ...prometheus.Collector) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(list...)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			got[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return got
}

// wantSeries compares those of a name.
func wantSeries(t testing.TB, got map[string]float64, name string, want float64) {
	t.Helper()
	if v, ok := got[name]; !ok || v != want {
		t.Errorf("%s is %v, %v, want %v", name, v, ok, want)
	}
}

// Somebody holds the tables of the ledger and does not let go; then the ledger is
// gone. The scrape comes to its end all the same, and says so, with what the process
// says of itself.
func TestALedgerThatHangsOrIsGoneIsToldAndHidesNothingElse(t *testing.T) {
	b := newBook(t, onPostgres)
	c := ledger.NewCollector(b.Ledger)
	own := collectors.NewGoCollector()
	if got := series(t, c, own); got["lethe_ledger_up{}"] != 1 || got["go_goroutines{}"] == 0 {
		t.Errorf("well: %v", got)
	}
	tx := b.raw.MustBegin()
	tx.MustExec(`LOCK TABLE requests, outbox IN ACCESS EXCLUSIVE MODE`)
	c.Hasten(200 * time.Millisecond)
	stands := func(when string) {
		t.Helper()
		got := series(t, c, own)
		wantSeries(t, got, "lethe_ledger_up{}", 0)
		if _, ok := got["lethe_outbox_pending{}"]; ok || got["go_goroutines{}"] == 0 {
			t.Errorf("%s: %v", when, got)
		}
	}
	stands("locked")
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	c.Hasten(30 * time.Second)
	wantSeries(t, series(t, c), "lethe_ledger_up{}", 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	stands("gone")
}

// Requests that have ended are not all counted at each scrape; the sum is right
// whenever they end, also when the clock is put back.
func TestEndedRequestsAreCountedOnceEach(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		c := ledger.NewCollector(b.Ledger)
		for i, step := range []time.Duration{0, time.Minute, 20 * time.Minute, 20 * time.Minute, -45 * time.Minute, -time.Hour, 15 * time.Minute, 3 * time.Hour, 0} {
			b.advance(step)
			b.submit(t, fmt.Sprint("u", i), "notes")
			b.finish(t)
			for range 2 {
				got := series(t, c)
				for _, outcome := range []string{"accepted", "completed"} {
					wantSeries(t, got, `lethe_requests_total{origin="api",outcome="`+outcome+`"}`, float64(i+1))
				}
			}
			b.advance(time.Second)
		}
		for range 3 { // long after, when all has become old
			b.advance(25 * time.Minute)
			wantSeries(t, series(t, c), `lethe_requests_total{origin="api",outcome="completed"}`, 9)
		}
	})
}

// What is ready waits for nobody. What waits for a person, a store or a time is not.
func TestWorkThatIsReadyIsToldFromWorkThatWaits(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		down := false
		c := ledger.NewCollector(b.Ledger)
		c.Down = func(name string) bool { return down && name == "notes" }
		ready := func(when string, want float64) {
			t.Helper()
			if got := series(t, c)["lethe_work_ready{}"]; got != want {
				t.Errorf("%s: %v tasks are ready, want %v", when, got, want)
			}
		}
		ready("at first", 0)
		b.submit(t, "u1", "notes")
		ready("filed", 1)
		down = true
		ready("the store is down", 0)
		down = false
		task := b.claim(t, b.rings(t)[0])
		ready("a worker has it", 0)
		b.advance(lease + time.Second)
		ready("the worker has died", 1)
		b.advance(-lease)
		if err := b.Retry(t.Context(), task.Ring, time.Minute, "store-busy"); err != nil {
			t.Fatal(err)
		}
		ready("it failed and is tried again later", 0)
		b.advance(2 * time.Minute)
		ready("later", 1)
		if len(b.rings(t)) != 1 {
			t.Fatal("not rung")
		}
		ready("rung, and nobody comes", 1)
	})
}

func TestAPlanThatWaitsForAPersonIsNoWorkThatIsReady(t *testing.T) {
	b := newRuled(t, onSQLite, few())
	b.filed(t, "u1", 0, "notes")
	b.planRows(t, b.task(t, jobs.PlanTask), 6)
	wantSeries(t, series(t, ledger.NewCollector(b.Ledger)), "lethe_work_ready{}", 0)
}

// Each stage that ends is progress, and a request that is through and has no
// certificate is told.
func TestProgressAndWhatLacksItsCertificateAreTold(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		c := ledger.NewCollector(b.Ledger)
		wantSeries(t, series(t, c), "lethe_last_progress_timestamp_seconds{}", 0)
		b.submit(t, "u1", "notes")
		progress := func(what string, due float64) {
			t.Helper()
			got := series(t, c)
			wantSeries(t, got, "lethe_last_progress_timestamp_seconds{}", float64(b.Now().UnixMilli())/1000)
			wantSeries(t, got, "lethe_certificates_due{}", due)
			b.advance(time.Minute)
		}
		b.plan(t, b.task(t, jobs.PlanTask), 3)
		progress("planned", 0)
		b.erase(t, b.task(t, jobs.BatchTask))
		progress("erased", 0)
		task := b.task(t, jobs.SettleTask)
		if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{Purge: true}); err != nil {
			t.Fatal(err)
		}
		progress("verified", 0)
		if _, err := b.Purged(t.Context(), "notes", b.Now()); err != nil {
			t.Fatal(err)
		}
		progress("purged", 0)                                      // it is being issued
		wantSeries(t, series(t, c), "lethe_certificates_due{}", 1) // a minute later
		if err := b.complete(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		progress("certified", 0)
	})
}
