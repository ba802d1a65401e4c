package ledger_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// Memory IDs of the tests begin with it, so that an error that repeats one is
// seen.
const canaryMemory = "canary-7f3a"

func memories(of string, n int) []store.ID { return someIDs(canaryMemory+"-"+of, n) }

// plannedIn freezes batches in the places that Mem0 has, and commits the plan.
func (b *book) plannedIn(t testing.TB, task jobs.Task, batches ...[]store.ID) {
	t.Helper()
	round, seq, err := b.Replan(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	for i, ids := range batches {
		if err := b.Freeze(t.Context(), task, round, seq+i, ids); err != nil {
			t.Fatal(err)
		}
	}
	places := []jobs.PlaceCount{{Place: "memories"}, {Place: "messages"}, {Place: "history", With: "memories"}}
	if err := b.Planned(t.Context(), task, jobs.Planned{Round: round, Places: places, Digest: "d"}, 0); err != nil {
		t.Fatal(err)
	}
}

// receive finishes a batch with the outcome that say has for each ID.
func (b *book) receive(t testing.TB, task jobs.Task, say func(store.ID) store.Outcome) {
	t.Helper()
	batch, err := b.Begin(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	key, err := b.keys.Subject(task.Request)
	if err != nil {
		t.Fatal(err)
	}
	var r jobs.Receipt
	var outcomes store.Receipt
	for _, id := range batch.IDs {
		o := say(id)
		outcomes = append(outcomes, o)
		r.Leaves = append(r.Leaves, proof.ReceiptLeaf(key, batch.ID, id.String(), byte(o)))
	}
	r.Erased, r.Absent, r.Held = outcomes.Count(store.Erased), outcomes.Count(store.Absent), outcomes.Count(store.Held)
	r.Root = proof.ReceiptRoot(r.Leaves)
	if err := b.Finish(t.Context(), task, r); err != nil {
		t.Fatal(err)
	}
}

func allErased(store.ID) store.Outcome { return store.Erased }

// proved asks for the proof of a memory and checks it as its reader would.
func (b *book) proved(t testing.TB, request, memory string) proof.MemoryProof {
	t.Helper()
	text, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, request, memory)
	if err != nil {
		t.Fatalf("%v", err)
	}
	if strings.Contains(string(text), memory) {
		t.Error("the proof holds the ID")
	}
	keys, err := proof.ParseKeys([]byte(b.key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	key, err := b.intake.SubjectKey(t.Context(), jobs.ActorLocal, request)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(c []byte) (*proof.Result, error) { return proof.Verify(c, keys) }
	if _, _, err := proof.VerifyMemory(text, verify, key, memory); err != nil {
		t.Fatal(err)
	}
	m, err := proof.ParseMemoryProof(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheOutcomesOfProofsAreThoseOfStores(t *testing.T) {
	for o, s := range map[proof.Outcome]store.Outcome{
		proof.OutcomeErased: store.Erased, proof.OutcomeAbsent: store.Absent,
		proof.OutcomeHeld: store.Held, proof.OutcomeRefused: store.Refused,
	} {
		if byte(o) != byte(s) {
			t.Errorf("%s is %d and %d", o, o, s)
		}
	}
}

func TestEveryReceiptOfARequestCanBeProvedAfterItsEnd(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1")
		of := func(id store.ID) store.Outcome {
			return []store.Outcome{store.Erased, store.Absent, store.Held}[len(id.Key)%3]
		}
		var all []store.ID
		for i, task := range b.tasks(t) {
			batches := [][]store.ID{memories(fmt.Sprint("x", i), 1), memories(fmt.Sprint("y", i), 120), memories(fmt.Sprint("z", i), 7)}
			batches[2][3].Place = "messages"
			b.plannedIn(t, task, batches...)
			for _, ids := range batches {
				all = append(all, ids...)
			}
		}
		for _, task := range b.tasks(t) {
			b.receive(t, task, of)
		}
		if _, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, r.ID, all[0].Key); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("before the end: err = %v, want ErrTooLate", err)
		}
		for _, task := range b.tasks(t) {
			if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
				t.Fatal(err)
			}
			if err := b.complete(t.Context(), task); err != nil && !errors.Is(err, jobs.ErrStale) {
				t.Fatal(err)
			}
		}
		for _, id := range all {
			if m := b.proved(t, r.ID, id.Key); byte(m.Outcome) != byte(of(id)) || m.Place != id.Place {
				t.Errorf("%s in %s, want %c in %s", m.Outcome, m.Place, of(id), id.Place)
			}
		}
	})
}

