package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/queue/queuetest"
	"lethe/store/mem0"
)

// aliceGone is what a certificate says of the real fixture without alice.
const aliceGone = "requested 89 found 89 erased 89 absent 0 unattributable 12 rounds 1 purged"

// alicePlaces is what it says of each place.
var alicePlaces = []proof.PlaceProof{
	{Name: "entities", Erased: 43}, {Name: "history", Found: 41, With: "memories"}, {Name: "memories", Erased: 38}, {Name: "messages", Erased: 8},
}

// A world is what there is before anything is erased: alice's rows, the rest,
// and those of alice that nothing ties to her any more.
type world struct {
	rest   map[string]string
	orphan []string // texts that Mem0 itself has left behind
	alice  []string // names of her rows
}

func worldOf(t testing.TB, c mem0.SQLiteConfig) world {
	t.Helper()
	w := world{rest: rowsOf(t, c)}
	for name, text := range w.rest {
		if !strings.Contains(text, "alice") {
			continue
		}
		if strings.HasPrefix(name, "memory.db memory_history ") && !w.remembered(text) {
			w.orphan = append(w.orphan, text)
			continue
		}
		w.alice = append(w.alice, name)
	}
	for _, name := range w.alice {
		delete(w.rest, name)
	}
	return w
}

// remembered reports whether a row of the history is of a memory that is there.
func (w world) remembered(row string) bool {
	_, ok := w.rest["vector_store.db vectors "+uuids.FindString(row)]
	return ok
}

var uuids = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)

var secretToken = regexp.MustCompile(`SECRET-A-alice-\d+`)

// wantNoByte fails if a token of alice, or her name, stands in any file, but
// for what the orphans say.
func (w world) wantNoByte(t testing.TB, files map[string][]byte) {
	t.Helper()
	allowed := map[string]bool{}
	var texts []string
	for _, row := range w.orphan {
		for _, found := range secretToken.FindAllString(row, -1) {
			allowed[found] = true
		}
		for _, quoted := range regexp.MustCompile(`"([^"]*alice[^"]*)"`).FindAllStringSubmatch(row, -1) {
			texts = append(texts, quoted[1])
		}
	}
	if len(allowed) != 2 || len(files) < 6 {
		t.Fatalf("%d tokens of orphans, want 2; %d files", len(allowed), len(files))
	}
	for path, b := range files {
		for _, found := range secretToken.FindAllString(string(b), -1) {
			if !allowed[found] {
				t.Errorf("%s: %s is left", filepath.Base(path), found)
			}
		}
		for _, text := range texts {
			b = bytes.ReplaceAll(b, []byte(text), nil)
		}
		if i := bytes.Index(bytes.ToLower(b), []byte("alice")); i >= 0 {
			t.Errorf("%s: alice is left: %q", filepath.Base(path), b[max(0, i-30):min(len(b), i+30)])
		}
	}
}

func TestAliceIsForgotten(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"Embedded", "Redis"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if kind == "Embedded" {
				forgetAlice(t, dir, queueEmbedded, func() {})
				return
			}
			kept := filepath.Join(dir, "redis")
			if err := os.Mkdir(kept, 0o700); err != nil {
				t.Fatal(err)
			}
			redis := queuetest.Redis(t, "--dir", kept, "--appendonly", "yes")
			forgetAlice(t, dir, redis.URL(), func() { redis.Do("SAVE") })
			if len(bytesUnder(t, kept)) < 2 {
				t.Error("redis left no files to look at")
			}
		})
	}
}

