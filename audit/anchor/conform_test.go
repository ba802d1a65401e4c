package anchor_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/anchor"
)

// A subject is an anchor with the two things that only its kind can do.
type subject struct {
	audit.Anchor
	plant func(text []byte)           // puts there what no Store would
	hang  func(release chan struct{}) // holds on to whoever asks
}

func subjects() map[string]func(t *testing.T) subject {
	remote := func(k *keeper, a audit.Anchor) subject {
		return subject{a, func(text []byte) { k.kept = text }, func(release chan struct{}) {
			k.setFault(func(http.ResponseWriter) { <-release })
		}}
	}
	return map[string]func(t *testing.T) subject{
		"File": func(t *testing.T) subject {
			path := filepath.Join(t.TempDir(), "head")
			f := anchor.NewFile(path)
			return subject{f, func(text []byte) {
				if err := os.WriteFile(path, text, 0o600); err != nil {
					t.Fatal(err)
				}
			}, func(release chan struct{}) { f.Hang(release) }}
		},
		"HTTP": func(t *testing.T) subject {
			k, url := httpKeeper(t)
			return remote(k, newHTTP(t, anchor.HTTPOptions{Put: url + "/" + canary + "?sig=" + canary, TokenFile: file(t, "token", canary)}))
		},
		"S3": func(t *testing.T) subject {
			k, url := s3Keeper(t)
			return remote(k, newS3(t, s3Options(t, url)))
		},
	}
}

func TestEveryAnchorKeepsItsPromise(t *testing.T) {
	for kind, open := range subjects() {
		for name, promise := range map[string]func(*testing.T, subject){
			"NothingWasEverKept":   nothingWasEverKept,
			"StoreReplaces":        storeReplaces,
			"NoHeadIsRefused":      noHeadIsRefused,
			"ADamagedHeadIsFound":  aDamagedHeadIsFound,
			"ManyAtOnce":           manyAtOnce,
			"StopsOnCancel":        stopsOnCancel,
			"NothingAfterCanceled": nothingAfterCanceled,
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				s := open(t)
				promise(t, s)
				wantClean(t, s)
			})
		}
	}
}

func nothingWasEverKept(t *testing.T, s subject) {
	if got, err := s.Load(t.Context()); got != nil || err != nil {
		t.Errorf("got %q, %v, want nil and no error", got, err)
	}
}

func storeReplaces(t *testing.T, s subject) {
	for _, n := range []int{1, 2, 2, 100000, 3} {
		if err := s.Store(t.Context(), head(n)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Load(t.Context()); err != nil || !equal(got, head(n)) {
			t.Fatalf("got %q, %v, want the head of size %d", got, err, n)
		}
	}
}

func noHeadIsRefused(t *testing.T, s subject) {
	if err := s.Store(t.Context(), head(7)); err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{nil, {}, []byte("\n"), head(8)[:60], bytes.TrimSuffix(head(8), []byte("\n")), bytes.Repeat(head(8), 1000)} {
		if err := s.Store(t.Context(), text); err == nil {
			t.Errorf("%.80q was kept", text)
		}
	}
	if got, err := s.Load(t.Context()); err != nil || !equal(got, head(7)) {
		t.Errorf("got %q, %v, want the head from before", got, err)
	}
}

func aDamagedHeadIsFound(t *testing.T, s subject) {
	for _, text := range [][]byte{{}, []byte("\n"), head(8)[:10], head(8)[:len(head(8))-1], bytes.Repeat(head(8), 1000), []byte("<html>welcome</html>\n")} {
		s.plant(text)
		if got, err := s.Load(t.Context()); err == nil || got != nil {
			t.Errorf("%.80q: got %.80q, %v, want an error", text, got, err)
		}
	}
	if err := s.Store(t.Context(), head(9)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context()); err != nil || !equal(got, head(9)) {
		t.Errorf("got %q, %v, want the head that replaces the damage", got, err)
	}
}

func manyAtOnce(t *testing.T, s subject) {
	if err := s.Store(t.Context(), head(1)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			if err := s.Store(t.Context(), head(n)); err != nil {
				t.Error(err)
			}
			if got, err := s.Load(t.Context()); err != nil || !bytes.HasPrefix(got, []byte("log.example/lethe\n")) || len(got) != len(head(n)) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
	wg.Wait()
}

// Neither a server nor a disk that has gone may hold up the log.
func stopsOnCancel(t *testing.T, s subject) {
	if err := s.Store(t.Context(), head(1)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	s.hang(release)
	var once sync.Once
	t.Cleanup(func() { once.Do(func() { close(release) }) })
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if _, err := s.Load(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Load: %v, want the deadline", err)
		}
		if err := s.Store(ctx, head(2)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Store: %v, want the deadline", err)
		}
		cancel()
	}
	if _, is := s.Anchor.(*anchor.File); !is {
		return
	}
	// A disk that comes back does what it was told, in order.
	once.Do(func() { close(release) })
	if err := s.Store(t.Context(), head(3)); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Load(t.Context()); err != nil || !equal(got, head(3)) {
		t.Errorf("got %q, %v, want what was stored last", got, err)
	}
}

func nothingAfterCanceled(t *testing.T, s subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if err := s.Store(ctx, head(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("Store: %v, want context.Canceled", err)
		}
		if _, err := s.Load(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Load: %v, want context.Canceled", err)
		}
	}
	if got, err := s.Load(t.Context()); got != nil || err != nil {
		t.Errorf("got %q, %v: something was kept after all", got, err)
	}
}