func TestMemoryProofsAreRefusedWithoutRepeatingTheID(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		id := memories("m", 3)[1]
		b.plannedIn(t, b.task(t, jobs.PlanTask), memories("m", 3))
		b.receive(t, b.task(t, jobs.BatchTask), allErased)
		b.settle(t)
		b.proved(t, r.ID, id.Key)
		for name, row := range map[string]struct {
			request, memory string
			want            error
		}{
			"no such request":    {uuid.NewString(), id.Key, jobs.ErrNotFound},
			"not of the request": {r.ID, canaryMemory + "-nobody", jobs.ErrNotFound},
			"with its place":     {r.ID, id.String(), jobs.ErrNotFound},
			"blank":              {r.ID, " ", store.ErrSelector},
			"wildcard":           {r.ID, "*", store.ErrSelector},
			"with a line end":    {r.ID, canaryMemory + "\n", store.ErrSelector},
		} {
			_, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, row.request, row.memory)
			if !errors.Is(err, row.want) || strings.Contains(err.Error(), canaryMemory) {
				t.Errorf("%s: err = %v, want %v", name, err, row.want)
			}
		}
		gone := func(when string, destroy error) {
			t.Helper()
			if destroy != nil {
				t.Fatal(destroy)
			}
			if _, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, r.ID, id.Key); !errors.Is(err, jobs.ErrGone) {
				t.Errorf("%s: err = %v, want ErrGone", when, err)
			}
		}
		key := filepath.Join(filepath.Dir(b.dir), "keys", "subject", r.ID)
		text, err := os.ReadFile(key)
		gone("without the key", errors.Join(err, b.keys.DestroySubject(r.ID)))
		entry := &proof.SubjectKeyDestroyed{RequestID: r.ID, DestroyedAt: proof.At(b.Now())}
		gone("with a key put back from a backup", errors.Join(b.SubjectKeyGone(t.Context(), r.ID, entry), os.WriteFile(key, text, 0o600)))
	})
}

// A proof that nobody would believe is not handed out.
func TestDamagedReceiptsProveNothing(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plannedIn(t, b.task(t, jobs.PlanTask), memories("m", 3))
		b.receive(t, b.task(t, jobs.BatchTask), allErased)
		b.settle(t)
		another, none := `CAST(substr(leaves, 1, 64) || zeroblob(32) AS BLOB)`, `x''`
		if on == onPostgres {
			another, none = `substr(leaves, 1, 64) || substr(leaves, 1, 32)`, `''`
		}
		for name, damage := range map[string]string{
			"another leaf":    `UPDATE batches SET leaves = ` + another,
			"half a leaf":     `UPDATE batches SET leaves = substr(leaves, 1, 40)`,
			"no leaves":       `UPDATE batches SET leaves = ` + none,
			"no receipt":      `UPDATE batches SET root = NULL`,
			"all of it, even": `UPDATE batches SET leaves = NULL`,
		} {
			var leaves, root []byte
			if err := b.raw.QueryRow(`SELECT leaves, root FROM batches`).Scan(&leaves, &root); err != nil {
				t.Fatal(err)
			}
			if _, err := b.raw.Exec(damage); err != nil {
				t.Fatal(err)
			}
			text, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, r.ID, memories("m", 3)[0].Key)
			if err == nil || text != nil || strings.Contains(err.Error(), canaryMemory) {
				t.Errorf("%s: %d bytes, %v", name, len(text), err)
			}
			if _, err := b.raw.Exec(b.raw.Rebind(`UPDATE batches SET leaves = ?, root = ?`), leaves, root); err != nil {
				t.Fatal(err)
			}
		}
		b.proved(t, r.ID, memories("m", 3)[0].Key)
	})
}

// Of a memory that stands in two stores, the proof must not tell the better half.
func TestAMemoryThatIsStillThereIsSaidFirst(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		for _, held := range []string{"memories", "notes"} {
			b := newBook(t, on)
			r := b.submit(t, "u1")
			for _, task := range b.tasks(t) {
				b.plannedIn(t, task, memories("m", 2))
			}
			for _, task := range b.tasks(t) {
				b.receive(t, task, func(store.ID) store.Outcome {
					if task.Store == held {
						return store.Held
					}
					return store.Erased
				})
			}
			for _, task := range b.tasks(t) {
				if err := b.Verified(t.Context(), task, b.Now(), jobs.Verification{}); err != nil {
					t.Fatal(err)
				}
				if err := b.complete(t.Context(), task); err != nil && !errors.Is(err, jobs.ErrStale) {
					t.Fatal(err)
				}
			}
			if m := b.proved(t, r.ID, memories("m", 2)[1].Key); m.Outcome != proof.OutcomeHeld {
				t.Errorf("held in %s: the proof says %s", held, m.Outcome)
			}
		}
	})
}

