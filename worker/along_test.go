package worker_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/jmoiron/sqlx"
	_ "github.com/mattn/go-sqlite3"

	"lethe/audit/audittest"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/worker"
)

// A pair is a memory of alice's and an entity that links to nothing else, in a
// real store, with more memories beside them.
type pair struct {
	store.Store
	again func(t *testing.T) // writes the entity again; nil for a store that is not asked to
}

const (
	theMemory = "11111111-1111-4111-8111-111111111111"
	theEntity = "22222222-2222-4222-8222-222222222222"
)

func memoryID(i int) string { return fmt.Sprintf("33333333-3333-4333-8333-%012d", i) }

// left counts rows of the pair.
func (p *pair) left(t *testing.T) int {
	t.Helper()
	ids, err := p.Remaining(t.Context(), []store.ID{{Place: "memories", Key: theMemory}, {Place: "entities", Key: theEntity}})
	if err != nil {
		t.Fatal(err)
	}
	return len(ids)
}

// pairs are how a pair is made, with n more memories of alice's.
func pairs() map[string]func(t *testing.T, n int) *pair {
	return map[string]func(t *testing.T, n int) *pair{"SQLite": pairOnSQLite, "PostgreSQL": pairOnPostgres}
}

func pairOnSQLite(t *testing.T, n int) *pair {
	t.Helper()
	files, err := mem0.CreateSQLite(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := mem0.WriteSQLite(t.Context(), files, slices.Values([]mem0.Memory{{ID: theMemory, UserID: "alice", Text: "x"}})); err != nil {
		t.Fatal(err)
	}
	write := func(t *testing.T, path string, rows func(*sqlx.Tx)) {
		t.Helper()
		db := sqlx.MustOpen("sqlite3", "file:"+path+"?_synchronous=OFF")
		tx := db.MustBegin()
		rows(tx)
		if err := errors.Join(tx.Commit(), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	write(t, files.Vectors, func(tx *sqlx.Tx) {
		for i := range n {
			tx.MustExec(`INSERT INTO vectors (id, vector, payload) VALUES (?, x'00', '{"user_id":"alice"}')`, memoryID(i))
		}
	})
	again := func(t *testing.T) {
		t.Helper()
		write(t, files.Entities, func(tx *sqlx.Tx) {
			tx.MustExec(`INSERT INTO vectors (id, vector, payload) VALUES (?, x'00', ?)`, theEntity, `{"user_id":"alice","entityType":"T","linkedMemoryIds":["`+theMemory+`"]}`)
		})
	}
	again(t)
	s, err := mem0.OpenSQLite(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &pair{s, again}
}

func pairOnPostgres(t *testing.T, n int) *pair {
	t.Helper()
	dsn := audittest.Schema(t)
	db := sqlx.MustOpen("pgx", dsn)
	for _, table := range []string{"memories", "memories_entities"} {
		db.MustExec(`CREATE TABLE ` + table + ` (id uuid PRIMARY KEY, vector real[], payload jsonb)`)
	}
	db.MustExec(`INSERT INTO memories SELECT ('33333333-3333-4333-8333-' || lpad(i::text, 12, '0'))::uuid, '{1}', '{"user_id":"alice"}' FROM generate_series(0, $1::int - 1) i`, n)
	db.MustExec(`INSERT INTO memories VALUES ($1, '{1}', '{"user_id":"alice"}')`, theMemory)
	db.MustExec(`INSERT INTO memories_entities VALUES ($1, '{1}', jsonb_build_object('user_id', 'alice', 'entity_type', 'T', 'linked_memory_ids', jsonb_build_array($2::text)))`, theEntity, theMemory)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := mem0.OpenPostgres(t.Context(), mem0.PostgresConfig{DSN: dsn, Table: "memories", Entities: "memories_entities"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &pair{Store: s}
}

// parted has alice's memory held, her entity in a batch of its own that nobody
// carries out, and the hold released: the memory's batch is the first.
func parted(h *house, e *worker.Eraser) (id string, memory, entity jobs.Ring) {
	h.t.Helper()
	hold := h.place(store.Selector{IDs: []string{theMemory}})
	id = h.forget("alice")
	h.handle(e, h.ring()) // plans
	h.handle(e, h.ring()) // sets aside
	entity = h.ring()
	h.release(hold.ID)
	if err := h.ledger.Unhold(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return id, h.ring(), entity
}

// What goes along with another ID of the same request was erased by that request,
// whatever batch its own ID is in.
func TestAnEntityThatGoesAlongWithItsLastMemoryIsCountedErased(t *testing.T) {
	t.Parallel()
	for name, open := range pairs() {
		t.Run(name+"/Held", func(t *testing.T) {
			t.Parallel()
			p, h := open(t, 0), newHouse(t, "m")
			e := h.eraser(kept("m", p))
			id, memory, entity := parted(h, e)
			h.handle(e, memory)
			if n := p.left(t); n != 0 {
				t.Fatalf("%d of the pair are left, want the entity to go with its memory", n)
			}
			h.handle(e, entity)
			h.finish(e, id)
			h.wantErased(id, 2)
		})
		t.Run(name+"/MoreThanABatch", func(t *testing.T) {
			t.Parallel()
			p, h := open(t, 1000), newHouse(t, "m")
			e := h.eraser(kept("m", memoriesFirst{p}))
			id := h.forget("alice")
			h.finish(e, id)
			h.wantErased(id, 1002)
		})
	}
}

// memoriesFirst lists what a real store lists last: the batches of a plan may be
// carried out in any order.
type memoriesFirst struct{ store.Store }

func (m memoriesFirst) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		var ids []store.ID
		for id, err := range m.Store.Find(ctx, sel) {
			if err != nil {
				yield(id, err)
				return
			}
			ids = append(ids, id)
		}
		slices.SortFunc(ids, func(a, b store.ID) int {
			return cmp.Or(-cmp.Compare(a.Place, b.Place), cmp.Compare(a.Key, b.Key))
		})
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (h *house) wantErased(id string, n int) {
	h.t.Helper()
	c := h.completed(id).Stores[0]
	if c.Erased != n || c.Absent != 0 || c.Found != n {
		h.t.Errorf("found %d, erased %d, absent %d; want %[4]d, %[4]d, 0", c.Found, c.Erased, c.Absent, n)
	}
	h.wantLeaves(id, 'e')
}

// wantLeaves fails unless the receipts say this of the pair.
func (h *house) wantLeaves(id string, outcome byte) {
	h.t.Helper()
	key, err := h.keys.Subject(id)
	if err != nil {
		h.t.Fatal(err)
	}
	said := 0
	for r, err := range h.ledger.Receipts(h.t.Context(), id) {
		if err != nil {
			h.t.Fatal(err)
		}
		for _, of := range []string{"memories/" + theMemory, "entities/" + theEntity} {
			if leaf := proof.ReceiptLeaf(key, r.Batch, of, outcome); bytes.Contains(r.Leaves, leaf[:]) {
				said++
			}
		}
	}
	if said != 2 {
		h.t.Errorf("the receipts say %c of %d of the pair", outcome, said)
	}
}

// Two requests select the pair; one of them has it in two batches. What is gone is
// claimed by who erased it, once.
func TestWhatGoesAlongIsClaimedByOneRequest(t *testing.T) {
	t.Parallel()
	for name, open := range pairs() {
		for when := range 3 {
			t.Run(fmt.Sprintf("%s/%d", name, when), func(t *testing.T) {
				t.Parallel()
				p, h := open(t, 0), newHouse(t, "m")
				e := h.eraser(kept("m", p))
				first, memory, entity := parted(h, e)
				second := h.forget("alice")
				h.handle(e, h.ring())
				rival := h.ring()
				order := [][]jobs.Ring{{memory, rival, entity}, {rival, memory, entity}, {memory, entity, rival}}[when]
				for _, r := range order {
					h.handle(e, r)
				}
				h.finish(e, first)
				h.finish(e, second)
				a, b := h.completed(first).Stores[0], h.completed(second).Stores[0]
				if a.Erased+b.Erased != 2 || a.Absent+b.Absent != 2 || a.Erased == 1 || p.left(t) != 0 {
					t.Errorf("one says erased %d absent %d, the other %d and %d", a.Erased, a.Absent, b.Erased, b.Absent)
				}
			})
		}
	}
}

// An entity that came back, and was erased by another request, is not claimed for
// having gone along before.
func TestWhatCameBackIsNotSaidToHaveGoneAlong(t *testing.T) {
	t.Parallel()
	p, h := pairOnSQLite(t, 0), newHouse(t, "m")
	e := h.eraser(kept("m", p))
	id, memory, entity := parted(h, e)
	h.handle(e, memory)
	h.handle(e, entity)
	p.again(t)
	h.handle(e, h.ring()) // verifies, and plans another round
	rival := h.forget("alice")
	h.finish(e, rival) // before the round's batch, which waits a little
	h.finish(e, id)
	mine, theirs := h.completed(id).Stores[0], h.completed(rival).Stores[0]
	if mine.Rounds != 2 || mine.Erased != 2 || mine.Absent != 2 || // the memory is there again by its link alone
		theirs.Erased != 1 {
		t.Errorf("%d rounds, erased %d, absent %d, and the other request erased %d: three rows were there", mine.Rounds, mine.Erased, mine.Absent, theirs.Erased)
	}
}

// A process that dies at any step, the store's transaction among them, leaves the
// counts as they would be.
func TestACrashLosesNothingOfWhatWentAlong(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("After=%t", after), func(t *testing.T) {
			t.Parallel()
			died := map[string]int{}
			for n := 1; ; n++ {
				p, h := pairOnSQLite(t, 0), newHouse(t, "m")
				e := h.eraser(kept("m", p))
				id, memory, entity := parted(h, e)
				f := &fate{n: n, after: after}
				mortally := h.eraser(kept("m", mortalStore{purgingPair{p}, f}))
				mortally.Ledger = mortal{h.ledger, f}
				for _, r := range []jobs.Ring{memory, entity} {
					_ = mortally.Handle(t.Context(), r)
				}
				h.restart()
				h.finish(e, id)
				h.wantErased(id, 2)
				if t.Failed() {
					t.Fatalf("killed at step %d, %s", n, f.last)
				}
				if f.last == "" {
					break
				}
				died[f.last]++
			}
			for _, step := range []string{"GoesAlong", "GoneAlong", "Erase", "Finish"} {
				if died[step] == 0 {
					t.Errorf("never killed at %s; killed at %v", step, died)
				}
			}
		})
	}
}

type purgingPair struct{ *pair }

func (p purgingPair) Purge(ctx context.Context) error { return p.Store.(store.Purger).Purge(ctx) }

// A request that is cancelled after the memory, or while it is erased, says also
// what went along.
func TestACancelledRequestCountsWhatWentAlong(t *testing.T) {
	t.Parallel()
	for name, open := range pairs() {
		for _, while := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/While=%t", name, while), func(t *testing.T) {
				t.Parallel()
				p, h := open(t, 0), newHouse(t, "m")
				e := h.eraser(kept("m", p))
				id, memory, _ := parted(h, e)
				if while {
					e.Ledger = fencedThen{h.ledger, func() { h.cancel(id) }}
				}
				h.handle(e, memory)
				e.Ledger = h.ledger
				if !while {
					h.cancel(id)
				}
				h.restart()
				h.finish(e, id)
				if c := h.cancelled(id).Stores[0]; c.Erased != 2 || p.left(t) != 0 {
					t.Errorf("cancelled, erased %d; %d of two are left", c.Erased, p.left(t))
				}
			})
		}
	}
}

// fencedThen does something once a batch has passed its fence.
type fencedThen struct {
	worker.Ledger
	then func()
}

func (f fencedThen) Fence(ctx context.Context, r jobs.Ring) error {
	err := f.Ledger.Fence(ctx, r)
	f.then()
	return err
}
