package proof

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// Unbounded is the bound of a key that may sign heads of every size.
const Unbounded = int64(-1)

// A LogKey is a key that signs for a log, whose name is the log's origin. Once
// a key has been retired it is believed for heads up to a size only.
type LogKey struct {
	Key   VerifyKey
	Until int64  // the largest size, or Unbounded
	URL   string // as a policy has it, or empty
}

// A WitnessKey is a witness that a policy knows.
type WitnessKey struct {
	Name string // in the policy; any bytes but white space
	Key  VerifyKey
	URL  string // as the policy has it, or empty
}

// A Policy says whom to believe: which keys sign for a log, and which
// witnesses have to have seen a head. It is not changed once it has been made.
type Policy struct {
	logs      []LogKey
	witnesses []WitnessKey
	groups    []group
	quorum    string // name of a witness or group; empty asks for none
}

// A group has witnessed a head if enough of its members have.
type group struct {
	name    string
	atLeast int
	members []string // witnesses and groups that stand above it
}

// NewPolicy returns a policy that believes heads signed by any of keys and
// asks for no witnesses.
func NewPolicy(keys ...LogKey) *Policy { return &Policy{logs: slices.Clone(keys)} }

// ParseKeys reads verifier keys of logs, one a line, and returns a policy that
// asks for no witnesses. Empty lines and lines that begin with # are passed
// over, but for those that bound a key: see [ParsePolicy].
func ParseKeys(text []byte) (*Policy, error) {
	r := newPolicyReader()
	r.keysOnly = true
	seen := map[string]bool{}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || seen[line] {
			continue
		}
		seen[line] = true
		var err error
		if line[0] == '#' {
			err = r.comment(line, n+1)
		} else {
			err = r.log([]string{line})
		}
		if err != nil {
			return nil, fmt.Errorf("verifier key, line %d: %w", n+1, err)
		}
	}
	if len(r.p.logs) == 0 {
		return nil, errors.New("verifier key: none given")
	}
	if err := r.bound(); err != nil {
		return nil, fmt.Errorf("verifier key, %w", err)
	}
	return r.p, nil
}

// Logs returns the keys that sign for logs, in the policy's order.
func (p *Policy) Logs() []LogKey { return slices.Clone(p.logs) }

// Witnesses returns the witnesses that the policy knows, in its order. Not all
// of them need count for its quorum.
func (p *Policy) Witnesses() []WitnessKey { return slices.Clone(p.witnesses) }

// Verifier implements [note.Verifiers]: it knows the logs' keys, their clocks
// and the witnesses.
func (p *Policy) Verifier(name string, hash uint32) (note.Verifier, error) {
	is := func(k VerifyKey) bool { return k.Name() == name && k.KeyHash() == hash }
	for _, l := range p.logs {
		for _, k := range []VerifyKey{l.Key, l.Key.Clock()} {
			if is(k) {
				return k, nil
			}
		}
	}
	for _, w := range p.witnesses {
		if is(w.Key) {
			return w.Key, nil
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

// witness returns the witness whose cosignature a verified signature is.
func (p *Policy) witness(sig note.Signature) (WitnessKey, bool) {
	for _, w := range p.witnesses {
		if w.Key.Name() == sig.Name && w.Key.KeyHash() == sig.Hash {
			return w, true
		}
	}
	return WitnessKey{}, false
}
