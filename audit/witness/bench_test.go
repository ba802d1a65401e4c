package witness_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"lethe/audit/durable"
)

// One request over loopback, each with a head that is on disk before the
// answer.
func BenchmarkAddCheckpoint(b *testing.B) {
	log := newTree(b, 1, 20000, noFork)
	s := open(b, options(b, log.verifyKey()))
	url := serve(b, s)
	size := int64(0)
	var bodies [][]byte
	for range b.N {
		bodies = append(bodies, log.ask(size, min(size+1, log.n)))
		size = min(size+1, log.n)
	}
	b.ResetTimer()
	for i, body := range bodies {
		resp, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			b.Fatalf("request %d: status %d", i, resp.StatusCode)
		}
	}
}

// What the disk alone takes for the same.
func BenchmarkDurableReplace(b *testing.B) {
	path := filepath.Join(b.TempDir(), "head")
	text := bytes.Repeat([]byte("x"), 500)
	for b.Loop() {
		if err := durable.Replace(path, text, 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// And what one append and fsync takes.
func BenchmarkAppendFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), fmt.Sprint("log", b.N)))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
