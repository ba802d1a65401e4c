package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/jobs/queue/queuetest"
	"lethe/store/mem0"
)

// A single delete by a Mem0 client, answered once it is verified, against a plain
// SQL statement on a copy of the same files: one after the other, so that both have
// the same machine.
func BenchmarkMem0Delete(b *testing.B) {
	for _, with := range []struct{ name, ledger, queue string }{
		{"SQLite,embedded", ledgerSQLite, queueEmbedded},
		{"SQLite,redis", ledgerSQLite, "redis"},
		{"PostgreSQL,redis", "postgres", "redis"},
	} {
		b.Run(with.name, func(b *testing.B) {
			ledger, queue := with.ledger, with.queue
			if queue == "redis" {
				queue = queuetest.Redis(b).URL()
			}
			if ledger != ledgerSQLite {
				ledger = audittest.Schema(b)
			}
			dir := b.TempDir()
			const people = 1000
			memories := make([]mem0.Memory, people)
			for i := range memories {
				memories[i] = mem0.Memory{ID: uuid.NewString(), UserID: fmt.Sprint("user", i%50), Text: fmt.Sprint("likes thing ", i), Message: i%10 == 0}
			}
			mem, plain := newMem0(b, filepath.Join(dir, "m"), memories...), newMem0(b, filepath.Join(dir, "copy"), memories...)
			c := configFor(filepath.Join(dir, "data"), queue, configured("memories", mem))
			c.Ledger = Secret(ledger)
			r := start(b, c, nil)
			db := sqlx.MustOpen("sqlite3", "file:"+plain.Vectors+"?_busy_timeout=10000")
			defer db.Close()
			var door, statement []time.Duration
			for i := 0; b.Loop(); i++ {
				id := memories[i%people].ID
				began := time.Now()
				ask, err := http.NewRequestWithContext(b.Context(), http.MethodDelete, r.s.URL()+"/mem0/v1/memories/"+id+"/", nil)
				if err != nil {
					b.Fatal(err)
				}
				got, err := http.DefaultClient.Do(ask)
				if err != nil || got.StatusCode != http.StatusOK {
					b.Fatal(got, err)
				}
				_ = got.Body.Close()
				door = append(door, time.Since(began))
				began = time.Now()
				if _, err := db.Exec(`DELETE FROM vectors WHERE id = ?`, id); err != nil {
					b.Fatal(err)
				}
				statement = append(statement, time.Since(began))
			}
			slices.Sort(door)
			slices.Sort(statement)
			ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ms(door[len(door)/2]), "door-p50-ms")
			b.ReportMetric(ms(door[len(door)*95/100]), "door-p95-ms")
			b.ReportMetric(ms(statement[len(statement)/2]), "sql-p50-ms")
		})
	}
}
