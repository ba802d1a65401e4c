package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/jobs"
	"lethe/store"
	"lethe/store/mem0"
	"lethe/store/mem0/web"
	"lethe/store/mem0/webtest"
	"lethe/store/tables"
)

// Of each kind it is known before a store is opened whether it can be watched.
func TestEachKindSaysWhetherItCanBeWatched(t *testing.T) {
	for kind, s := range map[string]any{
		KindMem0Platform: (*web.Platform)(nil), KindMem0Server: (*web.Server)(nil),
		KindMem0SQLite: (*tables.Store)(nil), KindTables: (*tables.Store)(nil), KindMem0Postgres: (*tables.Postgres)(nil),
	} {
		_, listing := s.(store.Listing)
		if c := (&StoreConfig{Kind: kind}); c.lists() != listing {
			t.Errorf("%s: says %t, is %t", kind, c.lists(), listing)
		}
	}
}

// A store that lists nothing is not taken for clean: the metric says so, and so do
// the check, and whoever asks for a replay is told.
func TestAStoreThatCannotBeWatchedIsSaidToBe(t *testing.T) {
	t.Parallel()
	hosted := httptest.NewServer(webtest.NewPlatform(platformKey))
	t.Cleanup(hosted.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte(platformKey), 0o600); err != nil {
		t.Fatal(err)
	}
	platform := StoreConfig{Name: "platform", Kind: KindMem0Platform, URL: hosted.URL, TokenFile: filepath.Join(dir, "token")}
	here := configured("here", newMem0(t, filepath.Join(dir, "mem0"), mem0.Memory{ID: "a", UserID: "alice", Text: "tea"}))
	r := start(t, configFor(filepath.Join(dir, "data"), queueEmbedded, here, platform), nil)
	want := `# HELP lethe_watch_unable 1 if a store cannot list what is in it, so that nobody looks whether anything has come back to it; else 0.
# TYPE lethe_watch_unable gauge
lethe_watch_unable{store="here"} 0
lethe_watch_unable{store="platform"} 1
`
	if err := testutil.GatherAndCompare(r.s.registry, strings.NewReader(want), "lethe_watch_unable"); err != nil {
		t.Error(err)
	}
	if _, err := r.client.Replay(t.Context(), "platform", time.Time{}, true); err == nil || !strings.Contains(err.Error(), "cannot list") {
		t.Errorf("a replay: %v", err)
	}
	if found, err := r.client.Replay(t.Context(), "here", time.Time{}, true); err != nil || found.Back != 0 {
		t.Errorf("another one: %+v, %v", found, err)
	}
	if _, err := r.s.returns.Replay(t.Context(), jobs.ActorLocal, jobs.ReplayOrder{Store: "elsewhere"}); err == nil {
		t.Error("a store that is not there")
	}
}
