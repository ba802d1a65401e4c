package keyfile

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	"lethe/audit/proof"
)

const (
	privatePrefix = "PRIVATE+KEY+" // note format, as golang.org/x/mod/sumdb/note has it
	agentPrefix   = "AGENT+KEY "   // ours: a verifier key follows
)

// A Key signs the heads of one log. Its name is the log's origin.
type Key struct {
	Origin   string
	Verifier string        // verifier key (C2SP signed-note), one line without a line break: what the world gets
	Signer   crypto.Signer // Ed25519; may be used concurrently
}

// hash is the key's hash in hexadecimal, 8 digits.
func (k *Key) hash() string { return strings.SplitN(k.Verifier, "+", 3)[1] }

// A fileKey is a private key that was read from a file. It is held by a
// function so that nothing that prints what contains it prints the key.
type fileKey struct{ private func() ed25519.PrivateKey }

func (k fileKey) Public() crypto.PublicKey { return k.private().Public() }

func (k fileKey) Sign(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return k.private().Sign(r, message, opts)
}

// parse reads a key file's one line. Each key has one spelling. The errors do
// not repeat the key.
func (f File) parse(text string) (*Key, error) {
	if verifier, ok := strings.CutPrefix(text, agentPrefix); ok {
		public, name, err := parseVerifier(verifier)
		if err != nil {
			return nil, err
		}
		return &Key{Origin: name, Verifier: verifier, Signer: &agentKey{public: public, agent: f.agent()}}, nil
	}
	bad := errors.New("not a signing key in note format")
	rest, ok := strings.CutPrefix(text, privatePrefix)
	parts := strings.SplitN(rest, "+", 3) // base64 has plus signs of its own, so from the left
	if !ok || len(parts) != 3 {
		return nil, bad
	}
	b, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return nil, bad
	}
	private := ed25519.NewKeyFromSeed(b[1:])
	verifier := proof.VerifierKey(parts[0], private.Public().(ed25519.PublicKey))
	if _, err := proof.ParseVerifyKey(verifier); err != nil || privateText(parts[0], private) != text {
		return nil, bad
	}
	return &Key{Origin: parts[0], Verifier: verifier, Signer: fileKey{func() ed25519.PrivateKey { return private }}}, nil
}

// parseVerifier reads a verifier key that signs heads.
func parseVerifier(text string) (public ed25519.PublicKey, name string, err error) {
	k, err := proof.ParseVerifyKey(text)
	if err != nil {
		return nil, "", err
	}
	if k.Cosigns() {
		return nil, "", errors.New("the verifier key is one for cosignatures")
	}
	b, err := base64.StdEncoding.DecodeString(strings.SplitN(text, "+", 3)[2])
	if err != nil {
		return nil, "", errors.New("not a verifier key")
	}
	return b[1:], k.Name(), nil
}

func privateText(name string, private ed25519.PrivateKey) string {
	k := Key{Verifier: proof.VerifierKey(name, private.Public().(ed25519.PublicKey))}
	return privatePrefix + name + "+" + k.hash() + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, private.Seed()...))
}

// newText returns a key file's line for a new key, or for one in the agent if
// its public half is given. An empty origin is made up.
func newText(origin string, public ed25519.PublicKey) (string, error) {
	if origin == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		origin = "lethe.local/" + hex.EncodeToString(b[:])
	}
	text := agentPrefix + proof.VerifierKey(origin, public)
	if public == nil {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			return "", err
		}
		text = privateText(origin, private)
	}
	if _, err := (File{}).parse(text); err != nil {
		return "", errors.New("the origin is not one that a log may have")
	}
	return text, nil
}
