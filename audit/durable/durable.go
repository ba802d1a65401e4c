package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lethe/audit/fault"
)

// ErrUnsure is wrapped by an error after which the new file may or may not be
// the one that is found after a crash. After every other error the old one is.
var ErrUnsure = errors.New("not known to be on disk")

// tmpPrefix begins the names of files that are not whole yet.
const tmpPrefix = ".lethe-tmp-"

// Replace puts data in the place of the file at path, or makes it. On nil it is
// on disk.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return place(path, data, mode, os.Rename)
}

// Create is like [Replace], but an error that wraps fs.ErrExist if there is a
// file already. Of two that create it at once, one does.
func Create(path string, data []byte, mode fs.FileMode) error {
	return place(path, data, mode, os.Link)
}

func place(path string, data []byte, mode fs.FileMode, move func(from, to string) error) error {
	dir := filepath.Dir(path)
	tmp, err := writeTemp(dir, data, mode)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp) }() // of no effect once it is renamed
	fault.Point("durable/written")
	if err := move(tmp, path); err != nil {
		return err
	}
	fault.Point("durable/moved")
	if err := SyncDir(dir); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsure, err)
	}
	return nil
}

func writeTemp(dir string, data []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, tmpPrefix+"*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Sweep removes what a crash left of files in dir. Nobody may be writing there.
func Sweep(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), tmpPrefix) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// SyncDir returns once the names in dir are on disk.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
