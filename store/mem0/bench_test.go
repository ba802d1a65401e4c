package mem0_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/tables"
)

// benchmark opens an installation with n memories of alice and as many of bob.
func benchmark(b *testing.B, n int) (*tables.Store, []store.ID) {
	b.Helper()
	c, err := mem0.CreateSQLite(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	for _, user := range []string{"bob", "alice"} {
		if err := mem0.WriteSQLite(b.Context(), c, mem0.Sample(user, n)); err != nil {
			b.Fatal(err)
		}
	}
	s, err := mem0.OpenSQLite(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s, findAll(b, s)
}

func findAll(b *testing.B, s store.Store) []store.ID {
	var ids []store.ID
	for id, err := range s.Find(b.Context(), store.Selector{UserID: "alice"}) {
		if err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func perRow(b *testing.B, rows int) {
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

const benchRows = 10_000

func BenchmarkFind(b *testing.B) {
	s, ids := benchmark(b, benchRows)
	for b.Loop() {
		findAll(b, s)
	}
	perRow(b, len(ids))
}

func BenchmarkErase(b *testing.B) {
	n := 0
	for range b.N {
		b.StopTimer()
		s, ids := benchmark(b, benchRows)
		n = len(ids)
		b.StartTimer()
		for batch := range slices.Chunk(ids, store.MaxBatch) {
			if _, err := s.Erase(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	perRow(b, n)
}

// BenchmarkEraseToPlain puts Erase, with all that hangs on the rows and the
// links to them, beside a DELETE of the memories' rows alone, batch for batch.
func BenchmarkEraseToPlain(b *testing.B) {
	var ours, plain time.Duration
	rows := 0
	for range b.N {
		s, ids := benchmark(b, benchRows)
		c, err := mem0.CreateSQLite(b.Context(), b.TempDir())
		if err != nil {
			b.Fatal(err)
		}
		if err := mem0.WriteSQLite(b.Context(), c, mem0.Sample("alice", benchRows)); err != nil {
			b.Fatal(err)
		}
		db := sqlx.MustOpen("sqlite3", "file:"+c.Vectors+"?_synchronous=FULL")
		var keys []string
		if err := db.Select(&keys, `SELECT id FROM vectors`); err != nil {
			b.Fatal(err)
		}
		ids = slices.DeleteFunc(ids, func(id store.ID) bool { return id.Place != "memories" })
		rows += len(ids)
		theirs := slices.Collect(slices.Chunk(keys, store.MaxBatch))
		for i, batch := range slices.Collect(slices.Chunk(ids, store.MaxBatch)) {
			begin := time.Now()
			if _, err := s.Erase(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			ours += time.Since(begin)
			list, err := json.Marshal(theirs[i])
			if err != nil {
				b.Fatal(err)
			}
			begin = time.Now()
			db.MustExec(`DELETE FROM vectors WHERE id IN (SELECT value FROM json_each(?))`, string(list))
			plain += time.Since(begin)
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/ours.Seconds(), "erase-rows/s")
	b.ReportMetric(float64(rows)/plain.Seconds(), "plain-rows/s")
	b.ReportMetric(plain.Seconds()/ours.Seconds(), "of-plain")
}

func BenchmarkEraseAndRemaining(b *testing.B) {
	n := 0
	for range b.N {
		b.StopTimer()
		s, ids := benchmark(b, benchRows)
		n = len(ids)
		b.StartTimer()
		for batch := range slices.Chunk(ids, store.MaxBatch) {
			if _, err := s.Erase(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			if left, err := s.Remaining(b.Context(), batch); err != nil || len(left) > 0 {
				b.Fatal(len(left), err)
			}
		}
	}
	perRow(b, n)
}

func BenchmarkRemaining(b *testing.B) {
	s, ids := benchmark(b, benchRows)
	ids = ids[:store.MaxBatch]
	for b.Loop() {
		if _, err := s.Remaining(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
	}
	perRow(b, len(ids))
}

func BenchmarkCount(b *testing.B) {
	s, _ := benchmark(b, benchRows)
	for b.Loop() {
		if _, err := s.Count(b.Context(), store.Selector{UserID: "alice"}.Only()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPurge(b *testing.B) {
	s, _ := benchmark(b, benchRows)
	for b.Loop() {
		if err := s.Purge(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
