package keyfile_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit/keyfile"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

func TestAKeyStaysInItsAgent(t *testing.T) {
	f, k, _ := adopted(t)
	if got, want := read(t, f.Path), "AGENT+KEY "+k.Verifier+"\n"; got != want {
		t.Errorf("key file %q, want %q", got, want)
	}
	check(t, f, k.Verifier, "")
	signs(t, k)
	signs(t, open(t, f, origin))
	t.Setenv("SSH_AUTH_SOCK", f.Socket)
	signs(t, open(t, keyfile.File{Path: f.Path}, ""))
	if again, err := f.Adopt("", "log"); err != nil || again.Verifier != k.Verifier {
		t.Errorf("adopted again: %v, %v", again, err)
	}
}

func TestAKeyMovesIntoAnAgentByARotation(t *testing.T) {
	f := newFile(t)
	old := open(t, f, origin)
	a := agent.NewKeyring()
	key, later := newKey(t), newKey(t)
	add(t, a, "new", key)
	add(t, a, "later", later)
	f.Socket = serveAgent(t, a)
	if _, err := f.Adopt(origin, "new"); err == nil {
		t.Error("adopted over another key")
	}
	next, err := f.MakeNext("new")
	if err != nil {
		t.Fatal(err)
	}
	if again, err := f.MakeNext("new"); err != nil || again.Verifier != next.Verifier {
		t.Errorf("next key again: %v, %v", again, err)
	}
	if _, err := f.MakeNext("later"); err == nil {
		t.Error("a second next key")
	}
	check(t, f, old.Verifier, next.Verifier)
	destroyed := watch(t, f.Path)
	if err := f.Promote(); err != nil {
		t.Fatal(err)
	}
	destroyed()
	check(t, f, next.Verifier, "", old.Verifier)
	signs(t, open(t, f, origin))
	if _, err := f.MakeNext("new"); err == nil {
		t.Error("the key in force is to follow itself")
	}
	second, err := f.Replace("log.example/second", "later")
	if err != nil {
		t.Fatal(err)
	}
	check(t, f, second.Verifier, "", old.Verifier, next.Verifier)
	signs(t, second)
	if _, err := f.Replace("log.example/second", "new"); err == nil {
		t.Error("replaced by a second key of one origin")
	}
	if _, err := f.Replace(origin, "new"); err == nil {
		t.Error("a retired key is in force again")
	}
	check(t, f, second.Verifier, "", old.Verifier, next.Verifier)
}

func TestAKeyOfAnAgentIsNamedWithoutDoubt(t *testing.T) {
	a := agent.NewKeyring()
	one := newKey(t)
	add(t, a, "twice", one)
	add(t, a, "twice", newKey(t))
	add(t, a, "rsa", rsaKey(t))
	add(t, a, "mixed", rsaKey(t))
	add(t, a, "mixed", newKey(t))
	public, err := ssh.NewPublicKey(one.Public())
	if err != nil {
		t.Fatal(err)
	}
	socket := serveAgent(t, a)
	for _, tt := range []struct{ name, want string }{
		{"twice", "several keys"},
		{"rsa", "not an Ed25519 key"},
		{"absent", "no key of that name"},
		{"", "want the name"},
		{"twic", "no key of that name"},
		{ssh.FingerprintSHA256(public), ""},
		{"mixed", ""},
	} {
		f := newFile(t)
		f.Socket = socket
		k, err := f.Adopt(origin, tt.name)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: %v, %v, want %q", tt.name, k, err, tt.want)
		}
		if files := beside(t, f); err != nil && len(files) > 0 {
			t.Errorf("%q: files %q", tt.name, files)
		}
	}
}

// A liar signs with another key, or another text, or in another format.
type liar struct {
	agent.Agent
	lie func(*ssh.Signature)
}

func (l liar) Sign(key ssh.PublicKey, data []byte) (*ssh.Signature, error) {
	sig, err := l.Agent.Sign(key, data)
	if err == nil {
		l.lie(sig)
	}
	return sig, err
}

func TestAnAgentThatDoesNotSignFailsTheSignature(t *testing.T) {
	f, k, a := adopted(t)
	rsaOnly := agent.NewKeyring()
	add(t, rsaOnly, "log", rsaKey(t))
	locked := agent.NewKeyring()
	if err := locked.Lock([]byte("x")); err != nil {
		t.Fatal(err)
	}
	stale := socketPath(t)
	for name, socket := range map[string]string{
		"no socket there":      stale,
		"without the key":      serveAgent(t, agent.NewKeyring()),
		"with an RSA key only": serveAgent(t, rsaOnly),
		"locked":               serveAgent(t, locked),
		"hanging up":           listen(t, func(net.Conn) {}),
		"talking nonsense":     listen(t, func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); hang(c) }),
		"with a wrong signature": serveAgent(t, liar{a, func(s *ssh.Signature) {
			s.Blob = slices.Clone(s.Blob)
			s.Blob[40] ^= 1
		}}),
		"with a short signature": serveAgent(t, liar{a, func(s *ssh.Signature) { s.Blob = s.Blob[:63] }}),
		"with no signature":      serveAgent(t, liar{a, func(s *ssh.Signature) { s.Blob = nil }}),
		"with another format":    serveAgent(t, liar{a, func(s *ssh.Signature) { s.Format = "ssh-rsa" }}),
	} {
		other := keyfile.File{Path: f.Path, Socket: socket}
		again := open(t, other, origin) // needs no agent
		if again.Verifier != k.Verifier {
			t.Errorf("%s: key %s", name, again.Verifier)
		}
		if err := sign(again); !errors.Is(err, keyfile.ErrAgent) {
			t.Errorf("%s: err = %v, want ErrAgent", name, err)
		}
		fresh := newFile(t)
		fresh.Socket = socket
		if k, err := fresh.Adopt(origin, "log"); err == nil || len(beside(t, fresh)) > 0 {
			t.Errorf("%s: adopted %v, files %q", name, k, beside(t, fresh))
		}
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	if err := sign(open(t, keyfile.File{Path: f.Path}, origin)); !errors.Is(err, keyfile.ErrAgent) {
		t.Errorf("without a socket: err = %v, want ErrAgent", err)
	}
}

