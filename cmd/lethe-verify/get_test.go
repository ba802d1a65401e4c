package main

import (
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

func TestGet(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/log/checkpoint", func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() != "lethe-verify" {
			t.Errorf("user agent %q", r.UserAgent())
		}
		_, _ = w.Write([]byte(strings.Repeat("x", 100_000)))
	})
	mux.HandleFunc("/log/broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/log/zipped", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") })
	mux.Handle("/log/moved", http.RedirectHandler("/log/checkpoint", http.StatusFound))
	server := httptest.NewServer(mux)
	defer server.Close()
	fetch := fetchURL(server.URL + "/log")
	if b, err := fetch("checkpoint"); err != nil || len(b) != 100_000 {
		t.Errorf("got %d bytes, %v", len(b), err)
	}
	if _, err := fetch("tile/0/000"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("err = %v, want ErrNotExist", err)
	}
	for _, path := range []string{"broken", "zipped", "moved"} {
		if _, err := fetch(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: err = %v, want another error", path, err)
		}
	}
	for _, address := range []string{"http://", "http://user:secret@" + server.Listener.Addr().String() + "/", "://"} {
		if _, err := get(address); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: err = %v", address, err)
		}
	}
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	plain.Close()
	if _, err := get("http://" + plain.Addr().String() + "/"); err == nil {
		t.Error("a closed port answered")
	}
	if _, err := get(strings.Replace(server.URL, "http:", "https:", 1)); err == nil {
		t.Error("a server without TLS was taken for one with it")
	}
}

func TestResponsesThatAreNone(t *testing.T) {
	for _, text := range []string{"", "SSH-2.0\r\n", "HTTP/1.1\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"} {
		if b, err := readResponse(strings.NewReader(text)); err == nil {
			t.Errorf("%q: got %q, want an error", text, b)
		}
	}
	if b, err := readResponse(strings.NewReader("HTTP/1.0 200 OK\r\nA: b\r\n\r\nbody")); err != nil || string(b) != "body" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestTheGoldenCertificate(t *testing.T) {
	data := filepath.Join("..", "..", "audit", "proof", "testdata")
	var out strings.Builder
	args := []string{filepath.Join(data, "alice.tlog-proof"), "--key", filepath.Join(data, "log.pub")}
	if status := proof.RunVerify("lethe-verify", args, fetchURL, &out, os.Stderr); status != proof.ExitVerified {
		t.Errorf("status %d\n%s", status, &out)
	}
}
