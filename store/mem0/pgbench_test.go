package mem0_test

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"lethe/store"
)

const benchPG = 20_000

// fill puts memories of alice and bob into both tables with statements of the
// server.
func (f *pgFixture) fill(n int) {
	f.db.MustExec(`INSERT INTO memories SELECT gen_random_uuid(), '{1,2,3}', jsonb_build_object('user_id',
		CASE i % 2 WHEN 0 THEN 'alice' ELSE 'bob' END, 'data', repeat('x', 200)) FROM generate_series(1, $1) i`, 2*n)
	f.db.MustExec(`ANALYZE`)
}

// BenchmarkPostgresErase is Erase and Remaining of 20,000 memories in batches
// of 1000, beside the plain batched DELETE on tables of the same content.
func BenchmarkPostgresErase(b *testing.B) {
	bench := func(name string, erase func(f *pgFixture, ids []store.ID)) {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				b.StopTimer()
				f := newPG(b, true, false).open()
				f.fill(benchPG)
				ids := findAll(b, f.s)
				b.StartTimer()
				for batch := range slices.Chunk(ids, store.MaxBatch) {
					erase(f, batch)
				}
			}
			perRow(b, benchPG)
		})
	}
	bench("Plain", func(f *pgFixture, ids []store.ID) {
		keys := make([]uuid.UUID, len(ids))
		for i, id := range ids {
			keys[i] = uuid.MustParse(id.Key)
		}
		f.db.MustExec(`DELETE FROM memories WHERE id = ANY($1::uuid[])`, keys)
	})
	bench("Erase", func(f *pgFixture, ids []store.ID) {
		if _, err := f.s.Erase(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
	})
	bench("EraseAndRemaining", func(f *pgFixture, ids []store.ID) {
		if _, err := f.s.Erase(b.Context(), ids); err != nil {
			b.Fatal(err)
		}
		if left, err := f.s.Remaining(b.Context(), ids); err != nil || len(left) > 0 {
			b.Fatal(len(left), err)
		}
	})
}
