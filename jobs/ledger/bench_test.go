package ledger_test

import (
	"fmt"
	"testing"

	"lethe/jobs"
	"lethe/store"
)

// One accepted request, durable, with its entry in the log.
func BenchmarkAccept(b *testing.B) {
	book := newBook(b, onSQLite)
	for i := 0; b.Loop(); i++ {
		book.submit(b, fmt.Sprint("u", i), "notes")
	}
}

// One batch of 1000 IDs as a worker carries it out, without the store.
func BenchmarkClaimFinish(b *testing.B) {
	book := newBook(b, onSQLite)
	book.submit(b, "u1", "notes")
	plan := book.task(b, jobs.PlanTask)
	round, seq, err := book.Replan(b.Context(), plan)
	if err != nil {
		b.Fatal(err)
	}
	ids := someIDs("018f3c5e-7b1a-7000-8000", store.MaxBatch)
	freeze := func() {
		if err := book.Freeze(b.Context(), plan, round, seq, ids); err != nil {
			b.Fatal(err)
		}
		seq++
	}
	for range 300 {
		freeze()
	}
	if err := book.Planned(b.Context(), plan, jobs.Planned{Round: round}, 0); err != nil {
		b.Fatal(err)
	}
	rings := book.rings(b)
	n := 0
	for b.Loop() {
		if n == len(rings) {
			b.Fatal("out of batches: use -benchtime=200x or less")
		}
		task := book.claim(b, rings[n])
		if err := book.Fence(b.Context(), task.Ring); err != nil {
			b.Fatal(err)
		}
		book.erase(b, task)
		n++
	}
}
