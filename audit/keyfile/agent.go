package keyfile

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// ErrAgent is wrapped by the error of a signature that the ssh-agent did not
// give. The log is sound, and a later try may succeed.
var ErrAgent = errors.New("the ssh-agent does not sign")

const (
	agentWait = 5 * time.Second // for one answer of the agent
	agentRest = time.Second     // for which an agent that did not answer is not asked
)

// errSilent says that the agent let agentWait pass.
var errSilent = errors.New("it did not answer in time")

// An agentSocket is where an ssh-agent is asked (draft-ietf-sshm-ssh-agent).
type agentSocket struct {
	path string // empty: nowhere
	wait time.Duration
	now  func() time.Time
}

func (f File) agent() agentSocket {
	s := agentSocket{path: f.Socket, wait: f.wait, now: f.now}
	if s.path == "" {
		s.path = os.Getenv("SSH_AUTH_SOCK")
	}
	if s.wait == 0 {
		s.wait = agentWait
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// ask runs do with a connection of its own, for as long as the agent may take.
func (s agentSocket) ask(do func(agent.Agent) error) error {
	if s.path == "" {
		return errors.New("no socket of it is known (SSH_AUTH_SOCK is not set)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.wait)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.path)
	if err == nil {
		// Closing, not a deadline of the connection: the client hides the
		// cause of its errors, and only this way ctx is sure to know it.
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = do(agent.NewClient(conn))
		stop()
		_ = conn.Close()
	}
	if err != nil && ctx.Err() != nil {
		return errSilent
	}
	return err
}

// sign asks for a signature and believes none that it has not verified.
func (s agentSocket) sign(public ed25519.PublicKey, message []byte) ([]byte, error) {
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	var sig *ssh.Signature
	err = s.ask(func(a agent.Agent) (err error) {
		sig, err = a.Sign(key, message)
		return err
	})
	if err != nil {
		return nil, err
	}
	if sig.Format != ssh.KeyAlgoED25519 || !ed25519.Verify(public, message, sig.Blob) {
		return nil, errors.New("its signature is not one of the key")
	}
	return sig.Blob, nil
}

// An agentKey is a key that an ssh-agent keeps.
type agentKey struct {
	public ed25519.PublicKey
	agent  agentSocket

	mu     sync.Mutex
	silent time.Time // when the agent last did not answer
}

func (k *agentKey) Public() crypto.PublicKey { return k.public }

// Sign asks the agent for a signature of a message that is not hashed. It
// takes 5 s at most. An agent that did not answer is not asked again for a
// second, so that those who wait in a row do not wait each for itself. Errors
// of the agent wrap ErrAgent.
func (k *agentKey) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	if o, ok := opts.(*ed25519.Options); opts.HashFunc() != 0 || ok && o.Context != "" {
		return nil, errors.New("sign by agent: want plain Ed25519, without hash or context")
	}
	if k.rests() {
		return nil, fmt.Errorf("%w: it did not answer a moment ago", ErrAgent)
	}
	sig, err := k.agent.sign(k.public, message)
	if errors.Is(err, errSilent) {
		k.mu.Lock()
		k.silent = k.agent.now()
		k.mu.Unlock()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgent, err)
	}
	return sig, nil
}

func (k *agentKey) rests() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.silent.IsZero() && k.agent.now().Sub(k.silent) < agentRest
}

// find returns the public half of the one Ed25519 key in the agent with that
// comment or fingerprint, once it has given a signature; nil for an empty
// name.
func (f File) find(name string) (ed25519.PublicKey, error) {
	if name == "" {
		return nil, nil
	}
	var keys []*agent.Key
	err := f.agent().ask(func(a agent.Agent) (err error) {
		keys, err = a.List()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list the keys of the ssh-agent: %w", err)
	}
	public, err := choose(keys, name)
	if err != nil {
		return nil, err
	}
	trial := append([]byte("lethe asks whether this key signs\n"), rand.Text()...) // no head, and no note
	if _, err := f.agent().sign(public, trial); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAgent, err)
	}
	return public, nil
}

func choose(keys []*agent.Key, name string) (ed25519.PublicKey, error) {
	var found []ed25519.PublicKey
	others := 0
	for _, k := range keys {
		if k.Comment != name && ssh.FingerprintSHA256(k) != name {
			continue
		}
		public, ok := ed25519Of(k)
		if !ok {
			others++
			continue
		}
		found = append(found, public)
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return nil, errors.New("the ssh-agent has several keys of that name: name one by its fingerprint (ssh-add -l)")
	case others > 0:
		return nil, errors.New("the ssh-agent's key of that name is not an Ed25519 key (ssh-keygen -t ed25519)")
	default:
		return nil, errors.New("the ssh-agent has no key of that name (ssh-add -l)")
	}
}

func ed25519Of(k *agent.Key) (ed25519.PublicKey, bool) {
	if k.Format != ssh.KeyAlgoED25519 { // certificates and keys on tokens sign differently
		return nil, false
	}
	parsed, err := ssh.ParsePublicKey(k.Blob)
	if err != nil {
		return nil, false
	}
	c, ok := parsed.(ssh.CryptoPublicKey)
	if !ok {
		return nil, false
	}
	public, ok := c.CryptoPublicKey().(ed25519.PublicKey)
	return public, ok
}
