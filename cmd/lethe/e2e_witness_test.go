package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
	"lethe/audit/witness"
)

// A witness is started as people do, says its key, cosigns, and stops when it
// is told to, with a client still connected.
func TestAWitnessCosignsUntilItIsStopped(t *testing.T) {
	dir := t.TempDir()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
	const origin = "log.example/lethe"
	signer, err := proof.NewSigner(origin, private)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	listener.Close()

	ctx, stop := context.WithCancel(t.Context())
	out, stdout := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{
			"witness", "--listen", addr, "--state", filepath.Join(dir, "w"), "--name", "witness.example/w1",
			"--log", proof.VerifierKey(origin, private.Public().(ed25519.PublicKey)),
		}, nil, stdout, &stderr)
		stdout.Close()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		t.Fatalf("status %d: %s", <-status, &stderr)
	}
	key, err := proof.ParseVerifyKey(strings.TrimSuffix(line, "\n"))
	if err != nil || !key.Cosigns() || key.Name() != "witness.example/w1" {
		t.Fatalf("the key is %q: %v", line, err)
	}

	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "POST /add-checkpoint HTTP/1.1\r\n") // and never the rest

	head, err := note.Sign(&note.Note{Text: proof.FormatHead(origin, 1, tlog.RecordHash([]byte("entry")))}, signer)
	if err != nil {
		t.Fatal(err)
	}
	client, err := witness.NewClient("http://"+addr, key, nil)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := client.Cosign(t.Context(), head, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(append(head, lines...), note.VerifierList(key)); err != nil {
		t.Errorf("%v\n%s", err, lines)
	}

	stop()
	select {
	case code := <-status:
		if code != exitDone {
			t.Errorf("status %d", code)
		}
	case <-time.After(patience):
		t.Fatal("the witness does not stop")
	}
	for said := range strings.Lines(stderr.String()) {
		if !json.Valid([]byte(said)) || strings.Contains(said, "PRIVATE") {
			t.Errorf("said %q, want JSON without the key", said)
		}
	}
}

// A list of all keys has retired ones in it, and whoever has stolen such a key
// must not get a head cosigned with which the true log is then refused.
func TestAWitnessIsNotGivenRetiredKeys(t *testing.T) {
	key := func(seed byte) string {
		private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
		return proof.VerifierKey("log.example/lethe", private.Public().(ed25519.PublicKey))
	}
	label := func(k string) string { return k[:strings.LastIndex(k, "+")] }
	retired := key(1) + "\n#lethe:until " + label(key(1)) + " 7\n"
	file := filepath.Join(t.TempDir(), "keys")
	if err := writeFile(file, []byte("# all\n"+retired+key(2)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := logKeys([]string{file})
	if err != nil || len(keys) != 1 || keys[0].String() != key(2) {
		t.Errorf("%v, %v, want the key in force alone", keys, err)
	}
	for _, text := range []string{retired, "# none\n", "#lethe:until " + label(key(1)) + " 7\n"} {
		if err := writeFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if keys, err := logKeys([]string{file}); err == nil {
			t.Errorf("%q: %v", text, keys)
		}
	}
}
