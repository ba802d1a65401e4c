package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lethe/jobs"
	"lethe/jobs/ledger"
)

// multiply copies every request of a book, with its jobs, batches and tasks, until
// there are n of each, all of other subjects.
func (b *book) multiply(t testing.TB, n int) {
	t.Helper()
	of := b.count(t, "requests")
	for _, table := range []struct {
		name    string
		changed []string // what must be another in a copy
	}{
		{"requests", []string{"id", "subject"}},
		{"jobs", []string{"id", "request"}},
		{"batches", []string{"id", "job"}},
		{"outbox", []string{"id", "request", "job"}},
	} {
		rows, err := b.raw.Query(`SELECT * FROM ` + table.name + ` LIMIT 0`)
		if err != nil {
			t.Fatal(err)
		}
		columns, err := rows.Columns()
		if err := rows.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		values := slices.Clone(columns)
		for i, name := range columns {
			if slices.Contains(table.changed, name) {
				values[i] = "x." + name + " || '-' || n.i"
			}
		}
		b.raw.MustExec(fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO %s (%s) SELECT %s FROM %s x, n`, n/of-1, table.name, strings.Join(columns, ", "), strings.Join(values, ", "), table.name))
	}
	b.raw.MustExec(`ANALYZE`)
}

// mixed is a book of two requests, one that has ended and one that has not.
func mixed(t testing.TB, on where) *book {
	t.Helper()
	b := newBook(t, on)
	b.submit(t, "u1", "notes")
	b.finish(t, 3)
	b.advance(time.Hour) // long ago
	b.submit(t, "u2", "notes")
	return b
}

func TestTenThousandSubjectsMakeNoSeries(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := mixed(t, on)
		p := jobs.Policy{Name: "old", Stores: []string{"notes"}}
		count := func() int { return len(series(t, ledger.NewCollector(b.Ledger, p))) }
		before := count()
		b.multiply(t, 10_000)
		if after := count(); after != before || before < 50 {
			t.Errorf("%d series before, %d after", before, after)
		}
		got := series(t, ledger.NewCollector(b.Ledger))
		wantSeries(t, got, `lethe_requests_total{origin="api",outcome="accepted"}`, 10_000)
		wantSeries(t, got, `lethe_requests_open{status="received"}`, 5_000)
	})
}

// One scrape of a ledger of a million requests, half of which are open: the first of
// a process, and the others.
func BenchmarkScrapeOfAMillion(b *testing.B) {
	for _, on := range []where{onSQLite, onPostgres} {
		b.Run(string(on), func(b *testing.B) {
			book := mixed(b, on)
			book.multiply(b, 1_000_000)
			first := func() *ledger.Collector { return ledger.NewCollector(book.Ledger) }
			b.Run("first", func(b *testing.B) {
				for b.Loop() {
					wantUp(b, first())
				}
			})
			b.Run("others", func(b *testing.B) {
				c := first()
				wantUp(b, c)
				for b.Loop() {
					wantUp(b, c)
				}
			})
		})
	}
}

func wantUp(b *testing.B, c prometheus.Collector) {
	b.Helper()
	wantSeries(b, series(b, c), "lethe_ledger_up{}", 1)
}
