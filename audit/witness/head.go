package witness

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A head is a checkpoint that has been read (C2SP tlog-checkpoint). Whether it
// is signed, [head.signed] says.
type head struct {
	origin string
	size   int64
	root   tlog.Hash
	text   string // what is signed
	sigs   []note.Signature
}

// parseHead reads a checkpoint. Its three lines have one spelling; extension
// lines may follow them.
func parseHead(text []byte) (head, error) {
	bad := errors.New("not a checkpoint")
	// The note package is asked with no key at all, so that a note in good form
	// always is an unverified one.
	_, err := note.Open(text, note.VerifierList())
	unverified, ok := errors.AsType[*note.UnverifiedNoteError](err)
	if !ok {
		return head{}, bad
	}
	h := head{text: unverified.Note.Text, sigs: unverified.Note.UnverifiedSigs}
	lines := strings.Split(strings.TrimSuffix(h.text, "\n"), "\n")
	if len(lines) < 3 || lines[0] == "" {
		return head{}, bad
	}
	for _, extension := range lines[3:] {
		if extension == "" {
			return head{}, bad
		}
	}
	h.origin = lines[0]
	if h.size, err = parseSize(lines[1]); err != nil {
		return head{}, bad
	}
	if h.root, err = parseHash(lines[2]); err != nil {
		return head{}, bad
	}
	return h, nil
}

// signed returns the signature lines of keys, each in its one spelling. Of
// several lines of one key the first counts, as for package note, which bounds
// the work.
func (h head) signed(keys ...note.Verifier) (lines string) {
	for _, key := range keys {
		for _, sig := range h.sigs {
			if sig.Name != key.Name() || sig.Hash != key.KeyHash() {
				continue
			}
			if b, err := base64.StdEncoding.DecodeString(sig.Base64); err == nil && key.Verify([]byte(h.text), b[4:]) {
				lines += signatureLine(sig.Name, b)
			}
			break
		}
	}
	return lines
}

// signatureLine formats a signature, with the hash of its key before it (C2SP
// signed-note, Signatures).
func signatureLine(name string, sig []byte) string {
	return "— " + name + " " + base64.StdEncoding.EncodeToString(sig) + "\n"
}

// plausible reports whether a tree of the head's size can have its root, as far
// as that can be said without the tree.
func (h head) plausible() bool {
	empty, err := tlog.TreeHash(0, nil)
	return err == nil && (h.size > 0) == (h.root != empty)
}

// fileName is that of a log in a state folder and in URLs.
func fileName(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}
