package proof

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	evidenceHeader = "lethe/fork-evidence@v1\n"

	// maxEvidence is the largest evidence in bytes: two checkpoints and the
	// hashes of one path.
	maxEvidence = 2*maxCertificate + 4<<10
)

// Evidence is two signed heads that no single append-only log can have, with
// what shows it. It needs no log, no tiles and nobody's word but the signatures
// that it holds. As text it is a lethe/fork-evidence@v1:
//
//	lethe/fork-evidence@v1
//	HASH                         (none if the heads are of one size)
//
//	the checkpoint of the smaller size, byte for byte
//
//	that of the larger size; of one size, in the order of their roots
//
// The hashes are a consistency proof of the larger tree (RFC 6962, section
// 2.1.2) that leaves nothing out: SUBPROOF with b false, in which the older
// root is always computed and never assumed. They give the larger head's root,
// and for the smaller size another root than the one that was signed.
//
// Nothing in it is to be believed before [VerifyEvidence] has returned.
type Evidence struct {
	Hashes []tlog.Hash
	Heads  [2][]byte // checkpoints
}

// NewEvidence returns the evidence of two contradicting heads of different
// sizes, given the stored hashes of the tree under the larger one, or of equal
// sizes, for which larger is not used. It is evidence only if they contradict.
func NewEvidence(a, b Head, larger tlog.HashReader) (*Evidence, error) {
	if a.Size > b.Size || a.Size == b.Size && bytes.Compare(a.Root[:], b.Root[:]) > 0 {
		a, b = b, a
	}
	e := &Evidence{Heads: [2][]byte{a.Note, b.Note}}
	if a.Size == b.Size {
		return e, nil
	}
	path, err := tlog.ProveTree(b.Size, a.Size, larger)
	if err != nil {
		return nil, fmt.Errorf("prove a fork: %w", err)
	}
	if a.Size&(a.Size-1) == 0 { // the one case in which the path leaves out a hash
		old, err := tlog.TreeHash(a.Size, larger)
		if err != nil {
			return nil, fmt.Errorf("prove a fork: %w", err)
		}
		path = append(tlog.TreeProof{old}, path...)
	}
	e.Hashes = path
	return e, nil
}

// IsEvidence reports whether text begins as [Evidence] does.
func IsEvidence(text []byte) bool { return bytes.HasPrefix(text, []byte(evidenceHeader)) }

// Text returns the evidence as a file has it.
func (e *Evidence) Text() []byte {
	var b bytes.Buffer
	b.WriteString(evidenceHeader)
	for _, h := range e.Hashes {
		fmt.Fprintf(&b, "%s\n", h)
	}
	for _, head := range e.Heads {
		b.WriteByte('\n')
		b.Write(head)
	}
	return b.Bytes()
}

// ParseEvidence reads evidence and checks its form only: what it accepts, Text
// writes again byte for byte. Errors wrap [ErrNotVerified].
func ParseEvidence(text []byte) (*Evidence, error) {
	e, err := parseEvidence(text)
	if err != nil {
		return nil, fmt.Errorf("%w: fork evidence: %w", ErrNotVerified, err)
	}
	return e, nil
}

func parseEvidence(text []byte) (*Evidence, error) {
	if len(text) > maxEvidence {
		return nil, fmt.Errorf("longer than %d bytes", maxEvidence)
	}
	if !IsEvidence(text) {
		return nil, errors.New("not a lethe/fork-evidence@v1 file")
	}
	// A checkpoint has one empty line, between its text and its signatures.
	parts := strings.Split(string(text), "\n\n")
	if len(parts) != 5 {
		return nil, errors.New("want hash lines and two checkpoints, each after an empty line")
	}
	e := &Evidence{Heads: [2][]byte{
		[]byte(parts[1] + "\n\n" + parts[2] + "\n"),
		[]byte(parts[3] + "\n\n" + parts[4]),
	}}
	lines := strings.Split(parts[0], "\n")[1:]
	if len(lines) > maxPath+1 {
		return nil, errors.New("too many hash lines")
	}
	for _, line := range lines {
		h, err := parseHash(line)
		if err != nil {
			return nil, errors.New("malformed hash line")
		}
		e.Hashes = append(e.Hashes, h)
	}
	for _, head := range e.Heads {
		if err := checkCheckpoint(string(head)); err != nil {
			return nil, err
		}
	}
	if !bytes.Equal(e.Text(), text) {
		return nil, errors.New("not in canonical form")
	}
	return e, nil
}

