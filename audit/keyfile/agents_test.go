package keyfile_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
)

// socketPath is short, as the address of a socket must be.
func socketPath(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// listen serves each connection to a socket of its own until the test ends.
func listen(t testing.TB, serve func(net.Conn)) (socket string) {
	t.Helper()
	socket = socketPath(t)
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return socket
}

func serveAgent(t testing.TB, a agent.Agent) (socket string) {
	return listen(t, func(c net.Conn) { _ = agent.ServeAgent(a, c) })
}

// hang reads and does not answer, until the other side hangs up.
func hang(c net.Conn) {
	for {
		if _, err := c.Read(make([]byte, 1024)); err != nil {
			return
		}
	}
}

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, k, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func add(t testing.TB, a agent.Agent, comment string, key any) {
	t.Helper()
	if err := a.Add(agent.AddedKey{PrivateKey: key, Comment: comment}); err != nil {
		t.Fatal(err)
	}
}

// adopted returns a log's key that is in an agent of the test's own.
func adopted(t testing.TB) (keyfile.File, *keyfile.Key, agent.Agent) {
	t.Helper()
	a := agent.NewKeyring()
	add(t, a, "log", newKey(t))
	f := newFile(t)
	f.Socket = serveAgent(t, a)
	k, err := f.Adopt(origin, "log")
	if err != nil {
		t.Fatal(err)
	}
	return f, k, a
}

// signs makes sure that a key signs heads.
func signs(t testing.TB, k *keyfile.Key) {
	t.Helper()
	s, err := proof.NewSigner(k.Origin, k.Signer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := note.Sign(&note.Note{Text: proof.FormatHead(k.Origin, 0, [32]byte{})}, s)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := proof.ParseKeys([]byte(k.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proof.OpenHead(text, keys); err != nil {
		t.Error(err)
	}
}

func sign(k *keyfile.Key) error {
	_, err := k.Signer.Sign(rand.Reader, []byte("text"), crypto.Hash(0))
	return err
}

// realAgent starts an ssh-agent and returns how to stop it.
func realAgent(t *testing.T, socket string) (stop func()) {
	t.Helper()
	path, err := exec.LookPath("ssh-agent")
	if err != nil {
		t.Fatal("ssh-agent is missing: apt-get install openssh-client")
	}
	cmd := exec.CommandContext(t.Context(), path, "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			_ = os.Remove(socket)
		})
	}
	t.Cleanup(stop)
	return stop
}

// tell gives a real agent a key, once it listens.
func tell(t *testing.T, socket, comment string, key ed25519.PrivateKey) {
	t.Helper()
	for range 1000 {
		if conn, err := net.Dial("unix", socket); err == nil {
			defer conn.Close()
			add(t, agent.NewClient(conn), comment, key)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("ssh-agent does not listen")
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