// forgetAlice looks at every byte in dir once save has been called.
func forgetAlice(t *testing.T, dir, queue string, save func()) {
	t.Helper()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	w := worldOf(t, mem)
	r := start(t, configFor(filepath.Join(dir, "data"), queue, configured("mem0", mem)), nil)
	id := r.forget("alice")
	result := r.statement(id)
	if got := said(r.completed(id).Stores[0]); got != aliceGone {
		t.Errorf("certificate: %s\nwant %s", got, aliceGone)
	}
	if diff := cmp.Diff(alicePlaces, r.completed(id).Stores[0].Places); diff != "" {
		t.Errorf("places of the certificate (-want +got)\n%s", diff)
	}
	key, err := r.client.SubjectKey(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if about, err := result.Subject(key, []byte(`{"user_id": "alice"}`)); err != nil || !about {
		t.Errorf("the key does not open the subject commitment: %v", err)
	}
	if about, _ := result.Subject(key, []byte(`{"user_id": "bob"}`)); about {
		t.Error("the certificate is about bob as well")
	}
	if diff := cmp.Diff(map[string]int{"erasure.accepted/v1": 1, "erasure.completed/v1": 1}, r.kinds()); diff != "" {
		t.Errorf("log (-want +got)\n%s", diff)
	}
	save()
	r.stop()
	if diff := cmp.Diff(w.rest, rowsOf(t, mem)); diff != "" {
		t.Errorf("the rest of the world (-before +after)\n%s", diff)
	}
	if len(w.alice) != 130 || len(w.rest) < 100 {
		t.Errorf("%d rows of alice in a world of %d", len(w.alice), len(w.rest))
	}
	w.wantNoByte(t, bytesUnder(t, dir))
}

func TestAMemoryWrittenMeanwhileIsErasedToo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	w := worldOf(t, mem)
	var once atomic.Bool
	m := func(_ context.Context, call string, after bool) {
		if call == "Erase" && !after && once.CompareAndSwap(false, true) {
			write(t, mem, mem0.Memory{ID: "late", UserID: "alice", Text: "SECRET-A-alice-9999 came late", Message: true, Entities: []string{"alice's boat"}})
		}
	}
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", mem)), m)
	id := r.forget("alice")
	if got, want := said(r.completed(id).Stores[0]), "requested 92 found 92 erased 92 absent 0 unattributable 12 rounds 2 purged"; got != want {
		t.Errorf("certificate: %s\nwant %s", got, want)
	}
	r.stop()
	left := rowsOf(t, mem)
	delete(left, "memory.db sqlite_sequence memory_history") // counts on
	delete(w.rest, "memory.db sqlite_sequence memory_history")
	if diff := cmp.Diff(w.rest, left); diff != "" {
		t.Errorf("the rest of the world (-before +after)\n%s", diff)
	}
	w.wantNoByte(t, bytesUnder(t, dir))
}

// TestRedisFlushedMidRunLosesNothing flushes while something is being erased
// and more tasks wait in Redis.
func TestRedisFlushedMidRunLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var stores []StoreConfig
	for _, name := range []string{"a", "b"} {
		mem := newMem0(t, filepath.Join(dir, name))
		for i := range 12 {
			write(t, mem, slices.Collect(mem0.Sample(fmt.Sprintf("user%d", i), 5))...)
		}
		stores = append(stores, configured(name, mem))
	}
	redis := queuetest.Redis(t)
	var (
		erasing      = make(chan struct{})
		begin, flush sync.Once
		held         atomic.Int32 // tasks that stay in Redis, unclaimed, until their loss is noticed
		serving      atomic.Pointer[running]
	)
	rungAgain := func() bool {
		r := serving.Load()
		return r != nil && testutil.ToFloat64(r.s.requeued.WithLabelValues(jobs.ReasonFlush)) > 0
	}
	m := func(ctx context.Context, call string, after bool) {
		switch {
		case after:
		case call == "Claim":
			select {
			case <-erasing:
				held.Add(1)
				for !rungAgain() && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
			default:
			}
		case call == "Erase":
			begin.Do(func() { close(erasing) })
			flush.Do(func() {
				for held.Load() == 0 && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				redis.Flush()
			})
		}
	}
	r := start(t, configFor(filepath.Join(dir, "data"), redis.URL(), stores...), m)
	serving.Store(r)
	var ids []string
	for i := range 12 {
		for _, name := range []string{"a", "b"} {
			ids = append(ids, r.forget(fmt.Sprintf("user%d", i), name))
		}
	}
	for _, id := range ids {
		if c := r.completed(id).Stores[0]; c.Erased != c.Found || c.Found < 5 || c.Absent != 0 || c.Rounds != 1 {
			t.Errorf("certificate: %s", said(c))
		}
	}
	if !rungAgain() {
		t.Error("nothing was rung again: redis was not flushed in the midst of it, or nobody noticed")
	}
}

// TestStopsWithinTenSeconds stops the service while a batch is being erased,
// by a store that only its context can stop.
func TestStopsWithinTenSeconds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mem := realMem0(t, filepath.Join(dir, "mem0"))
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", mem))
	erasing := make(chan struct{}, 1)
	r := start(t, c, func(ctx context.Context, call string, after bool) {
		if call == "Erase" && !after {
			erasing <- struct{}{}
			<-ctx.Done()
		}
	})
	id := r.forget("alice")
	<-erasing
	limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil {
			t.Error(err)
		}
	case <-limit.Done():
		t.Fatal("the service does not stop within 10 s")
	}
	if err := r.s.Close(); err != nil {
		t.Error(err)
	}
	if n := len(slices.Collect(maps.Keys(rowsOf(t, mem)))); n < 100 {
		t.Errorf("%d rows", n)
	}
	r = start(t, c, nil)
	if got := said(r.completed(id).Stores[0]); got != aliceGone {
		t.Errorf("certificate after the stop: %s\nwant %s", got, aliceGone)
	}
}
