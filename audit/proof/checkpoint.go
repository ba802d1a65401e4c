package proof

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSignatures is how many signature lines a checkpoint may have. C2SP
// signed-note asks for 16 at least.
const maxSignatures = 64

// sigPrefix begins a signature line: em dash, space.
const sigPrefix = "— "

// ErrNotVerified is wrapped by every refusal of a certificate, a checkpoint or
// a proof.
var ErrNotVerified = errors.New("does not verify")

// A Head is a signed head of a log whose signature has been checked.
type Head struct {
	Origin    string
	Size      int64 // number of entries
	Root      tlog.Hash
	KeyID     uint32      // of the log's key that signed
	At        time.Time   // when it was signed, by the log's own word; zero if it does not say
	Witnesses []Witnessed // those of the policy that cosigned, in order of their times
	Others    []string    // names on further signature lines, which were not checked
	Note      []byte      // the checkpoint, byte for byte
}

// FormatHead returns the text that a log signs for a head (C2SP
// tlog-checkpoint, Note text). There are no extension lines, for nobody could
// audit them.
func FormatHead(origin string, size int64, root tlog.Hash) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, size, root)
}

// OpenHead reads a checkpoint, or takes it from a certificate, and checks that
// it is signed by a key of the policy whose name is the checkpoint's origin. A
// certificate is verified as a whole. A wrong signature of any key that the
// policy knows, a witness's too, refuses the whole (C2SP signed-note,
// Signatures). Whether enough witnesses have cosigned is not asked here but by
// [Policy.Quorum]. Errors wrap [ErrNotVerified].
func OpenHead(text []byte, p *Policy) (Head, error) {
	if bytes.HasPrefix(text, []byte(certificateHeader)) {
		r, err := Verify(text, p)
		if err != nil {
			return Head{}, err
		}
		return r.Head, nil
	}
	return openCheckpoint(text, p)
}

func openCheckpoint(text []byte, p *Policy) (Head, error) {
	if len(text) > maxCertificate {
		return Head{}, fmt.Errorf("%w: checkpoint: longer than %d bytes", ErrNotVerified, maxCertificate)
	}
	if err := checkSignatureLines(text); err != nil {
		return Head{}, fmt.Errorf("%w: checkpoint: %w", ErrNotVerified, err)
	}
	signed, err := note.Open(text, p)
	if err != nil {
		return Head{}, fmt.Errorf("%w: checkpoint: %w", ErrNotVerified, signatureError(err))
	}
	h, err := parseHead(signed.Text)
	if err != nil {
		return Head{}, fmt.Errorf("%w: checkpoint: %w", ErrNotVerified, err)
	}
	h.Note = bytes.Clone(text)
	if err := h.attribute(signed, p); err != nil {
		return Head{}, fmt.Errorf("%w: checkpoint: %w", ErrNotVerified, err)
	}
	return h, nil
}

// attribute says whose the signatures are. Those of the policy's keys have been
// verified.
func (h *Head) attribute(signed *note.Note, p *Policy) error {
	var mine *VerifyKey
	for _, sig := range signed.Sigs {
		if k, ok := p.signs(sig, h.Size); ok && k.Name() == h.Origin && mine == nil {
			h.KeyID, mine = sig.Hash, &k
		}
	}
	if mine == nil {
		return errors.New("not signed by a key of its origin's name that may sign this size")
	}
	clock := mine.Clock().KeyHash()
	for _, sig := range signed.Sigs {
		w, witnessed := p.witness(sig)
		if !witnessed && (sig.Hash != clock || sig.Name != h.Origin) {
			continue
		}
		at, err := cosignatureTime(sig)
		switch {
		case err != nil:
			return err
		case witnessed:
			h.Witnesses = append(h.Witnesses, Witnessed{Name: w.Name, Key: w.Key, At: at})
		default:
			h.At = at
		}
	}
	slices.SortStableFunc(h.Witnesses, func(a, b Witnessed) int { return a.At.Compare(b.At) })
	for _, sig := range signed.UnverifiedSigs {
		h.Others = append(h.Others, sig.Name)
	}
	return nil
}

// signatureError replaces the note package's errors that repeat what the file
// says, for a file may say anything.
func signatureError(err error) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return errors.New("not signed by a given key")
	case errors.As(err, &invalid):
		return errors.New("the signature of a given key is wrong")
	}
	return errors.New("malformed note")
}

// parseHead reads the three lines of a checkpoint. It formats them again and
// compares, so a head has one spelling; extension lines are refused.
func parseHead(text string) (Head, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) != 4 {
		return Head{}, errors.New("want origin, size and root")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || size >= maxInt {
		return Head{}, errors.New("size out of range")
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return Head{}, errors.New("malformed root")
	}
	var c checks
	if c.origin(lines[0]); c.err != nil {
		return Head{}, c.err
	}
	if FormatHead(lines[0], size, root) != text {
		return Head{}, errors.New("not in canonical form")
	}
	return Head{Origin: lines[0], Size: size, Root: root}, nil
}

// checkSignatureLines refuses what the note package lets pass: stray padding
// bits in base64, and a second line of one key, which it would not look at.
func checkSignatureLines(text []byte) error {
	split := bytes.LastIndex(text, []byte("\n\n"))
	if split < 0 || text[len(text)-1] != '\n' || split+2 == len(text) {
		return errors.New("malformed note")
	}
	lines := strings.Split(string(text[split+2:len(text)-1]), "\n")
	if len(lines) > maxSignatures {
		return fmt.Errorf("more than %d signatures", maxSignatures)
	}
	seen := map[string]bool{}
	for _, line := range lines {
		rest, ok := strings.CutPrefix(line, sigPrefix)
		name, b64, found := strings.Cut(rest, " ")
		sig, err := base64.StdEncoding.Strict().DecodeString(b64)
		if !ok || !found || err != nil || len(sig) < 5 || base64.StdEncoding.EncodeToString(sig) != b64 {
			return errors.New("malformed signature line")
		}
		var c checks
		if c.origin(name); c.err != nil { // key names follow the rules of origins
			return errors.New("malformed key name")
		}
		key := name + " " + string(sig[:4])
		if seen[key] {
			return errors.New("two signatures of one key")
		}
		seen[key] = true
	}
	return nil
}

// parseHash reads 32 bytes in the one base64 spelling that they have.
func parseHash(s string) (tlog.Hash, error) {
	var h tlog.Hash
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) {
		return h, errors.New("malformed hash")
	}
	copy(h[:], b)
	if h.String() != s { // the decoder skips line breaks
		return h, errors.New("malformed hash")
	}
	return h, nil
}
