package proof

import (
	"bytes"
	"errors"
	"fmt"
)

// An Outcome is what became of one ID, as its receipt says. The bytes are those
// that receipts are hashed with: see [ReceiptLeaf].
type Outcome byte

// The outcomes.
const (
	OutcomeErased  Outcome = 'e'
	OutcomeAbsent  Outcome = 'a'
	OutcomeHeld    Outcome = 'h'
	OutcomeRefused Outcome = 'r'
)

// Outcomes returns every Outcome, the one that a person has to know first in
// front: that something is still there.
func Outcomes() []Outcome {
	return []Outcome{OutcomeHeld, OutcomeRefused, OutcomeErased, OutcomeAbsent}
}

// String returns the outcome's name, "" if there is no such outcome.
func (o Outcome) String() string {
	switch o {
	case OutcomeErased:
		return "erased"
	case OutcomeAbsent:
		return "absent"
	case OutcomeHeld:
		return "held"
	case OutcomeRefused:
		return "refused"
	}
	return ""
}

// Meaning returns the outcome in words for people, "" if there is no such
// outcome.
func (o Outcome) Meaning() string {
	switch o {
	case OutcomeErased:
		return "erased: it was there, and could not be read again afterwards"
	case OutcomeAbsent:
		return "absent: nothing of it was there when its turn came"
	case OutcomeHeld:
		return "held: NOT erased, for a legal hold forbade it"
	case OutcomeRefused:
		return "refused: NOT erased, for the store would not erase it"
	}
	return ""
}

func parseOutcome(name string) Outcome {
	for _, o := range Outcomes() {
		if o.String() == name {
			return o
		}
	}
	return 0
}

// errOtherMemory names none of the things that may be wrong: who has not got all
// of them right is told nothing.
var errOtherMemory = errors.New("the certificate has no receipt of this memory, batch, place and outcome under this key")

// Check returns nil if r, which must be what [Verify] made of m's certificate,
// has a receipt that says of the memory with this ID what m says. The key is
// the request's subject key, 32 bytes; the ID is the one that the store knows
// the memory by. Refusals wrap [ErrNotVerified] and repeat neither.
func (m MemoryProof) Check(r *Result, key []byte, memoryID string) error {
	c, err := ParseCertificate(m.Certificate)
	if err != nil {
		return err
	}
	if r == nil || !bytes.Equal(c.Entry, r.text) {
		return fmt.Errorf("%w: memory proof: it holds another certificate than the one verified", ErrNotVerified)
	}
	return m.CheckEntry(r.Entry, key, memoryID)
}

// CheckEntry is Check for who has the entry from the log itself.
func (m MemoryProof) CheckEntry(e Entry, key []byte, memoryID string) error {
	if len(key) != 32 { // HMAC takes any, and fills short ones up: two keys would be one
		return errors.New("check memory proof: the subject key must have 32 bytes")
	}
	if err := m.checkHead(); err != nil {
		return fmt.Errorf("%w: memory proof: %w", ErrNotVerified, err)
	}
	root, counted, err := ended(e, m.Outcome)
	if err != nil {
		return fmt.Errorf("%w: memory proof: %w", ErrNotVerified, err)
	}
	leaf := ReceiptLeaf(key, m.Batch, m.Place+"/"+memoryID, byte(m.Outcome))
	if Digest(climb(climb(leaf, m.Receipt), m.Batches)) != root {
		return fmt.Errorf("%w: memory proof: %w", ErrNotVerified, errOtherMemory)
	}
	if !counted {
		return fmt.Errorf("%w: memory proof: the certificate counts no ID that was %s", ErrNotVerified, m.Outcome)
	}
	return nil
}

// ended returns the batches_root of the entry of an end, and whether any of its
// stores counts an ID with the outcome.
func ended(e Entry, o Outcome) (root string, counted bool, err error) {
	count := func(erased, absent, held, refused int) {
		n := map[Outcome]int{OutcomeErased: erased, OutcomeAbsent: absent, OutcomeHeld: held, OutcomeRefused: refused}
		counted = counted || n[o] > 0
	}
	switch e := e.(type) {
	case *Completed:
		for _, s := range e.Stores {
			count(s.Erased, s.Absent, s.Held, s.Refused)
		}
		return e.BatchesRoot, counted, nil
	case *Cancelled:
		for _, s := range e.Stores {
			count(s.Erased, s.Absent, s.Held, s.Refused)
		}
		return e.BatchesRoot, counted, nil
	}
	return "", false, errors.New("its certificate is not of a request's end")
}

// VerifyMemory is the whole check of a file: that it is a memory proof, that its
// certificate is one to verify, and that it has the receipt. It returns what the
// certificate says, and a line for people on what became of the memory. Refusals
// wrap [ErrNotVerified], or are those of verify.
func VerifyMemory(text []byte, verify func(certificate []byte) (*Result, error), key []byte, memoryID string) (*Result, string, error) {
	r, says, _, err := verifyMemory(text, verify, key, memoryID)
	return r, says, err
}

// verifyMemory is VerifyMemory with the outcome.
func verifyMemory(text []byte, verify func(certificate []byte) (*Result, error), key []byte, memoryID string) (*Result, string, Outcome, error) {
	m, err := ParseMemoryProof(text)
	if err != nil {
		return nil, "", 0, err
	}
	r, err := verify(m.Certificate)
	if err != nil {
		return nil, "", 0, err
	}
	if err := m.Check(r, key, memoryID); err != nil {
		return nil, "", 0, err
	}
	return r, fmt.Sprintf("in place %s: %s", m.Place, m.Outcome.Meaning()), m.Outcome, nil
}
