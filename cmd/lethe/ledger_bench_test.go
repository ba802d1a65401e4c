package main

import (
	"slices"
	"testing"
	"time"

	"lethe/audit/audittest"
)

// From the request to the certificate, over HTTP, one memory each: the same
// store and queue, and the ledger on each database in turn.
func BenchmarkSubmitToCertificate(b *testing.B) {
	for _, name := range []string{"SQLite", "PostgreSQL"} {
		b.Run(name, func(b *testing.B) {
			c := newCluster(b)
			ledger := ledgerSQLite
			if name == "PostgreSQL" {
				ledger = audittest.Schema(b)
			}
			config, err := Load(c.config, Overrides{Ledger: ledger, Queue: queueEmbedded})
			if err != nil {
				b.Fatal(err)
			}
			r := start(b, config, nil)
			var took []time.Duration
			for b.Loop() {
				c.remember("alice", 1)
				began := time.Now()
				_ = r.completed(r.forget("alice"))
				took = append(took, time.Since(began))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
		})
	}
}
