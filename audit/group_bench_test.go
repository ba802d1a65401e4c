package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"
)

// done is a completed entry of about 1.2 kB, as a request over two stores has.
func done(i int) proof.Entry {
	noon := proof.At(clock())
	part := func(name string) proof.StoreProof {
		return proof.StoreProof{
			Name: name, StoreKind: "mem0-sqlite", Requested: 2483, Found: 2480, Erased: 2480, Absent: 3, Batches: 3, Rounds: 1,
			Evidence: proof.EvidenceVerified, Method: "find+remaining", FirstErasedAt: noon + 20, VerifiedAt: noon + 50,
		}
	}
	return &proof.Completed{
		Terms: proof.Terms{
			RequestID: requestID(i), ReceivedAt: noon, AcceptedAt: noon + 1, DueAt: noon + 30*86400, Regime: "gdpr", Ground: "art17-1-b",
			Subject: proof.SubjectCommitment(make([]byte, 32), []byte(`{"user_id":"alice"}`)), Ticket: proof.TicketDigest(make([]byte, 32), "PRIV-123"),
		},
		PlannedAt: noon + 10, FirstErasedAt: noon + 20, ErasedAt: noon + 40, VerifiedAt: noon + 50, CompletedAt: noon + 60,
		PlanHash: proof.Digest([32]byte{1}), Batches: 6, BatchesRoot: proof.Digest([32]byte{2}),
		Exclusions: proof.Exclusions{{Code: "wal", Store: "assistant"}, {Code: "wal", Store: "notes"}},
		Stores:     []proof.StoreProof{part("assistant"), part("notes")},
	}
}

// fsyncs measures how often the disk of a folder takes 4 KiB at the end of a
// file, a second.
func fsyncs(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	began, n := time.Now(), 0
	for ; time.Since(began) < time.Second/2; n++ {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// A change is what a worker writes when a request is completed: its row, and an
// entry.
type change func(worker, i int) error

// newBench returns a ledger with a row for each of so many workers.
func newBench(b *testing.B, workers int) *ledger {
	b.Helper()
	l := newLedger(b)
	l.mustExec(b, `CREATE TABLE state (id INTEGER PRIMARY KEY, status TEXT NOT NULL) STRICT`)
	for i := range workers {
		l.mustExec(b, `INSERT INTO state VALUES (?, 'open')`, i)
	}
	return l
}

const finish = `UPDATE state SET status = 'done' WHERE id = ?`

// race has workers carry out b.N changes, and reports their rate beside that
// of the disk, taken right before and right after.
func (l *ledger) race(b *testing.B, workers int, do change) {
	dir := filepath.Dir(l.path)
	disk := fsyncs(b, dir)
	began := cpu(b)
	var next atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := do(worker, int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	rate := float64(b.N) / b.Elapsed().Seconds()
	used := cpu(b) - began
	disk = (disk + fsyncs(b, dir)) / 2
	size, heads := l.counts(b)
	b.ReportMetric(rate, "entries/s")
	b.ReportMetric(disk, "fsync/s")
	b.ReportMetric(rate/disk, "x-fsync")
	b.ReportMetric(float64(used.Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(size)/float64(heads), "entries/head")
}

// x-fsync says how many changes are committed in the time of one append of
// 4 KiB and its fsync.
func BenchmarkGroupCommit(b *testing.B) {
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			l := newBench(b, writers)
			w := l.newWriter(b)
			l.race(b, writers, func(worker, i int) error {
				return w.Do(context.Background(), func(ctx context.Context, tx *audit.Tx) error {
					if _, err := tx.ExecContext(ctx, finish, worker); err != nil {
						return err
					}
					return tx.Log(done(i))
				})
			})
		})
	}
}

// What a lone caller would take with a transaction of its own.
func BenchmarkPlainCommit(b *testing.B) {
	l := newBench(b, 1)
	l.race(b, 1, func(worker, i int) error {
		tx, err := l.write.Beginx()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		if _, err := tx.Exec(finish, worker); err != nil {
			return err
		}
		if _, err := l.Append(context.Background(), tx, done(i)); err != nil {
			return err
		}
		return tx.Commit()
	})
}
