package audit_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit/audittest"

	"github.com/jmoiron/sqlx"
)

// writers let 2 pools of 16, as of two processes, commit n entries, each in a
// transaction with a change of state, and returns what each waited for a
// signed head.
func writers(b *testing.B, path string, n int, commit func(tx *sqlx.Tx, process, i int) error, signed func(process, i int) error) []time.Duration {
	b.Helper()
	var wg sync.WaitGroup
	var next atomic.Int64
	waits := make([]time.Duration, n)
	for process := range 2 {
		db := connect(b, path, "FULL", 17)
		db.SetMaxIdleConns(17)
		for range 16 {
			wg.Go(func() {
				for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
					begun := time.Now()
					tx, err := db.Beginx()
					if err == nil {
						_, err = tx.Exec(`INSERT INTO state VALUES ($1)`, entryID(i))
					}
					if err == nil {
						err = commit(tx, process, i)
					}
					if err == nil {
						err = tx.Commit()
					}
					if err == nil {
						err = signed(process, i)
					}
					if err != nil {
						b.Error(err)
						return
					}
					waits[i] = time.Since(begun)
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(waits)
	return waits
}

// Two processes of 16 writers each: all appending in their own transactions,
// and all by the outbox, with a sequencer in each process. One after the other,
// so that ratio is of the same machine at the same time.
func BenchmarkTwoProcessesOfSixteen(b *testing.B) {
	server := audittest.Start(b, "max_connections=120")
	const n = 1500
	for b.Loop() {
		inline := newLedgerAt(b, server.Database(b))
		inline.write.MustExec(`CREATE TABLE state (id text PRIMARY KEY)`)
		begun := time.Now()
		waits := writers(b, inline.path, n, func(tx *sqlx.Tx, _, i int) error {
			_, err := inline.Append(b.Context(), tx, entry(i))
			return err
		}, func(int, int) error { return nil })
		rate := n / time.Since(begun).Seconds()
		b.ReportMetric(rate, "inline/s")
		b.ReportMetric(float64(waits[n/2].Microseconds())/1000, "inline-p50-ms")

		outbox := newLedgerAt(b, server.Database(b))
		outbox.write.MustExec(`CREATE TABLE state (id text PRIMARY KEY)`)
		logs := []*ledger{}
		for range 2 {
			s := process(b, outbox)
			l := &ledger{write: s.DB, Log: s.Log}
			_, stop := run(b, l)
			defer stop()
			logs = append(logs, l)
		}
		begun = time.Now()
		waits = writers(b, outbox.path, n, func(tx *sqlx.Tx, process, i int) error {
			return logs[process].Enqueue(b.Context(), tx, entry(i))
		}, func(process, i int) error { return logs[process].Wait(b.Context(), entryID(i)) })
		other := n / time.Since(begun).Seconds()
		b.ReportMetric(other, "outbox/s")
		b.ReportMetric(float64(waits[n/2].Microseconds())/1000, "outbox-p50-ms")
		b.ReportMetric(other/rate, "ratio")
		if r, err := outbox.Check(b.Context()); err != nil || r.Size != n {
			b.Errorf("size %d, %v", r.Size, err)
		} else {
			b.ReportMetric(float64(r.Heads), "heads")
		}
	}
}
