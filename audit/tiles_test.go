package audit_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

func get(t testing.TB, base, path string) (*http.Response, []byte) {
	t.Helper()
	r, err := http.Get(base + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, b
}

func grow(t testing.TB, l *ledger, from, to int) {
	t.Helper()
	for from < to {
		var entries []proof.Entry
		for range min(to-from, 190) {
			entries = append(entries, entry(from))
			from++
		}
		if _, err := l.add(entries...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServedFilesEqualExportedOnes(t *testing.T) {
	l := newLedger(t)
	dir := t.TempDir()
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	at := 0
	for _, n := range []int{0, 1, 255, 256, 600} {
		grow(t, l, at, n)
		at = n
		if err := l.Export(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		files := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			files++
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			want, err := os.ReadFile(path)
			r, got := get(t, server.URL, "/log/"+filepath.ToSlash(rel))
			if r.StatusCode != 200 || !bytes.Equal(got, want) {
				t.Errorf("size %d, %s: status %d, %d bytes, want %d", n, rel, r.StatusCode, len(got), len(want))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("size %d: %d files", n, files)
	}
	for _, path := range []string{"tile/0/000", "tile/0/001", "tile/0/002.p/88", "tile/1/000.p/2", "tile/entries/000", "tile/entries/001", "tile/entries/002.p/88", "checkpoint"} {
		if _, err := os.Stat(filepath.Join(dir, path)); err != nil {
			t.Error(err)
		}
	}
}

func TestHeadersAndWhatIsNotThere(t *testing.T) {
	l := newLedger(t)
	grow(t, l, 0, 300)
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	for path, want := range map[string][2]string{
		"/log/checkpoint":           {"text/plain; charset=utf-8", "no-cache"},
		"/log/tile/0/000":           {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/log/tile/0/001.p/44":      {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/log/tile/0/001.p/7":       {"application/octet-stream", "public, max-age=31536000, immutable"},
		"/log/tile/entries/001.p/1": {"application/octet-stream", "public, max-age=31536000, immutable"},
	} {
		r, _ := get(t, server.URL, path)
		if got := [2]string{r.Header.Get("Content-Type"), r.Header.Get("Cache-Control")}; r.StatusCode != 200 || got != want {
			t.Errorf("%s: status %d, headers %q, want %q", path, r.StatusCode, got, want)
		}
	}
	for _, path := range []string{
		"/log", "/log/", "/log/tile", "/log/tile/0/001", "/log/tile/0/001.p/45", "/log/tile/0/002.p/1", "/log/tile/1/000", "/log/tile/1/000.p/2", "/log/tile/7/000",
		"/log/tile/63/000.p/1", "/log/tile/0/0", "/log/tile/0/000.p/256", "/log/tile/0/000.p/0", "/log/tile/entries/x001/000", "/log/tile/0/x999/x999/x999/x999/999", "/log/tile/data/000", "/log/tile/%30/000",
	} {
		r, b := get(t, server.URL, path)
		if r.StatusCode != 404 || r.Header.Get("Cache-Control") != "" {
			t.Errorf("%s: status %d, %q", path, r.StatusCode, b)
		}
	}
	r, err := http.Post(server.URL+"/log/checkpoint", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", r.StatusCode)
	}
}

// A client that has the URL and the key, and trusts neither tile nor bundle.
func TestAClientOfTilesCanProveAnEntry(t *testing.T) {
	l := newLedger(t)
	grow(t, l, 0, 700)
	old, err := l.Certificate(t.Context(), entryID(123))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(l.Handler())
	defer server.Close()
	reads := 0
	fetch := func(path string) ([]byte, error) {
		reads++
		r, b := get(t, server.URL, "/log/"+path)
		if r.StatusCode != 200 {
			return nil, fmt.Errorf("%s: status %d: %w", path, r.StatusCode, fs.ErrNotExist)
		}
		return b, nil
	}
	keys, err := proof.ParseKeys([]byte(l.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := proof.Verify(old, keys)
	if err != nil {
		t.Fatal(err)
	}
	head, err := proof.CheckLog(cert.Head, fetch, keys)
	if err != nil || head.Size != 700 {
		t.Fatalf("head %d, %v", head.Size, err)
	}
	leaf, err := head.Hashes(fetch).ReadHashes([]int64{tlog.StoredHashIndex(0, 123)})
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := fetch("tile/entries/000")
	if err != nil {
		t.Fatal(err)
	}
	for range 123 {
		bundle = bundle[2+binary.BigEndian.Uint16(bundle):]
	}
	body := bundle[2 : 2+binary.BigEndian.Uint16(bundle)]
	if tlog.RecordHash(body) != leaf[0] || !bytes.Equal(body, cert.EntryText()) {
		t.Errorf("the bundle's entry 123 is not what the tiles vouch for")
	}
	t.Logf("%d reads", reads)

	forged := func(path string) ([]byte, error) {
		b, err := fetch(path)
		if path == "tile/0/000" {
			b[40] ^= 1
		}
		return b, err
	}
	if _, err := head.Hashes(forged).ReadHashes([]int64{tlog.StoredHashIndex(0, 123)}); err == nil {
		t.Error("a forged tile was believed")
	}
	if _, err := head.Hashes(func(string) ([]byte, error) { return nil, fs.ErrNotExist }).ReadHashes([]int64{0}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
}