// VerifyEvidence returns the two heads, the smaller one first, if text is
// evidence that they contradict each other and both are signed by keys that
// the policy believes. Refusals wrap [ErrNotVerified]: such a file shows
// nothing against anyone.
func VerifyEvidence(text []byte, p *Policy) ([2]Head, error) {
	var heads [2]Head
	e, err := ParseEvidence(text)
	if err != nil {
		return heads, err
	}
	for i, note := range e.Heads {
		if heads[i], err = openCheckpoint(note, p); err != nil {
			return [2]Head{}, fmt.Errorf("fork evidence: %w", err)
		}
	}
	if err := e.contradict(heads[0], heads[1]); err != nil {
		return [2]Head{}, fmt.Errorf("%w: fork evidence: %w", ErrNotVerified, err)
	}
	return heads, nil
}

// contradict returns nil if the hashes show that a and b contradict each other.
func (e *Evidence) contradict(a, b Head) error {
	switch {
	case a.Origin != b.Origin:
		return errors.New("heads of two logs")
	case a.Size > b.Size || a.Size == b.Size && bytes.Compare(a.Root[:], b.Root[:]) > 0:
		return errors.New("the heads are not in order")
	case a.Size == 0: // only one root could be meant, and a wrong one is no history
		return errors.New("a head of size 0")
	case a.Size == b.Size && len(e.Hashes) > 0:
		return errors.New("heads of one size need no hashes")
	case a.Size == b.Size && a.Root == b.Root:
		return errors.New("the heads are the same")
	case a.Size == b.Size:
		return nil
	}
	older, newer, err := foldPrefix(e.Hashes, a.Size, b.Size)
	switch {
	case err != nil:
		return err
	case newer != b.Root:
		return errors.New("the hashes do not give the root of the larger head")
	case older == a.Root:
		return errors.New("the larger head continues the smaller one")
	}
	return nil
}

// foldPrefix computes the roots of the first m and of all n entries of a tree
// from hashes, which are SUBPROOF(m, D[n], false) of RFC 6962, section 2.1.2.
// Every hash below the root of n is bound by it, so that no other root of m can
// come out.
func foldPrefix(hashes []tlog.Hash, m, n int64) (older, newer tlog.Hash, err error) {
	if len(hashes) == 0 {
		return older, newer, errors.New("a hash is missing")
	}
	if m == n {
		if len(hashes) > 1 {
			return older, newer, errors.New("a hash too many")
		}
		return hashes[0], hashes[0], nil
	}
	k := int64(1) // the largest power of two below n
	for k <= (n-1)/2 {
		k *= 2
	}
	last := hashes[len(hashes)-1]
	hashes = hashes[:len(hashes)-1]
	if m <= k {
		older, newer, err = foldPrefix(hashes, m, k)
		return older, tlog.NodeHash(newer, last), err
	}
	older, newer, err = foldPrefix(hashes, m-k, n-k)
	return tlog.NodeHash(last, older), tlog.NodeHash(last, newer), err
}

// maxEvidenceFiles bounds how many files of one origin and size Save makes.
const maxEvidenceFiles = 1000

// Save writes the evidence to a new file in dir, as
// fork-ORIGIN-SIZE.evidence with the smaller head's size, or with a number
// before the dot if there is other evidence of that name. It overwrites
// nothing; a file that has this very evidence is left as it is. Its bytes are on
// disk once Save returns its path.
func (e *Evidence) Save(dir string) (string, error) {
	lines := strings.SplitN(string(e.Heads[0]), "\n", 3)
	if len(lines) < 3 {
		return "", errors.New("save fork evidence: not a checkpoint")
	}
	safe := func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '-'
	}
	origin := strings.Map(safe, lines[0])
	name := fmt.Sprintf("fork-%s-%s", origin[:min(len(origin), 128)], strings.Map(safe, lines[1]))
	text := e.Text()
	for n := 1; n <= maxEvidenceFiles; n++ {
		path := filepath.Join(dir, name+".evidence")
		if n > 1 {
			path = filepath.Join(dir, fmt.Sprintf("%s-%d.evidence", name, n))
		}
		err := writeNew(path, text)
		if errors.Is(err, fs.ErrExist) {
			if holds(path, text) {
				return path, nil
			}
			continue
		}
		if err != nil {
			return "", fmt.Errorf("save fork evidence: %w", err)
		}
		return path, nil
	}
	return "", errors.New("save fork evidence: too many files of this name")
}

// holds reports whether a file has this text. Whoever sent the certificates may
// have put something of this name beside them: a pipe would never end, and a
// link may lead to where the evidence does not stay.
func holds(path string, text []byte) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(text)) {
		return false
	}
	there, err := readFile(path, int64(len(text)))
	return err == nil && bytes.Equal(there, text)
}

// writeNew writes a file that must not exist yet, and returns once it is on
// disk. What it could not write whole it takes away again.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
