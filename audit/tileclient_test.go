package audit_test

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// TestAClientOfFilesProvesAnEntry has the log's key and the files of an
// export, and nothing else of ours: it proves an entry from a handful of them.
// LETHE_ENTRIES says how large the log is, 20,000 if it is not set.
func TestAClientOfFilesProvesAnEntry(t *testing.T) {
	size := 20_000
	if n, err := strconv.Atoi(os.Getenv("LETHE_ENTRIES")); err == nil {
		size = n
	}
	l := newLarge(t, size)
	dir := t.TempDir()
	if err := l.Export(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(l.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	fetch := func(path string) ([]byte, error) {
		files = append(files, path)
		return os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
	}
	text, err := fetch("checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	head, err := proof.OpenHead(text, keys)
	if err != nil || head.Size != int64(size) {
		t.Fatalf("head of size %d, %v, want %d", head.Size, err, size)
	}
	index := int64(size/3 + 1)
	path, err := tlog.ProveRecord(head.Size, index, head.Hashes(fetch))
	if err != nil {
		t.Fatal(err)
	}
	body, err := l.Entry(t.Context(), index)
	if err != nil {
		t.Fatal(err)
	}
	line, err := proof.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	cert := proof.Certificate{Entry: line, Index: index, Path: path, Checkpoint: text}
	if r, err := proof.Verify(cert.Text(), keys); err != nil || r.Index != index {
		t.Errorf("entry %d does not verify: %v", index, err)
	}
	if len(files) > 6 {
		t.Errorf("read %d files, want a handful: %v", len(files), files)
	}
	t.Logf("entry %d of %d proven with %d files", index, size, len(files))
}
