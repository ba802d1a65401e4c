package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs/api"
)

// snapshot copies a store's files, as a backup would, and returns how to put them
// back. Nobody may have them open.
func snapshot(t testing.TB, dir string) (restore func()) {
	t.Helper()
	copyAll := func(from, to string) {
		t.Helper()
		if err := os.RemoveAll(to); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	kept := filepath.Join(t.TempDir(), "backup")
	copyAll(dir, kept)
	return func() { copyAll(kept, dir) }
}

func (r *running) replay(dryRun bool) api.Replay {
	r.t.Helper()
	found, err := r.client.Replay(r.t.Context(), "mem0", time.Time{}, dryRun)
	if err != nil {
		r.t.Fatal(err)
	}
	return found
}

// The drill: a store is backed up, alice is forgotten, the backup is restored, and
// she is there again, as it must be shown first. Then a replay finds exactly her and
// has her erased again. No row of anybody else has changed by a byte, no file of
// the store has a word of hers, and the log says what was done.
func TestDrillBringsAliceBackAndErasesHerAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder := filepath.Join(dir, "mem0")
	mem := realMem0(t, folder)
	restore := snapshot(t, folder)
	before := rowsOf(t, mem)
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("mem0", mem))

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tROWS OF ALICE\tROWS OF OTHERS")
	var without map[string]string // the rows once she has been forgotten
	step := func(what string) (hers int) {
		rows := rowsOf(t, mem)
		if without == nil && what != "before" {
			without = rows
		}
		for name := range rows {
			if _, others := without[name]; !others {
				hers++
			}
		}
		if without != nil {
			fmt.Fprintf(w, "%s\t%d\t%d\n", what, hers, len(rows)-hers)
		}
		return hers
	}
	r := start(t, c, nil)
	first := r.forget("alice")
	erased := r.completed(first).Stores[0].Erased
	r.stop()
	step("alice is forgotten")
	if r = start(t, c, nil); r.replay(true).Back != 0 {
		t.Error("something has come back before anything was restored")
	}
	r.stop()

	restore()
	if step("the backup is restored") == 0 {
		t.Fatal("nothing has come back: the drill shows nothing")
	}
	r = start(t, c, nil)
	plan := r.replay(true)
	if diff := cmp.Diff(before, rowsOf(t, mem)); diff != "" {
		t.Errorf("a dry run has changed something:\n%s", diff)
	}
	if plan.Back != erased || plan.Later != 0 || plan.Undated != 0 || len(plan.Requests) != 0 {
		t.Errorf("dry run: %+v; %d IDs were erased", plan, erased)
	}
	found := r.replay(false)
	if found.Back != erased || len(found.Requests) != 1 {
		t.Fatalf("%+v", found)
	}
	if s := r.completed(found.Requests[0]).Stores[0]; s.Erased != erased || s.Evidence != proof.EvidencePurged {
		t.Errorf("certificate: %s", said(s))
	}
	if again := r.replay(false); again.Back != 0 || len(again.Requests) != 0 {
		t.Errorf("again: %+v", again)
	}
	if n := r.kinds()[proof.KindReplayed]; n != 2 {
		t.Errorf("the log tells of %d replays", n)
	}
	r.stop()
	if left := step("replayed"); left != 0 {
		t.Errorf("%d rows of hers are left", left)
	}
	if diff := cmp.Diff(without, rowsOf(t, mem)); diff != "" {
		t.Errorf("rows of others (-before the restore +after the replay):\n%s", diff)
	}
	for path, b := range bytesUnder(t, c.Data) {
		if strings.Contains(string(b), "alice") {
			t.Errorf("%s names her", filepath.Base(path))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("the drill:\n%s", table.String())
}
