package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
)

// A SubjectWriter computes a [SubjectCommitment] of a canonical selector that
// is too long to stand in memory, such as one of a million IDs.
type SubjectWriter struct{ mac hash.Hash }

// NewSubjectWriter begins a commitment under key.
func NewSubjectWriter(key []byte) SubjectWriter {
	w := SubjectWriter{hmac.New(sha256.New, key)}
	w.mac.Write([]byte(subjectDomain))
	return w
}

// Write adds the next bytes of the selector. It never fails.
func (w SubjectWriter) Write(p []byte) (int, error) { return w.mac.Write(p) }

// Commitment returns the commitment of what was written so far.
func (w SubjectWriter) Commitment() string {
	return keyedDigest + ":" + base64.RawURLEncoding.EncodeToString(w.mac.Sum(nil))
}
