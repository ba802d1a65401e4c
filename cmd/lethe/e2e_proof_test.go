package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"
	"lethe/jobs/api"
	"lethe/store/mem0"
)

// spellings are the ways in which a key could stand in a file.
func spellings(key []byte) map[string][]byte {
	low := hex.EncodeToString(key)
	return map[string][]byte{
		"raw": key, "hex": []byte(low), "capital hex": []byte(strings.ToUpper(low)),
		"base64":    []byte(base64.RawStdEncoding.EncodeToString(key)),
		"base64url": []byte(base64.RawURLEncoding.EncodeToString(key)),
	}
}

// holding returns the files that hold a key, with the spelling.
func holding(files map[string][]byte, key []byte) (found []string) {
	for path, text := range files {
		for name, spelt := range spellings(key) {
			if bytes.Contains(text, spelt) {
				found = append(found, filepath.Base(filepath.Dir(path))+"/"+filepath.Base(path)+" in "+name)
			}
		}
	}
	return found
}

// logged runs the service with its log in the data folder.
func logged(t testing.TB, c Config) *running {
	t.Helper()
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(c.Data, "lethe.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return startLogging(t, c, nil, slog.New(slog.NewJSONHandler(f, &slog.HandlerOptions{Level: slog.LevelDebug})))
}

func (r *running) gone() bool {
	_, err := r.client.SubjectKey(r.t.Context(), r.id)
	p, ok := errors.AsType[*api.Problem](err)
	if err != nil && !ok {
		r.t.Fatal(err)
	}
	return ok && p.Status == http.StatusGone
}

// A subject key is destroyed on schedule, and then no byte of it is left in any
// file of the data folder: keys, ledger, its journals, log.
func TestNoFileHoldsASubjectKeyAfterItsTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, configured("assistant", newMem0(t, filepath.Join(dir, "mem0"),
		mem0.Memory{ID: "m1", UserID: "alice", Text: "tea"})))
	c.SubjectKeyRetention = Duration(time.Millisecond)
	r := logged(t, c)
	r.id = r.forget("alice")
	r.completed(r.id)
	key, err := r.client.SubjectKey(t.Context(), r.id)
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes, %v: keys are swept at the start and then once a minute", len(key), err)
	}
	r.stop()
	if found := holding(bytesUnder(t, c.Data), key); len(found) != 1 || found[0] != "subject/"+r.id+" in raw" {
		t.Fatalf("before its time the key stands in %q, want in its own file and no other", found)
	}
	for name, spelt := range spellings(key) { // or the search would find nothing
		if found := holding(map[string][]byte{"x/y": append([]byte("…"), spelt...)}, key); len(found) == 0 {
			t.Errorf("the search does not see the key in %s", name)
		}
	}

	again := logged(t, c)
	again.id = r.id
	for end := time.Now().Add(patience); !again.gone(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the key is not destroyed")
		}
	}
	if _, err := again.client.MemoryProof(t.Context(), r.id, "m1"); err == nil {
		t.Error("a memory is proved without the key")
	}
	again.completed(r.id) // the certificate outlives its key
	// The entry follows the key: wait for it, so that all is written.
	for end := time.Now().Add(patience); again.kinds()[proof.KindSubjectKeyDestroyed] == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the log does not say that the key was destroyed")
		}
	}
	if found := holding(openFiles(t, c.Data), key); len(found) > 0 {
		t.Errorf("while it runs the key stands in %q", found)
	}
	again.stop()
	files := bytesUnder(t, c.Data)
	if found := holding(files, key); len(found) > 0 {
		t.Errorf("the key stands in %q", found)
	}
	if len(files[filepath.Join(c.Data, "lethe.log")]) == 0 {
		t.Error("the log file is empty: it was not looked at")
	}
}

// openFiles returns the files of a running service. Another process copies them:
// to read a file that SQLite has locked would unlock it.
func openFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	to := t.TempDir()
	if said, err := exec.Command("cp", "-R", dir, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return bytesUnder(t, to)
}

func TestOneMemoryIsProvedAndNamedNowhere(t *testing.T) {
	t.Parallel()
	const canaryID = "canary-7f3a"
	dir := t.TempDir()
	var memories []mem0.Memory
	for i := range 20 {
		memories = append(memories, mem0.Memory{ID: fmt.Sprint(canaryID, "-", i), UserID: "alice", Text: "tea"})
	}
	store := configured("assistant", newMem0(t, filepath.Join(dir, "mem0"), memories...))
	store.BackupsUntil, store.ReplicasUntil = Duration(48*time.Hour), Duration(time.Hour)
	c := configFor(filepath.Join(dir, "data"), queueEmbedded, store)
	r := logged(t, c)
	id := r.forget("alice")
	said := r.statement(id)
	e := said.Entry.(*proof.Completed)
	until := map[string]time.Duration{}
	for _, x := range e.Exclusions {
		until[x.Code] = x.Until.Time().Sub(e.CompletedAt.Time())
	}
	if until["backups"] != 48*time.Hour || until["replicas"] != time.Hour {
		t.Errorf("exclusions = %v", e.Exclusions)
	}
	key, err := r.client.SubjectKey(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	verify := func([]byte) (*proof.Result, error) { return said, nil } // verified by statement
	for _, m := range memories {
		text, err := r.client.MemoryProof(t.Context(), id, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if _, line, err := proof.VerifyMemory(text, verify, key, m.ID); err != nil || line != "in place memories: "+proof.OutcomeErased.Meaning() {
			t.Errorf("%q, %v", line, err)
		}
		if bytes.Contains(text, []byte(canaryID)) {
			t.Error("the proof names the memory")
		}
	}
	for _, odd := range []string{canaryID, canaryID + "-99", "memories/" + memories[0].ID} {
		_, err := r.client.MemoryProof(t.Context(), id, odd)
		if err == nil || strings.Contains(err.Error(), canaryID) {
			t.Errorf("an ID that is not of the request: %v", err)
		}
	}
	answer, err := http.Get(r.s.URL() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	if err != nil || len(metrics) == 0 || bytes.Contains(metrics, []byte(canaryID)) {
		t.Errorf("%d bytes of metrics, %v; or they name a memory", len(metrics), err)
	}
	r.stop()
	for path, text := range bytesUnder(t, c.Data) {
		if bytes.Contains(text, []byte(canaryID)) {
			t.Errorf("%s names a memory", filepath.Base(path))
		}
	}
}
