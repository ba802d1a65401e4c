package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
	"lethe/audit/witness"
)

const origin = "log.example/lethe"

func clock() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }

// private makes a key that is the same in every run.
func private(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// A tree is a log in memory, with a key.
type tree struct {
	name   string
	key    ed25519.PrivateKey
	hashes []tlog.Hash
	n      int64
}

// newTree returns a log of n entries. From the entry fork on they are others
// than those of a log without a fork.
func newTree(t testing.TB, seed byte, n, fork int64) *tree {
	t.Helper()
	l := &tree{name: origin, key: private(seed)}
	for i := range n {
		text := fmt.Sprintf("entry %d", i)
		if i >= fork {
			text = "other " + text
		}
		made, err := tlog.StoredHashes(i, []byte(text), l.reader())
		if err != nil {
			t.Fatal(err)
		}
		l.hashes, l.n = append(l.hashes, made...), i+1
	}
	return l
}

const noFork = 1 << 40

func (l *tree) reader() tlog.HashReader {
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, l.hashes[i])
		}
		return out, nil
	})
}

func (l *tree) verifyKey() proof.VerifyKey {
	k, err := proof.ParseVerifyKey(proof.VerifierKey(l.name, l.key.Public().(ed25519.PublicKey)))
	if err != nil {
		panic(err)
	}
	return k
}

func (l *tree) root(n int64) tlog.Hash {
	root, err := tlog.TreeHash(n, l.reader())
	if err != nil {
		panic(err)
	}
	return root
}

// head is signed as a log signs: once as log, once with the time.
func (l *tree) head(n int64) []byte {
	return l.sign(proof.FormatHead(l.name, n, l.root(n)))
}

func (l *tree) sign(text string) []byte {
	signer, err := proof.NewSigner(l.name, l.key)
	if err != nil {
		panic(err)
	}
	clocked, err := proof.NewCosigner(l.name, l.key, clock)
	if err != nil {
		panic(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer, clocked)
	if err != nil {
		panic(err)
	}
	return signed
}

func (l *tree) prove(_ context.Context, from, to int64) (tlog.TreeProof, error) {
	return tlog.ProveTree(to, from, l.reader())
}

// ask is the body that asks for a head of size n.
func (l *tree) ask(old, n int64) []byte {
	var path tlog.TreeProof
	if old > 0 && old < n {
		path, _ = l.prove(context.Background(), old, n)
	}
	return body(old, path, l.head(n))
}

func body(old int64, path tlog.TreeProof, head []byte) []byte {
	b := fmt.Appendf(nil, "old %d\n", old)
	for _, h := range path {
		b = fmt.Appendf(b, "%s\n", base64.StdEncoding.EncodeToString(h[:]))
	}
	return append(append(b, '\n'), head...)
}

// options are of a witness that has nothing yet.
func options(t testing.TB, logs ...proof.VerifyKey) witness.Options {
	dir := t.TempDir()
	return witness.Options{
		Key: filepath.Join(dir, "witness.key"), State: filepath.Join(dir, "state"), Name: "witness.example/w1",
		Logs: logs, Now: clock, Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, o witness.Options) *witness.Server {
	t.Helper()
	s, err := witness.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func serve(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func keyOf(t testing.TB, s *witness.Server) proof.VerifyKey {
	t.Helper()
	k, err := proof.ParseVerifyKey(s.Key())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func stateName(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

// post returns the status, the content type and the body of an answer.
func post(t testing.TB, url string, body []byte) (int, string, string) {
	t.Helper()
	resp, err := http.Post(url+"/add-checkpoint", "text/plain", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header.Get("Content-Type"), string(text)
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func decode(t testing.TB, b64 string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(b64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
