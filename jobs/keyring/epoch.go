package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/jobs"
)

// Epoch returns the key of an epoch's suppression digests, and makes it if make is
// given and there is none: once a key has been destroyed its epoch is over, so only
// the epoch of now may be given one. It is durable once it returns.
func (k *Keyring) Epoch(epoch string, make bool) ([]byte, error) {
	path, err := k.epochPath(epoch)
	if err != nil {
		return nil, err
	}
	key, err := read(path)
	if !make || !errors.Is(err, jobs.ErrGone) {
		return key, err
	}
	if err := k.create(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return read(path)
}

// Epochs returns the epochs that have a key, the oldest first.
func (k *Keyring) Epochs() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(k.dir, epochDir))
	if err != nil {
		return nil, fmt.Errorf("list epoch keys: %w", err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	slices.Sort(all)
	return all, nil
}

// DestroyEpoch overwrites and removes the key of an epoch. It is idempotent and
// durable once it returns.
func (k *Keyring) DestroyEpoch(epoch string) error {
	path, err := k.epochPath(epoch)
	if err != nil {
		return err
	}
	if err := shred(path); err != nil {
		return fmt.Errorf("destroy key: %w", err)
	}
	return nil
}

// epochPath refuses anything but a year and a month, so that no epoch can name
// another file.
func (k *Keyring) epochPath(epoch string) (string, error) {
	if !jobs.IsEpoch(epoch) || strings.ContainsAny(epoch, `/\`) {
		return "", fmt.Errorf("find key: %w", jobs.ErrGone)
	}
	return filepath.Join(k.dir, epochDir, epoch), nil
}
