package proof

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Unbounded is the bound of a key that may sign heads of every size.
const Unbounded = int64(-1)

// A LogKey is a key that signs for a log, whose name is the log's origin. Once
// a key has been retired it is believed for heads up to a size only.
type LogKey struct {
	Key   VerifyKey
	Until int64 // the largest size, or Unbounded
}

// A Policy says whom to believe: which keys sign for a log, and which
// witnesses have to have seen a head. It is not changed once it has been made.
type Policy struct {
	logs []LogKey
}

// NewPolicy returns a policy that believes heads signed by any of keys and
// asks for no witnesses.
func NewPolicy(keys ...LogKey) *Policy { return &Policy{logs: keys} }

// ParseKeys reads verifier keys of logs, one a line, and returns a policy that
// asks for no witnesses. Empty lines and lines that begin with # are passed
// over.
func ParseKeys(text []byte) (*Policy, error) {
	p := &Policy{}
	seen := map[string]bool{}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || seen[line] {
			continue
		}
		seen[line] = true
		key, err := ParseVerifyKey(line)
		if err != nil {
			return nil, fmt.Errorf("verifier key, line %d: %w", n+1, err)
		}
		if key.Cosigns() {
			return nil, fmt.Errorf("verifier key, line %d: a witness's key, want a log's", n+1)
		}
		p.logs = append(p.logs, LogKey{Key: key, Until: Unbounded})
	}
	if len(p.logs) == 0 {
		return nil, errors.New("verifier key: none given")
	}
	return p, nil
}

// Verifier implements [note.Verifiers]: it knows the logs' keys, and their
// clocks.
func (p *Policy) Verifier(name string, hash uint32) (note.Verifier, error) {
	for _, l := range p.logs {
		for _, k := range []VerifyKey{l.Key, l.Key.Clock()} {
			if k.Name() == name && k.KeyHash() == hash {
				return k, nil
			}
		}
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// signs returns the key of a log's signature over a head of a size, if that
// key is believed for it.
func (p *Policy) signs(sig note.Signature, size int64) (VerifyKey, bool) {
	for _, l := range p.logs {
		if l.Key.Name() == sig.Name && l.Key.KeyHash() == sig.Hash {
			return l.Key, l.Until == Unbounded || size <= l.Until
		}
	}
	return VerifyKey{}, false
}
