package audit

import (
	"crypto"
	"errors"
	"fmt"
	"sync"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ErrNoKey is wrapped when a head would have to be signed by a key whose
// private half was not given: the log has announced the key, and its file is
// gone, or the other way round. A head signed by fewer keys than were announced
// would be believed by nobody who knows of them, so none is signed.
var ErrNoKey = errors.New("a key that has to sign the log is not here")

// A Signer is a key that signs the log's heads, each twice: as the log, and as
// a cosigner of the same name, which says when. It may live in an agent.
type Signer struct {
	Name string        // the log's origin
	Key  crypto.Signer // Ed25519
}

// hired are the keys that the log may sign with, by their verifier keys.
type hired struct {
	mu    sync.Mutex
	pairs map[string][]note.Signer // the key and its clock
}

// Hire gives the log keys that it may sign with, besides those that it was
// opened with. It uses none before an entry announces it. A key given twice
// does no harm.
func (l *Log) Hire(keys ...Signer) error {
	if err := l.hire(keys); err != nil {
		return fmt.Errorf("give the log a key: %w", err)
	}
	return nil
}

// hire makes signers of keys.
func (l *Log) hire(keys []Signer) error {
	l.signers.mu.Lock()
	defer l.signers.mu.Unlock()
	for _, k := range keys {
		if k.Name != l.origin {
			return errors.New("the key is not named for the log's origin")
		}
		log, err := proof.NewSigner(k.Name, k.Key)
		if err != nil {
			return err
		}
		clock, err := proof.NewCosigner(k.Name, k.Key, l.now)
		if err != nil {
			return err
		}
		verifier, err := verifierOf(k)
		if err != nil {
			return err
		}
		if l.signers.pairs == nil {
			l.signers.pairs = map[string][]note.Signer{}
		}
		l.signers.pairs[verifier] = []note.Signer{log, clock}
	}
	return nil
}

// dismiss forgets the keys that never sign again.
func (l *Log) dismiss(c *chain) {
	l.signers.mu.Lock()
	defer l.signers.mu.Unlock()
	for _, k := range c.links {
		if k.until != proof.Unbounded {
			delete(l.signers.pairs, k.key.String())
		}
	}
}

// team returns the signers of the keys that have to sign a head of a size.
func (l *Log) team(c *chain, size int64) ([]note.Signer, error) {
	l.signers.mu.Lock()
	defer l.signers.mu.Unlock()
	if len(l.signers.pairs) == 0 {
		return nil, errors.New("opened without a key to sign with")
	}
	var team []note.Signer
	for _, k := range c.at(size) {
		pair, ok := l.signers.pairs[k.String()]
		if !ok {
			return nil, fmt.Errorf("%w: %s+%08x, which the log's entries ask for: put its file back beside the log's key, and start again", ErrNoKey, k.Name(), k.KeyHash())
		}
		team = append(team, pair...)
	}
	return team, nil
}

// lacking finds out before the next append that a key is missing. A key that is
// being replaced is not missed: the log can do without, once it has retired it.
func (l *Log) lacking(c *chain, size int64) error {
	if c.rotation != nil {
		c = &chain{links: c.links[len(c.links)-1:]}
	}
	_, err := l.team(c, size+1)
	if errors.Is(err, ErrNoKey) {
		return err
	}
	return nil
}

// believe sets the keys that are believed from the start.
func (l *Log) believe(verifiers string) error {
	p, err := proof.ParseKeys([]byte(verifiers))
	if err != nil {
		return err
	}
	l.pins = p.Logs()
	return nil
}

// believed returns whom to believe about heads: the keys of a chain, up to
// their bounds, and those that were given. These may be ahead of a database
// that was put back to an older state.
func (l *Log) believed(c *chain) *proof.Policy {
	keys := c.logKeys()
	for _, p := range l.pins {
		known := false
		for _, k := range c.links {
			known = known || sameKey(k.key, p.Key)
		}
		if !known {
			keys = append(keys, p)
		}
	}
	return proof.NewPolicy(keys...)
}

// openHead opens a head of the log, or a certificate. Up to a size that the
// chain knows of, all keys that had to sign it must have.
func (l *Log) openHead(text []byte, c *chain, known int64) (proof.Head, error) {
	h, err := proof.OpenHead(text, l.believed(c))
	if err != nil || h.Origin != l.origin || h.Size > known {
		return h, err
	}
	for _, k := range c.at(h.Size) {
		if k.KeyHash() == h.KeyID {
			continue
		}
		if _, err := proof.OpenHead(h.Note, proof.NewPolicy(proof.LogKey{Key: k, Until: proof.Unbounded})); err != nil {
			return h, fmt.Errorf("not signed by all keys that the log had at size %d: %w", h.Size, err)
		}
	}
	return h, nil
}

// checkSigned makes sure that a stored head's note is ours, is signed by all
// that have to, and says what its row says.
func (l *Log) checkSigned(h Head, c *chain) error {
	signed, err := l.openHead(h.Note, c, h.Size)
	if err != nil {
		return fmt.Errorf("%w: head of size %d: %w", ErrBroken, h.Size, err)
	}
	if signed.Origin != l.origin || signed.Size != h.Size || signed.Root != h.Root {
		return fmt.Errorf("%w: head of size %d: its note says something else", ErrBroken, h.Size)
	}
	return nil
}

func (l *Log) sign(c *chain, size int64, root tlog.Hash) ([]byte, error) {
	team, err := l.team(c, size)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	text, err := note.Sign(&note.Note{Text: proof.FormatHead(l.origin, size, root)}, team...)
	if err != nil {
		return nil, fmt.Errorf("sign head: %w", err)
	}
	return text, nil
}
