package audit

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// maxKeyFile bounds what is read as a key, in bytes.
const maxKeyFile = 4096

// A Key signs the heads of one log. Its name is the log's origin.
type Key struct {
	Origin   string
	Signer   crypto.Signer // Ed25519
	Verifier string        // verifier key, one line without a line break: what the world gets
}

// OpenKey reads the log's Ed25519 key from a file in note format, or makes one
// on first use, with the file durable before it returns. The file has mode
// 0600, and one that others than its owner may read is refused. The verifier
// key stands beside it in path.pub, mode 0644. With an empty origin the one in
// the file is taken; for a new key it is made up, as lethe.local/ and 8 random
// hexadecimal digits. Two processes that make the key at once get the same.
func OpenKey(path, origin string) (*Key, error) {
	text, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKey(path, origin); err == nil || errors.Is(err, fs.ErrExist) {
			text, err = readKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open log key: %w", err)
	}
	k, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("open log key: %w", err)
	}
	if origin != "" && origin != k.Origin {
		return nil, fmt.Errorf("open log key: the key in the file is of origin %s, not %s", k.Origin, origin)
	}
	if err := publishKey(path+".pub", k.Verifier); err != nil {
		return nil, fmt.Errorf("open log key: %w", err)
	}
	return k, nil
}

func readKey(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 || !mode.IsRegular() || info.Size() > maxKeyFile {
		return "", fmt.Errorf("%s has mode %s: want a small file that only its owner may read (chmod 600)", path, mode)
	}
	b, err := os.ReadFile(path)
	return strings.TrimSuffix(string(b), "\n"), err
}

// makeKey writes a new key. The file is linked into place when it is whole and
// on disk, so that a crash leaves no half key and the first of two makers wins.
func makeKey(path, origin string) error {
	if origin == "" {
		var b [4]byte
		_, _ = rand.Read(b[:]) // never fails
		origin = "lethe.local/" + hex.EncodeToString(b[:])
	}
	private, _, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		return err
	}
	tmp := path + "." + rand.Text()
	if err := writeNew(tmp, private+"\n", 0o600); err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }() // its other name is the key
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// parseKey reads "PRIVATE+KEY+name+hash+base64" and works out the verifier key,
// so that the two cannot disagree. The errors do not repeat the key.
func parseKey(text string) (*Key, error) {
	signer, err := note.NewSigner(text)
	if err != nil {
		return nil, errors.New("not a signing key in note format")
	}
	// Base64 has plus signs of its own, so cut from the left.
	parts := strings.SplitN(text, "+", 5)
	b, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(b) != 1+ed25519.SeedSize {
		return nil, errors.New("not an Ed25519 key")
	}
	key := ed25519.NewKeyFromSeed(b[1:])
	return &Key{Origin: signer.Name(), Signer: key, Verifier: proof.VerifierKey(signer.Name(), key.Public().(ed25519.PublicKey))}, nil
}

// publishKey writes the verifier key if it is not there. Another one there is
// not ours to overwrite: somebody may be handing it out.
func publishKey(path, verifier string) error {
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = writeNew(path, verifier+"\n", 0o644)
		if errors.Is(err, fs.ErrExist) { // another process was faster, with the same key
			return nil
		}
		return err
	case err != nil:
		return err
	case strings.TrimSpace(string(b)) != verifier:
		return fmt.Errorf("%s does not belong to the key beside it", path)
	}
	return nil
}

// writeNew writes a file that must not exist yet, and returns once it is on
// disk.
func writeNew(path, text string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
