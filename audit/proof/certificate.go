package proof

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	certificateHeader = "c2sp.org/tlog-proof@v1\n"

	// maxCertificate is the largest certificate in bytes. An entry takes at
	// most 88 kB in base64, a proof 3 kB; the rest is for signatures.
	maxCertificate = 1 << 20

	// maxPath is the longest inclusion proof of a tree whose size fits int64.
	maxPath = 63
)

// A Certificate is one entry, its place in the log and a signed head that
// covers it. As text it is a C2SP tlog-proof@v1 with the entry's bytes in the
// extra line. Nothing in it is to be believed before [Verify] has returned.
type Certificate struct {
	Entry      []byte // as Encode wrote it
	Index      int64
	Path       tlog.RecordProof
	Checkpoint []byte // signed note
}

// Text returns the certificate as a file has it.
func (c Certificate) Text() []byte {
	var b bytes.Buffer
	b.WriteString(certificateHeader)
	fmt.Fprintf(&b, "extra %s\nindex %d\n", base64.StdEncoding.EncodeToString(c.Entry), c.Index)
	for _, h := range c.Path {
		fmt.Fprintf(&b, "%s\n", h)
	}
	b.WriteByte('\n')
	b.Write(c.Checkpoint)
	return b.Bytes()
}

// ParseCertificate reads a certificate and checks its form only: what it
// accepts, Text writes again byte for byte, and each certificate has one text.
// Errors wrap [ErrNotVerified].
func ParseCertificate(text []byte) (Certificate, error) {
	c, err := parseCertificate(text)
	if err != nil {
		return Certificate{}, fmt.Errorf("%w: certificate: %w", ErrNotVerified, err)
	}
	return c, nil
}

func parseCertificate(text []byte) (Certificate, error) {
	if len(text) > maxCertificate {
		return Certificate{}, fmt.Errorf("longer than %d bytes", maxCertificate)
	}
	rest, ok := strings.CutPrefix(string(text), certificateHeader)
	if !ok {
		return Certificate{}, errors.New("not a c2sp.org/tlog-proof@v1 file")
	}
	body, checkpoint, ok := strings.Cut(rest, "\n\n")
	lines := strings.Split(body, "\n")
	if !ok || len(lines) < 2 || len(lines) > 2+maxPath {
		return Certificate{}, errors.New("want extra, index and proof lines, and a checkpoint after an empty line")
	}
	c := Certificate{Checkpoint: []byte(checkpoint)}
	var err error
	if c.Entry, err = parseExtra(lines[0]); err != nil {
		return Certificate{}, err
	}
	if c.Index, err = parseIndex(lines[1]); err != nil {
		return Certificate{}, err
	}
	for _, line := range lines[2:] {
		h, err := parseHash(line)
		if err != nil {
			return Certificate{}, errors.New("malformed proof line")
		}
		c.Path = append(c.Path, h)
	}
	if err := checkCheckpoint(checkpoint); err != nil {
		return Certificate{}, err
	}
	if !bytes.Equal(c.Text(), text) {
		return Certificate{}, errors.New("not in canonical form")
	}
	return c, nil
}

func parseExtra(line string) ([]byte, error) {
	b64, ok := strings.CutPrefix(line, "extra ")
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	if !ok || err != nil || len(b) == 0 || len(b) > MaxEntry {
		return nil, errors.New("malformed extra line")
	}
	return b, nil
}

func parseIndex(line string) (int64, error) {
	decimal, ok := strings.CutPrefix(line, "index ")
	n, err := strconv.ParseInt(decimal, 10, 64)
	if !ok || err != nil || n < 0 || n >= maxInt {
		return 0, errors.New("malformed index line")
	}
	return n, nil
}

// checkCheckpoint checks the form of a checkpoint and trusts nothing in it.
func checkCheckpoint(text string) error {
	if err := checkSignatureLines([]byte(text)); err != nil {
		return err
	}
	head := text[:strings.LastIndex(text, "\n\n")+1]
	_, err := parseHead(head)
	return err
}

// A Result is what a certificate says, once it has been verified.
type Result struct {
	Entry Entry
	Index int64
	Head  Head // the signed head that covers the entry

	text   []byte // of the entry
	policy *Policy
}

// Verify checks a certificate against a policy, offline: that the head
// is signed by a key whose name is the log's origin, that the tree with this
// head has this entry at this index, that the entry is spelled as [Encode]
// would, and that it was made for this log. Every refusal wraps
// [ErrNotVerified]. Too few witnesses are no refusal: the certificate is sound
// then, and [Result.Witnessed] says what is missing.
func Verify(text []byte, p *Policy) (*Result, error) {
	c, err := ParseCertificate(text)
	if err != nil {
		return nil, err
	}
	head, err := openCheckpoint(c.Checkpoint, p)
	if err != nil {
		return nil, err
	}
	// Nothing but the signed head is believed so far. The next step ties the
	// entry's bytes to it.
	if err := tlog.CheckRecord(c.Path, head.Size, head.Root, c.Index, tlog.RecordHash(c.Entry)); err != nil {
		return nil, fmt.Errorf("%w: the log's head does not cover this entry at this index", ErrNotVerified)
	}
	e, err := Decode(c.Entry)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotVerified, err)
	}
	if e.Head().Origin != head.Origin {
		return nil, fmt.Errorf("%w: the entry was made for another log", ErrNotVerified)
	}
	return &Result{Entry: e, Index: c.Index, Head: head, text: c.Entry, policy: p}, nil
}

// Witnessed reports whether the witnesses that cosigned the head are those that
// the policy asks for, or else what is missing, in words for people. A policy
// that asks for none is always met.
func (r *Result) Witnessed() (met bool, missing string) { return r.policy.Quorum(r.Head.Witnesses) }

// EntryText returns the entry byte for byte.
func (r *Result) EntryText() []byte { return bytes.Clone(r.text) }

// Subject reports whether the entry is about this person: whether key and the
// JSON of the selector open its subject commitment. A selector that is not
// JSON is an error, as is an entry that has no subject.
func (r *Result) Subject(key, selector []byte) (bool, error) {
	terms := termsOf(r.Entry)
	if terms == nil {
		return false, fmt.Errorf("check the subject: a %s entry has none", r.Entry.Kind())
	}
	canonical, err := CanonicalSelector(selector)
	if err != nil {
		return false, err
	}
	return SubjectCommitment(key, canonical) == terms.Subject, nil
}

func termsOf(e Entry) *Terms {
	switch e := e.(type) {
	case *Accepted:
		return &e.Terms
	case *Completed:
		return &e.Terms
	case *Cancelled:
		return &e.Terms
	case *Rejected:
		return &e.Terms
	}
	return nil
}
