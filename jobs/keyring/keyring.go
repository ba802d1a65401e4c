package keyring

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/jobs"
)

// KeySize is the size of every key, in bytes.
const KeySize = 32

// A Keyring is a folder of keys. It may be used concurrently, and by several
// processes.
type Keyring struct {
	dir    string
	secret []byte
}

const (
	sealDir    = "seal"
	subjectDir = "subject"
	notifyDir  = "notify"
	epochDir   = "epoch"
	secretFile = "secret"
)

// Open makes dir with mode 0700 if it is not there, and the installation's
// secret in it. A folder that others can read is refused.
func Open(dir string) (*Keyring, error) {
	for _, d := range []string{dir, filepath.Join(dir, sealDir), filepath.Join(dir, subjectDir), filepath.Join(dir, notifyDir), filepath.Join(dir, epochDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make key folder: %w", err)
		}
	}
	if err := syncDir(dir); err != nil { // or a loss of power could take a folder with its first keys
		return nil, fmt.Errorf("make key folder: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, fmt.Errorf("open key folder: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("open key folder: mode is %#o, want 0700: run chmod 700 on it", info.Mode().Perm())
	}
	k := &Keyring{dir: dir}
	if k.secret, err = k.openSecret(); err != nil {
		return nil, err
	}
	return k, nil
}

func (k *Keyring) openSecret() ([]byte, error) {
	path := filepath.Join(k.dir, secretFile)
	if err := k.create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make installation secret: %w", err)
	}
	return read(path)
}

// Secret returns the installation's secret.
func (k *Keyring) Secret() []byte { return k.secret }

// Create makes both keys of a request. They are durable once it returns.
func (k *Keyring) Create(request string) error {
	for _, d := range []string{sealDir, subjectDir} {
		path, err := k.path(d, request)
		if err != nil {
			return err
		}
		if err := k.create(path); err != nil {
			return fmt.Errorf("make key: %w", err)
		}
	}
	return nil
}

// Seal returns the key that hides what the ledger holds of a request.
func (k *Keyring) Seal(request string) ([]byte, error) { return k.key(sealDir, request) }

// Subject returns the key that opens a request's commitments in the log.
func (k *Keyring) Subject(request string) ([]byte, error) { return k.key(subjectDir, request) }

// DestroySeal overwrites and removes a request's seal key. It is idempotent
// and durable once it returns.
func (k *Keyring) DestroySeal(request string) error { return k.destroy(sealDir, request) }

// DestroySubject overwrites and removes a request's subject key. It is
// idempotent and durable once it returns.
func (k *Keyring) DestroySubject(request string) error { return k.destroy(subjectDir, request) }

// Sealed returns the requests that still have a seal key.
func (k *Keyring) Sealed() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(k.dir, sealDir))
	if err != nil {
		return nil, fmt.Errorf("list seal keys: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, nil
}

// path refuses anything but a UUID, so that no ID can name another file.
func (k *Keyring) path(dir, request string) (string, error) {
	id, err := uuid.Parse(request)
	if err != nil {
		return "", fmt.Errorf("find key: %w", jobs.ErrGone)
	}
	return filepath.Join(k.dir, dir, id.String()), nil
}

func (k *Keyring) key(dir, request string) ([]byte, error) {
	path, err := k.path(dir, request)
	if err != nil {
		return nil, err
	}
	return read(path)
}

func (k *Keyring) destroy(dir, request string) error {
	path, err := k.path(dir, request)
	if err != nil {
		return err
	}
	if err := shred(path); err != nil {
		return fmt.Errorf("destroy key: %w", err)
	}
	return nil
}

func read(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read key: %w", jobs.ErrGone)
	case err != nil:
		return nil, fmt.Errorf("read key: %w", err)
	case len(key) != KeySize:
		return nil, errors.New("read key: the file is damaged")
	}
	return key, nil
}

// create writes a new random key under a temporary name first, so that a crash
// never leaves half a key under the real one. It fails if path exists.
func (k *Keyring) create(path string) error {
	key := make([]byte, KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand, Go 1.24
	f, err := os.CreateTemp(k.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(key)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fault.Point("keyring/written")
	if err := os.Link(f.Name(), path); err != nil { // unlike rename, fails if path exists
		return err
	}
	return syncDir(filepath.Dir(path))
}

// shred overwrites before it removes: unlinking alone leaves the bytes in free
// blocks.
func shred(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !fault.Bug("keyring/remove-alone") {
		_, err = f.Write(make([]byte, KeySize))
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	fault.Point("keyring/overwritten")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
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
