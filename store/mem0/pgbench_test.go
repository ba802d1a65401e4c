package mem0_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"lethe/store"
)

const benchPG = 20_000

// fill puts memories of alice and bob into both tables with statements of the
// server, and entities that link to two memories each.
func (f *pgFixture) fill(n, entities int) {
	f.db.MustExec(`INSERT INTO memories SELECT gen_random_uuid(), '{1,2,3}', jsonb_build_object('user_id',
		CASE i % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, 'data', repeat('x', 200)) FROM generate_series(1, $1) i`, 2*n)
	f.db.MustExec(`INSERT INTO memories_entities SELECT gen_random_uuid(), '{1,2,3}', jsonb_build_object('user_id', m.user_id,
		'data', 'thing', 'entity_type', 'PROPER', 'linked_memory_ids', m.ids) FROM (
			SELECT payload->>'user_id' AS user_id, array_agg(id) AS ids FROM (SELECT *, row_number() OVER () AS n FROM memories) m
			GROUP BY payload->>'user_id', n / 4) m LIMIT $1`, entities)
	f.db.MustExec(`VACUUM ANALYZE memories, memories_entities`)
}

// BenchmarkPostgresErase erases 20,000 of 40,000 memories in batches of 1000,
// some batches in turn with a plain DELETE and with Erase and Remaining, in
// tables of the same content: what disturbs the machine disturbs all of them
// alike. With one batch in turn, others write all the time.
func BenchmarkPostgresErase(b *testing.B) {
	for _, c := range []struct {
		name           string
		entities, turn int
	}{{"MemoriesAlone", 0, 5}, {"OthersWrite", 0, 1}, {"Entities", benchPG, 5}} {
		b.Run(c.name, func(b *testing.B) {
			var plain, erase, remaining time.Duration
			for range b.N {
				b.StopTimer()
				f, g := newPG(b, true, false).open(), newPG(b, true, false).open()
				f.fill(benchPG, c.entities)
				g.fill(benchPG, c.entities)
				ours, theirs := memoriesOf(b, f), memoriesOf(b, g)
				b.StartTimer()
				for i := 0; i < benchPG; i += c.turn * store.MaxBatch {
					plain += timed(func() { g.plainly(theirs[i : i+c.turn*store.MaxBatch]) })
					for batch := range slices.Chunk(ours[i:i+c.turn*store.MaxBatch], store.MaxBatch) {
						erase += timed(func() {
							if r, err := f.s.Erase(b.Context(), batch); err != nil || r.Count(store.Erased) != len(batch) {
								b.Fatal(r.Count(store.Erased), err)
							}
						})
					}
					for batch := range slices.Chunk(ours[i:i+c.turn*store.MaxBatch], store.MaxBatch) {
						remaining += timed(func() {
							if left, err := f.s.Remaining(b.Context(), batch); err != nil || len(left) > 0 {
								b.Fatal(len(left), err)
							}
						})
					}
				}
			}
			rows := float64(benchPG * b.N)
			b.ReportMetric(rows/plain.Seconds(), "plain-rows/s")
			b.ReportMetric(rows/erase.Seconds(), "erase-rows/s")
			b.ReportMetric(rows/(erase+remaining).Seconds(), "erase+remaining-rows/s")
			b.ReportMetric(plain.Seconds()/erase.Seconds(), "of-plain")
		})
	}
}

// plainly is the batched DELETE that Erase is compared with.
func (f *pgFixture) plainly(ids []store.ID) {
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		keys := make([]uuid.UUID, len(batch))
		for i, id := range batch {
			keys[i] = uuid.MustParse(id.Key)
		}
		f.db.MustExec(`DELETE FROM memories WHERE id = ANY($1::uuid[])`, keys)
	}
}

func timed(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func memoriesOf(b *testing.B, f *pgFixture) []store.ID {
	return slices.DeleteFunc(findAll(b, f.s), func(id store.ID) bool { return id.Place != "memories" })
}
