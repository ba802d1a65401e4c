package audit_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"
)

const million = 1_000_000

// newMillion makes a log of a million entries.
func newMillion(b *testing.B) *ledger {
	b.Helper()
	if testing.Short() {
		b.Skip("makes a log of a million entries")
	}
	return newLarge(b, million)
}

// newLarge makes a log of so many thousand entries, one head a thousand:
// requests that were accepted, each completed but the last.
func newLarge(b testing.TB, size int) *ledger {
	b.Helper()
	l := newLedger(b)
	l.mustExec(b, `PRAGMA wal_autocheckpoint = 20000`)
	for at := 0; at < size; at += 1000 {
		var entries []proof.Entry
		for i := at; i < at+1000; i += 2 {
			e := done(i / 2).(*proof.Completed)
			entries = append(entries, &proof.Accepted{Terms: e.Terms, Selector: proof.SelectsScope, Stores: []string{"assistant", "notes"}}, e)
		}
		if at == size-1000 {
			entries[999] = entry(0)
		}
		if _, err := l.add(entries...); err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// cpu returns the processor time that this process has had.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkMillion(b *testing.B) {
	l := newMillion(b)
	b.Run("CertificateAt1M", func(b *testing.B) {
		began := cpu(b)
		for i := 0; b.Loop(); i++ {
			id := proof.EntryID(requestID(i*7919%(million/2-1)), proof.KindCompleted)
			if _, err := l.Certificate(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64((cpu(b)-began).Microseconds())/float64(b.N), "cpu-us/op")
	})
	b.Run("Check1M", func(b *testing.B) {
		var r audit.Report
		var err error
		began := cpu(b)
		for b.Loop() {
			if r, err = l.Check(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((cpu(b)-began).Seconds()/float64(b.N), "cpu-s/op") // what it takes, however busy the machine is
		if fmt.Sprint(r.Size, r.Heads, r.Open) != "1000000 1000 1" {
			b.Errorf("checked %d entries, %d heads, %d open", r.Size, r.Heads, r.Open)
		}
	})
}
