package proof

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	memoryHeader = "lethe/memory-proof@v1\n"

	// maxMemoryProof is the largest proof in bytes: a certificate, two paths of
	// at most 63 steps with 61 bytes each, and the head.
	maxMemoryProof = maxCertificate + 8<<10
)

// A MemoryProof shows what became of one memory of a request, to whoever knows
// the memory's ID and the request's subject key. It holds neither of them, and
// without both it says of nobody anything. As text it is a lethe/memory-proof@v1:
//
//	lethe/memory-proof@v1
//	batch UUID
//	place CODE
//	outcome erased|absent|held|refused
//	receipt left|right HASH      (from the receipt to its batch's root)
//	batches left|right HASH      (from there to the certificate's batches_root)
//
//	the certificate, byte for byte
//
// Nothing in it is to be believed before [MemoryProof.Check] has returned nil.
type MemoryProof struct {
	Batch       string // UUID of the batch that the memory was erased with
	Place       string // code of the place in the store that it stood in
	Outcome     Outcome
	Receipt     []Step
	Batches     []Step
	Certificate []byte // see [Certificate]
}

// A Step is a node on the way from a leaf to the root of its tree: the hash of
// the sibling and the side that it is on.
type Step struct {
	Left bool
	Hash tlog.Hash
}

// IsMemoryProof reports whether text begins as a [MemoryProof] does.
func IsMemoryProof(text []byte) bool { return bytes.HasPrefix(text, []byte(memoryHeader)) }

// Text returns the proof as a file has it.
func (m MemoryProof) Text() []byte {
	var b bytes.Buffer
	b.WriteString(memoryHeader)
	fmt.Fprintf(&b, "batch %s\nplace %s\noutcome %s\n", m.Batch, m.Place, m.Outcome)
	writeSteps(&b, "receipt", m.Receipt)
	writeSteps(&b, "batches", m.Batches)
	b.WriteByte('\n')
	b.Write(m.Certificate)
	return b.Bytes()
}

func writeSteps(b *bytes.Buffer, tree string, steps []Step) {
	for _, s := range steps {
		side := "right"
		if s.Left {
			side = "left"
		}
		fmt.Fprintf(b, "%s %s %s\n", tree, side, s.Hash)
	}
}

// ParseMemoryProof reads a proof and checks its form only, that of its
// certificate too: what it accepts, Text writes again byte for byte. Errors wrap
// [ErrNotVerified].
func ParseMemoryProof(text []byte) (MemoryProof, error) {
	m, err := parseMemoryProof(text)
	if err != nil {
		return MemoryProof{}, fmt.Errorf("%w: memory proof: %w", ErrNotVerified, err)
	}
	return m, nil
}

func parseMemoryProof(text []byte) (MemoryProof, error) {
	var m MemoryProof
	if len(text) > maxMemoryProof {
		return m, fmt.Errorf("longer than %d bytes", maxMemoryProof)
	}
	rest, ok := bytes.CutPrefix(text, []byte(memoryHeader))
	if !ok {
		return m, errors.New("not a lethe/memory-proof@v1 file")
	}
	body, certificate, ok := bytes.Cut(rest, []byte("\n\n"))
	lines := strings.Split(string(body), "\n")
	if !ok || len(lines) < 3 || len(lines) > 3+2*maxPath {
		return m, errors.New("want batch, place, outcome and path lines, and a certificate after an empty line")
	}
	if err := m.parseHead(lines[:3]); err != nil {
		return m, err
	}
	for _, line := range lines[3:] {
		if err := m.parseStep(line); err != nil {
			return m, err
		}
	}
	if len(m.Receipt) > maxPath || len(m.Batches) > maxPath {
		return m, errors.New("a path is too long")
	}
	if _, err := parseCertificate(certificate); err != nil {
		return m, fmt.Errorf("certificate: %w", err)
	}
	m.Certificate = bytes.Clone(certificate)
	if !bytes.Equal(m.Text(), text) {
		return m, errors.New("not in canonical form")
	}
	return m, nil
}

func (m *MemoryProof) parseHead(lines []string) error {
	var ok [3]bool
	var outcome string
	m.Batch, ok[0] = strings.CutPrefix(lines[0], "batch ")
	m.Place, ok[1] = strings.CutPrefix(lines[1], "place ")
	outcome, ok[2] = strings.CutPrefix(lines[2], "outcome ")
	if ok != [3]bool{true, true, true} {
		return errors.New("want batch, place and outcome, in this order")
	}
	if m.Outcome = parseOutcome(outcome); m.Outcome == 0 {
		return errors.New("unknown outcome")
	}
	return m.checkHead()
}

// checkHead refuses a place with a slash: an ID is hashed as place, slash, key,
// and the slash of a key must not pass for the end of a place.
func (m *MemoryProof) checkHead() error {
	var c checks
	fault := uuid{}.fault(m.Batch)
	c.that(fault == "", "batch %s", fault)
	c.that(isCode(m.Place), "place must be a code")
	c.that(!strings.Contains(m.Place, "/"), "place must not have a slash")
	return c.err
}

func (m *MemoryProof) parseStep(line string) error {
	malformed := errors.New("malformed path line")
	tree, rest, _ := strings.Cut(line, " ")
	side, b64, _ := strings.Cut(rest, " ")
	hash, err := parseHash(b64)
	if err != nil || side != "left" && side != "right" {
		return malformed
	}
	s := Step{Left: side == "left", Hash: hash}
	switch tree {
	case "receipt":
		m.Receipt = append(m.Receipt, s)
	case "batches":
		m.Batches = append(m.Batches, s)
	default:
		return malformed
	}
	return nil
}

// ProveSteps returns the way from one of leaves, which are the leaves of a batch
// or the roots of batches, to their root. Unlike a [Path] it says nothing of the
// leaf's index or of how many leaves there are: a root commits to neither.
func ProveSteps(leaves [][32]byte, index int64) ([]Step, error) {
	p, err := ProvePath(leaves, index)
	if err != nil {
		return nil, err
	}
	steps := make([]Step, 0, len(p.Hashes))
	// RFC 9162, section 2.1.3.2, which walks up to learn the sides.
	node, last := p.Index, p.Size-1
	for _, h := range p.Hashes {
		left := node&1 == 1 || node == last
		for left && node&1 == 0 && node != 0 { // a lone right edge has no sibling below
			node, last = node>>1, last>>1
		}
		steps = append(steps, Step{Left: left, Hash: h})
		node, last = node>>1, last>>1
	}
	return steps, nil
}

// climb returns the root that steps lead to from a leaf. The two kinds of nodes
// are hashed apart (RFC 6962, section 2.1), so no inner node passes for a leaf.
func climb(leaf [32]byte, steps []Step) [32]byte {
	h := tlog.RecordHash(leaf[:])
	for _, s := range steps {
		if s.Left {
			h = tlog.NodeHash(s.Hash, h)
		} else {
			h = tlog.NodeHash(h, s.Hash)
		}
	}
	return [sha256.Size]byte(h)
}
