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
	for ; time.Since(began) < time.Second; n++ {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / time.Since(began).Seconds()
}

// A state row is updated and a completed entry logged, by so many workers.
// x-fsync is how many of them share what one fsync takes on this disk.
func BenchmarkGroupCommit(b *testing.B) {
	for _, writers := range []int{1, 32, 256} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			l := newLedger(b)
			w := l.newWriter(b)
			l.mustExec(b, `CREATE TABLE state (id INTEGER PRIMARY KEY, status TEXT NOT NULL) STRICT`)
			for i := range writers {
				l.mustExec(b, `INSERT INTO state VALUES (?, 'open')`, i)
			}
			alone := fsyncs(b, filepath.Dir(l.path))
			var next atomic.Int64
			b.ResetTimer()
			var wg sync.WaitGroup
			for worker := range writers {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						err := w.Do(context.Background(), func(ctx context.Context, tx *audit.Tx) error {
							if _, err := tx.ExecContext(ctx, `UPDATE state SET status = 'done' WHERE id = ?`, worker); err != nil {
								return err
							}
							return tx.Log(done(int(i)))
						})
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			rate := float64(b.N) / b.Elapsed().Seconds()
			size, heads := l.counts(b)
			b.ReportMetric(rate, "entries/s")
			b.ReportMetric(alone, "fsync/s")
			b.ReportMetric(rate/alone, "x-fsync")
			b.ReportMetric(float64(size)/float64(heads), "entries/head")
		})
	}
}
