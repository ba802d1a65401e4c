package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/jobs"
	"lethe/store"
)

func staged(t *testing.T, s jobs.Staging) (all []string) {
	t.Helper()
	for chunk, err := range s.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if len(chunk) == 0 || len(chunk) > store.MaxBatch {
			t.Errorf("a chunk of %d", len(chunk))
		}
		all = append(all, chunk...)
	}
	return all
}

func TestStagedIDsKeepTheirOrderAndStandOnce(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		random := rand.New(rand.NewPCG(1, 2))
		s, err := b.intake.Stage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Discard(t.Context())
		var want []string
		for range 30 {
			part := make([]string, random.IntN(store.MaxBatch))
			for i := range part {
				part[i] = fmt.Sprintf("id-%d", random.IntN(8000))
			}
			if err := s.Add(t.Context(), part); err != nil {
				t.Fatal(err)
			}
			want = append(want, part...)
		}
		want = unique(want)
		if d := cmp.Diff(want, staged(t, s)); d != "" {
			t.Errorf("-want +got\n%s", d)
		}
		if s.Len() != len(want) {
			t.Errorf("Len = %d, want %d", s.Len(), len(want))
		}
		if err := s.Add(t.Context(), make([]string, store.MaxBatch+1)); err == nil {
			t.Error("more than a batch at once was taken")
		}
	})
}

func unique(ids []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		was := seen[id]
		seen[id] = true
		return was
	})
}

func TestDiscardLeavesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		s := b.stage(t, "a", "b")
		if n := b.count(t, "staged"); n != 1 {
			t.Fatalf("%d rows staged", n)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel() // the client has gone
		if err := s.Discard(gone); err != nil {
			t.Fatal(err)
		}
		if n := b.count(t, "staged"); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		if sealed, err := b.keys.Sealed(); err != nil || len(sealed) != 0 {
			t.Errorf("keys are left: %v, %v", sealed, err)
		}
	})
}

func TestDiscardAfterSubmitKeepsTheIDs(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		s := b.stage(t, "a", "b", "c")
		r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: s})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		kept(t, b, r.ID, "a", "b", "c")
	})
}

func kept(t *testing.T, b *book, id string, want ...string) {
	t.Helper()
	var got []string
	for chunk, err := range b.Staged(t.Context(), id) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, chunk...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
}

// The commit may have happened although it was not answered; then the request
// stands, and its IDs and keys must.
func TestDiscardAfterAnAmbiguousSubmitKeepsTheIDs(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		s := b.stage(t, "a", "b", "c")
		b.intake.Ledger = deafLedger{b.Ledger}
		if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: s}); !errors.Is(err, errDeaf) {
			t.Fatalf("err = %v", err)
		}
		if err := s.Discard(t.Context()); err != nil {
			t.Fatal(err)
		}
		list, err := b.List(t.Context(), "", nil, 10, "")
		if err != nil || len(list) != 1 {
			t.Fatalf("%d requests, %v", len(list), err)
		}
		kept(t, b, list[0].ID, "a", "b", "c")
		if _, err := b.keys.Subject(list[0].ID); err != nil {
			t.Errorf("the subject key: %v", err)
		}
	})
}

var errDeaf = errors.New("the connection was lost after the commit")

// A deafLedger accepts and does not say so.
type deafLedger struct{ jobs.Ledger }

func (l deafLedger) Accept(ctx context.Context, a jobs.Acceptance) (*jobs.Request, []byte, error) {
	_, _, err := l.Ledger.Accept(ctx, a)
	return nil, nil, errors.Join(err, errDeaf)
}

func TestAReplayDiscardsItsOwnIDs(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		for i := range 2 {
			s := b.stage(t, "a", "b", "c")
			r, replayed, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: s, IdempotencyKey: "k"})
			if err != nil || replayed != (i == 1) {
				t.Fatalf("replayed = %v, %v", replayed, err)
			}
			if err := s.Discard(t.Context()); err != nil {
				t.Fatal(err)
			}
			kept(t, b, r.ID, "a", "b", "c")
		}
		if n := b.count(t, "staged"); n != 1 {
			t.Errorf("%d rows staged, want those of the one request", n)
		}
		if sealed, err := b.keys.Sealed(); err != nil || len(sealed) != 1 {
			t.Errorf("%d seal keys, %v", len(sealed), err)
		}
	})
}

// An upload that took so long that its seal key was swept away must be refused:
// a request whose IDs cannot be read would never end.
func TestIDsWithoutTheirKeyAreNotAccepted(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		s := b.stage(t, "a")
		sealed, err := b.keys.Sealed()
		if err != nil || len(sealed) != 1 {
			t.Fatal(sealed, err)
		}
		if err := b.keys.DestroySeal(sealed[0]); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: s}); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("err = %v, want ErrGone", err)
		}
		if n := b.count(t, "requests"); n != 0 {
			t.Error("it was filed")
		}
	})
}

func TestWhatACrashLeftStagedIsSweptAtTheNextStart(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		filed := b.stage(t, "a", "b")
		r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Staged: filed})
		if err != nil {
			t.Fatal(err)
		}
		b.stage(t, "c") // never filed: the process dies
		restart := func(after time.Duration, want int) {
			t.Helper()
			b.advance(after)
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b.open(t)
			if n := b.count(t, "staged"); n != want {
				t.Errorf("%s after: %d rows staged, want %d", after, n, want)
			}
		}
		restart(59*time.Minute, 2) // could still be filed by a client that is slow
		restart(2*time.Minute, 1)
		kept(t, b, r.ID, "a", "b")
	})
}

// A million IDs never stand in memory.
func TestAMillionIDsTakeLittleMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a million IDs")
	}
	b := newBook(t, onSQLite)
	s, err := b.intake.Stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Discard(t.Context())
	before, peak := heap(), uint64(0)
	began := time.Now()
	chunk := make([]string, store.MaxBatch)
	for n := 0; n < jobs.MaxIDs; n += len(chunk) {
		for i := range chunk {
			chunk[i] = fmt.Sprintf("018f3c5e-7b1a-7000-8000-%012x", n+i)
		}
		if err := s.Add(t.Context(), chunk); err != nil {
			t.Fatal(err)
		}
		if n%100_000 == 0 {
			peak = max(peak, heap())
		}
	}
	took := time.Since(began)
	if s.Len() != jobs.MaxIDs {
		t.Errorf("kept %d", s.Len())
	}
	if err := s.Add(t.Context(), []string{"one too many"}); !errors.Is(err, store.ErrSelector) {
		t.Errorf("err = %v, want ErrSelector", err)
	}
	read := 0
	for chunk, err := range s.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if read += len(chunk); read%100_000 == 0 {
			peak = max(peak, heap())
		}
	}
	if read != jobs.MaxIDs {
		t.Errorf("read %d", read)
	}
	t.Logf("a million IDs staged in %.1f s and read in %.1f s; heap %.1f MB before and %.1f MB at most",
		took.Seconds(), (time.Since(began) - took).Seconds(), float64(before)/1e6, float64(peak)/1e6)
	if peak > 24e6 {
		t.Errorf("the heap had %d bytes, %d before", peak, before)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}
