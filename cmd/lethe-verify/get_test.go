package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// publish serves what a log might, and what it should not.
func publish(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/log/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "lethe-verify" || r.Header.Get("Authorization") != "" {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = w.Write([]byte(strings.Repeat("x", 100_000)))
	})
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "200", code) }
	}
	mux.HandleFunc("/log/broken", status(503))
	mux.HandleFunc("/log/gone", status(http.StatusGone))
	mux.HandleFunc("/log/empty", status(http.StatusNoContent))
	mux.Handle("/log/moved", http.RedirectHandler("/log/checkpoint", http.StatusFound))
	mux.HandleFunc("/log/endless", func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 1<<20); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestGet(t *testing.T) {
	c := findCurl()
	if c.err != nil {
		t.Fatalf("%v; .ci/need curl installs it", c.err)
	}
	server := publish(t)
	// What a user's own settings of curl say must not matter.
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".curlrc"), []byte("location\nuser = \"a:b\"\nuser-agent = \"other\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("CURL_HOME", home)
	fetch := c.at(server.URL + "/log")
	if b, err := fetch("checkpoint"); err != nil || len(b) != 100_000 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	for _, path := range []string{"tile/0/000", "gone"} {
		if _, err := fetch(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: err = %v, want ErrNotExist", path, err)
		}
	}
	for _, path := range []string{"broken", "moved", "endless", "empty"} {
		if b, err := fetch(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %d bytes, err = %v, want another error", path, len(b), err)
		}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.get("http://" + plain.Addr().String() + "/"); err == nil || !strings.Contains(err.Error(), "curl: (7)") {
		t.Errorf("a closed port: err = %v, want what curl says", err)
	}
	if _, err := c.get(strings.Replace(server.URL, "http:", "https:", 1)); err == nil {
		t.Error("a server without TLS was taken for one with it")
	}
}

func TestOnlyPlainURLsAreFetched(t *testing.T) {
	c := curl{path: filepath.Join(t.TempDir(), "not-run")}
	for _, url := range []string{
		"http://", "http:///log", "http://user:secret@log.example/", "ftp://log.example/", "file:///etc/passwd", "://", "-o/tmp/secret",
		"http://log.example/?secret", "http://log.example/#secret", "http://log.example/ secret", "http://log.example/\x1b[2J", "http://log.example\\@secret/",
	} {
		_, err := c.get(url)
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "want http://HOST") {
			t.Errorf("%q: err = %v", url, err)
		}
	}
	if err := checkURL("https://log.example:8443/log/tile/0/x001/234.p/7"); err != nil {
		t.Error(err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	failed := errors.New("exit status 7")
	for _, row := range []struct {
		out    string
		failed error
		body   string
		is     error
	}{
		{"body200", nil, "body", nil},
		{"200", nil, "", nil},
		{"body404", nil, "", fs.ErrNotExist},
		{"404", failed, "", fs.ErrNotExist},
		{"410", failed, "", fs.ErrNotExist},
		{"body200", failed, "", failed},
		{"000", failed, "", failed},
		{"", failed, "", failed},
	} {
		b, err := answer([]byte(row.out), row.failed, "curl: why\n")
		if string(b) != row.body || !errors.Is(err, row.is) {
			t.Errorf("%q, %v: got %q, %v", row.out, row.failed, b, err)
		}
	}
	for _, out := range []string{"", "20", "body302", "body204"} {
		if b, err := answer([]byte(out), nil, ""); err == nil {
			t.Errorf("%q: got %q, want an error", out, b)
		}
	}
}

func TestWithoutCurlAFolderIsAdvised(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	data := filepath.Join("..", "..", "audit", "proof", "testdata")
	args := []string{filepath.Join(data, "alice.tlog-proof"), "--key", filepath.Join(data, "log.pub")}
	var out bytes.Buffer
	if status := proof.RunVerify("lethe-verify", args, findCurl().at, &out, os.Stderr); status != proof.ExitVerified {
		t.Errorf("without --log: status %d\n%s", status, &out)
	}
	args = append(args, "--log", "http://log.example/log")
	if status := proof.RunVerify("lethe-verify", args, findCurl().at, &out, os.Stderr); status != proof.ExitError || !strings.Contains(out.String(), "needs curl") {
		t.Errorf("with --log: status %d\n%s", status, &out)
	}
}
