package witness

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"lethe/audit/proof"
)

// maxKeyFile bounds what is read as a key, in bytes.
const maxKeyFile = 4096

// A key is the witness's: one Ed25519 key that does nothing but cosign.
type key struct {
	proof.VerifyKey
	private ed25519.PrivateKey
}

// newKey makes a key, and the text of its file: a signing key in note format,
// as other witnesses read it too. Without a name it makes one up.
func newKey(name string) (key, string, error) {
	if name == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		name = "witness.local/" + hex.EncodeToString(b[:])
	}
	text, _, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		return key{}, "", err
	}
	k, err := parseKey(text)
	return k, text + "\n", err
}

// readKey reads a file that only its owner may read.
func readKey(path string) (key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return key{}, err
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 || !mode.IsRegular() || info.Size() > maxKeyFile {
		return key{}, fmt.Errorf("%s has mode %s: want a small file that only its owner may read (chmod 600)", path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return key{}, err
	}
	return parseKey(strings.TrimSuffix(string(b), "\n"))
}

// parseKey reads "PRIVATE+KEY+name+hash+base64". The errors do not repeat it.
func parseKey(text string) (key, error) {
	bad := errors.New("not an Ed25519 signing key in note format")
	if _, err := note.NewSigner(text); err != nil {
		return key{}, bad
	}
	parts := strings.SplitN(text, "+", 5) // base64 has plus signs of its own
	b, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return key{}, bad
	}
	private := ed25519.NewKeyFromSeed(b[1:])
	public, err := proof.ParseVerifyKey(proof.CosignerKey(parts[2], private.Public().(ed25519.PublicKey)))
	if err != nil {
		return key{}, errors.New("not a name for a key")
	}
	return key{public, private}, nil
}

// absent reports whether there is no file at path.
func absent(path string) (bool, error) {
	switch _, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	default:
		return false, err
	}
}