// In one place the last word counts: it was found again, and its turn came again.
func TestTheLastRoundOfAPlaceCounts(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plannedIn(t, b.task(t, jobs.PlanTask), memories("m", 2), memories("m", 2))
		for i, task := range b.tasks(t) {
			b.receive(t, task, func(store.ID) store.Outcome { return []store.Outcome{store.Held, store.Absent}[i] })
		}
		b.settle(t)
		if m := b.proved(t, r.ID, memories("m", 2)[0].Key); m.Outcome != proof.OutcomeAbsent {
			t.Errorf("the proof says %s, want what came last", m.Outcome)
		}
	})
}

func TestWhatACancelledRequestErasedCanBeProved(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		b.plannedIn(t, b.task(t, jobs.PlanTask), memories("done", 4), memories("never", 4))
		b.receive(t, b.claim(t, b.rings(t)[0]), allErased)
		if got, err := b.intake.Cancel(t.Context(), jobs.ActorLocal, r.ID); err != nil || got.Status != jobs.Cancelled {
			t.Fatalf("%s, %v", got.Status, err)
		}
		if m := b.proved(t, r.ID, memories("done", 4)[2].Key); m.Outcome != proof.OutcomeErased {
			t.Errorf("the proof says %s", m.Outcome)
		}
		if _, err := b.intake.MemoryProof(t.Context(), jobs.ActorLocal, r.ID, memories("never", 4)[2].Key); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("of a batch that was never begun: err = %v, want ErrNotFound", err)
		}
	})
}

func TestAReissuedCertificateSaysTheSameUnderTheNewestHead(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		r := b.submit(t, "u1", "notes")
		if _, err := b.intake.Reissue(t.Context(), jobs.ActorLocal, r.ID, false); !errors.Is(err, jobs.ErrTooLate) {
			t.Errorf("before the end: err = %v, want ErrTooLate", err)
		}
		b.finish(t, 2)
		b.submit(t, "u2", "notes")
		keys, err := proof.ParseKeys([]byte(b.key.Verifier))
		if err != nil {
			t.Fatal(err)
		}
		for _, accepted := range []bool{false, true} {
			first, err := b.intake.Certificate(t.Context(), jobs.ActorLocal, r.ID)
			if accepted {
				first, err = b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
			text, err := b.intake.Reissue(t.Context(), jobs.ActorLocal, r.ID, accepted)
			if err != nil {
				t.Fatal(err)
			}
			old, err := proof.Verify(first, keys)
			if err != nil {
				t.Fatal(err)
			}
			now, err := proof.Verify(text, keys)
			if err != nil {
				t.Fatal(err)
			}
			if string(old.EntryText()) != string(now.EntryText()) || now.Head.Size != 3 || old.Head.Size >= now.Head.Size {
				t.Errorf("%s under %d, want %s under 3", now.Entry.ID(), now.Head.Size, old.Entry.ID())
			}
		}
		if _, err := b.intake.Reissue(t.Context(), jobs.ActorLocal, uuid.NewString(), true); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("no such request: err = %v, want ErrNotFound", err)
		}
	})
}

// The proof of one memory of a million, the last one.
func BenchmarkMemoryProof(b *testing.B) {
	const batches = 1000
	book := newBook(b, onSQLite)
	r := book.submit(b, "u1", "notes")
	plan := book.task(b, jobs.PlanTask)
	var all [][]store.ID
	for i := range batches {
		all = append(all, memories(fmt.Sprint(i), store.MaxBatch))
	}
	book.plannedIn(b, plan, all...)
	for _, task := range book.tasks(b) {
		book.receive(b, task, allErased)
	}
	book.settle(b)
	last := all[batches-1][store.MaxBatch-1].Key
	clear(all)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		if _, err := book.intake.MemoryProof(b.Context(), jobs.ActorLocal, r.ID, last); err != nil {
			b.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapSys-min(before.HeapSys, after.HeapSys))/(1<<20), "grownMB")
}
