package proof

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// The types of signature that a verifier key may name (C2SP signed-note,
// Signature types).
const (
	sigEd25519     = 0x01 // a log's own signature over a head
	sigCosignature = 0x04 // cosignature/v1: a signature that also says when
)

// cosignatureSize is that of a timestamp and an Ed25519 signature, in bytes.
const cosignatureSize = 8 + ed25519.SignatureSize

// NewSigner returns a signer of notes for an Ed25519 key that may live
// elsewhere, such as in an agent. Its signatures are those of note.NewSigner.
func NewSigner(name string, key crypto.Signer) (note.Signer, error) {
	return newSigner(name, key, sigEd25519, nil)
}

// NewCosigner returns a signer whose signatures are cosignatures
// (C2SP tlog-cosignature, Ed25519 signed message), with the time that now says.
func NewCosigner(name string, key crypto.Signer, now func() time.Time) (note.Signer, error) {
	return newSigner(name, key, sigCosignature, now)
}

// VerifierKey returns the verifier key of an Ed25519 key that signs heads.
func VerifierKey(name string, public ed25519.PublicKey) string {
	return verifierKey(name, sigEd25519, public)
}

// CosignerKey returns the verifier key of an Ed25519 key that cosigns heads.
func CosignerKey(name string, public ed25519.PublicKey) string {
	return verifierKey(name, sigCosignature, public)
}

func verifierKey(name string, kind byte, public ed25519.PublicKey) string {
	return fmt.Sprintf("%s+%08x+%s", name, keyID(name, kind, public),
		base64.StdEncoding.EncodeToString(append([]byte{kind}, public...)))
}

// keyID is computed as C2SP signed-note, Signatures asks.
func keyID(name string, kind byte, public ed25519.PublicKey) uint32 {
	h := sha256.New()
	h.Write([]byte(name + "\n"))
	h.Write([]byte{kind})
	h.Write(public)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

// A VerifyKey is a verifier key that has been read: an Ed25519 key that signs
// or cosigns under a name. It implements [note.Verifier].
type VerifyKey struct {
	name   string
	kind   byte
	public ed25519.PublicKey
}

// ParseVerifyKey reads a verifier key, "name+hash+base64", of either type. It
// accepts one spelling of each key.
func ParseVerifyKey(text string) (VerifyKey, error) {
	bad := errors.New("not a verifier key (name+hash+base64) of an Ed25519 key")
	name, rest, ok := strings.Cut(text, "+")
	hash, b64, found := strings.Cut(rest, "+")
	id, err := hex.DecodeString(hash)
	if !ok || !found || err != nil || len(id) != 4 {
		return VerifyKey{}, bad
	}
	b, err := base64.StdEncoding.Strict().DecodeString(b64)
	switch {
	case err != nil || len(b) == 0:
		return VerifyKey{}, bad
	case b[0] != sigEd25519 && b[0] != sigCosignature:
		return VerifyKey{}, errors.New("a verifier key of a type that is not supported: want Ed25519, type 0x01 or 0x04")
	case len(b) != 1+ed25519.PublicKeySize:
		return VerifyKey{}, bad
	}
	var c checks
	if c.origin(name); c.err != nil { // key names follow the rules of origins
		return VerifyKey{}, bad
	}
	k := VerifyKey{name: name, kind: b[0], public: ed25519.PublicKey(b[1:])}
	if k.String() != text {
		return VerifyKey{}, bad
	}
	return k, nil
}

// Name implements [note.Verifier].
func (k VerifyKey) Name() string { return k.name }

// KeyHash implements [note.Verifier].
func (k VerifyKey) KeyHash() uint32 { return keyID(k.name, k.kind, k.public) }

// Verify implements [note.Verifier].
func (k VerifyKey) Verify(msg, sig []byte) bool {
	if k.kind == sigEd25519 {
		return ed25519.Verify(k.public, msg, sig)
	}
	if len(sig) != cosignatureSize {
		return false
	}
	// A time that cannot be said in a report is none: 0, and past the year 9999.
	at := binary.BigEndian.Uint64(sig)
	return at > 0 && at < endOfTime && ed25519.Verify(k.public, cosigned(at, msg), sig[8:])
}

// Cosigns reports whether the key's signatures are cosignatures.
func (k VerifyKey) Cosigns() bool { return k.kind == sigCosignature }

// Clock returns the key under which the same Ed25519 key cosigns. A log that
// signs its heads with it too says when it signed.
func (k VerifyKey) Clock() VerifyKey {
	k.kind = sigCosignature
	return k
}

// Same reports whether two keys are one Ed25519 key, whatever their names and
// types (C2SP tlog-policy, Public key representation).
func (k VerifyKey) Same(o VerifyKey) bool { return k.public.Equal(o.public) }

// String returns the key's one spelling.
func (k VerifyKey) String() string { return verifierKey(k.name, k.kind, k.public) }

// cosigned is the text that a cosignature signs.
func cosigned(at uint64, msg []byte) []byte {
	text := strconv.AppendUint([]byte("cosignature/v1\ntime "), at, 10)
	return append(append(text, '\n'), msg...)
}

// cosignatureTime returns when a cosignature was made. The signature must have
// been verified.
func cosignatureTime(sig note.Signature) (time.Time, error) {
	b, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(b) != 4+cosignatureSize {
		return time.Time{}, errors.New("not a cosignature")
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[4:])), 0).UTC(), nil //nolint:gosec // Verify bounds it
}

// A signer signs notes with a key that may live elsewhere.
type signer struct {
	VerifyKey
	key crypto.Signer
	now func() time.Time
}

func newSigner(name string, key crypto.Signer, kind byte, now func() time.Time) (note.Signer, error) {
	public, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil, errors.New("sign notes: not an Ed25519 key")
	}
	k, err := ParseVerifyKey(verifierKey(name, kind, public))
	if err != nil {
		return nil, errors.New("sign notes: not a name for a key")
	}
	return signer{k, key, now}, nil
}

// Sign implements [note.Signer].
func (s signer) Sign(msg []byte) ([]byte, error) {
	if s.kind == sigEd25519 {
		return s.key.Sign(rand.Reader, msg, crypto.Hash(0))
	}
	at := uint64(s.now().Unix()) //nolint:gosec // no clock stands before 1970
	sig, err := s.key.Sign(rand.Reader, cosigned(at, msg), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	return append(binary.BigEndian.AppendUint64(nil, at), sig...), nil
}
