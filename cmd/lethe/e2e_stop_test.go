package main

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lethe/jobs"
	"lethe/store"
)

// What is appended while the service stops is the newest of all, and the next
// start must be able to tell that it is missing.
func TestTheLastHeadIsKeptAtTheAnchors(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := configFor(data, queueEmbedded, configured("memories", newMem0(t, filepath.Join(t.TempDir(), "m"))))
	s, err := openService(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	defer s.listener.Close()
	ctx, stop := context.WithCancel(t.Context())
	finish := s.lastly(ctx)
	stop()
	time.Sleep(100 * time.Millisecond) // for a publisher that ends too early
	if _, _, err := s.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: store.Selector{UserID: "u1"}}); err != nil {
		t.Fatal(err)
	}
	if err := finish(); err != nil {
		t.Fatal(err)
	}
	head, err := s.ledger.Log().Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := os.ReadFile(filepath.Join(data, logHeadFile)); err != nil || !bytes.Equal(kept, head) {
		t.Errorf("the anchor keeps\n%swant\n%s%v", kept, head, err)
	}
}

// A supervisor that stops the service while it starts must not be told that it
// failed.
func TestAStopDuringTheStartIsNoFailure(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out, talk bytes.Buffer
	code := run(ctx, []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"}, nil, &out, &talk)
	if code != 0 || !bytes.Contains(talk.Bytes(), []byte("stopped while it was starting")) {
		t.Errorf("status %d\n%s", code, talk.Bytes())
	}
}
