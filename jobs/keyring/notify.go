package keyring

import (
	"fmt"
	"os"
	"path/filepath"
)

// CreateNotify makes the key that hides where a request's status changes are
// told. It outlives the request's seal, because the last change is its end. It
// is durable once it returns.
func (k *Keyring) CreateNotify(request string) error {
	path, err := k.path(notifyDir, request)
	if err != nil {
		return err
	}
	if err := k.create(path); err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	return nil
}

// Notify returns that key.
func (k *Keyring) Notify(request string) ([]byte, error) { return k.key(notifyDir, request) }

// DestroyNotify overwrites and removes that key. It is idempotent and durable
// once it returns.
func (k *Keyring) DestroyNotify(request string) error { return k.destroy(notifyDir, request) }

// Notified returns the requests that still have such a key.
func (k *Keyring) Notified() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(k.dir, notifyDir))
	if err != nil {
		return nil, fmt.Errorf("list notify keys: %w", err)
	}
	ids := make([]string, 0, len(entries))
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids, nil
}