func TestAnAgentKeySignsMessagesOnly(t *testing.T) {
	_, k, _ := adopted(t)
	for name, opts := range map[string]crypto.SignerOpts{
		"hashed":         crypto.SHA512,
		"with a context": &ed25519.Options{Context: "lethe"},
	} {
		if _, err := k.Signer.Sign(rand.Reader, make([]byte, 64), opts); err == nil || errors.Is(err, keyfile.ErrAgent) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	if _, err := k.Signer.Sign(rand.Reader, []byte("text"), &ed25519.Options{}); err != nil {
		t.Error(err)
	}
}

func TestAHungAgentIsWaitedForOnce(t *testing.T) {
	f, _, a := adopted(t)
	var asked atomic.Int32
	var well atomic.Bool
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Socket = listen(t, func(c net.Conn) {
		asked.Add(1)
		if well.Load() {
			_ = agent.ServeAgent(a, c)
			return
		}
		hang(c)
	})
	k := open(t, f.Waiting(50*time.Millisecond, func() time.Time { return now }), origin)
	for range 20 {
		if err := sign(k); !errors.Is(err, keyfile.ErrAgent) {
			t.Fatalf("err = %v, want ErrAgent", err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked %d times within a second, want once", n)
	}
	now = now.Add(999 * time.Millisecond)
	if err := sign(k); err == nil || asked.Load() != 1 {
		t.Errorf("asked again after %d calls: %v", asked.Load(), err)
	}
	well.Store(true)
	now = now.Add(time.Millisecond)
	k2 := open(t, f.Waiting(5*time.Second, func() time.Time { return now }), origin)
	if err := errors.Join(sign(k2), sign(k2)); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestAHungAgentIsAskedAgainAfterASecond(t *testing.T) {
	f, _, _ := adopted(t)
	var asked atomic.Int32
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	f.Socket = listen(t, func(c net.Conn) { asked.Add(1); hang(c) })
	k := open(t, f.Waiting(20*time.Millisecond, func() time.Time { return now }), origin)
	for want := int32(1); want < 4; want++ {
		if err := errors.Join(sign(k), sign(k)); !errors.Is(err, keyfile.ErrAgent) {
			t.Fatalf("err = %v, want ErrAgent", err)
		}
		if n := asked.Load(); n != want {
			t.Errorf("asked %d times, want %d", n, want)
		}
		now = now.Add(time.Second)
	}
}

func TestAnAgentThatRefusesIsAskedEachTime(t *testing.T) {
	f, k, a := adopted(t)
	if err := a.RemoveAll(); err != nil {
		t.Fatal(err)
	}
	if err := sign(k); !errors.Is(err, keyfile.ErrAgent) {
		t.Fatalf("err = %v, want ErrAgent", err)
	}
	add(t, a, "log", newKey(t))
	if err := sign(k); !errors.Is(err, keyfile.ErrAgent) {
		t.Errorf("another key of that name: err = %v, want ErrAgent", err)
	}
	if _, err := f.Adopt(origin, "log"); err == nil {
		t.Error("another key of that name is adopted")
	}
}

func TestARealAgentSignsAlsoAfterItWasStartedAgain(t *testing.T) {
	f := newFile(t)
	f.Socket = socketPath(t)
	key := newKey(t)
	stop := realAgent(t, f.Socket)
	tell(t, f.Socket, "log@example", key)
	k, err := f.Adopt(origin, "log@example")
	if err != nil {
		t.Fatal(err)
	}
	signs(t, k)
	stop()
	if err := sign(k); !errors.Is(err, keyfile.ErrAgent) {
		t.Errorf("stopped: err = %v, want ErrAgent", err)
	}
	realAgent(t, f.Socket)
	tell(t, f.Socket, "", key)
	signs(t, k)
}

// BenchmarkSign compares a signature by a file's key with one by an agent's,
// which is in this process: the difference is the way there and the check.
func BenchmarkSign(b *testing.B) {
	_, fromAgent, _ := adopted(b)
	for name, k := range map[string]*keyfile.Key{"file": open(b, newFile(b), origin), "agent": fromAgent} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := sign(k); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
