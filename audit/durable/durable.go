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

// TmpPrefix begins the names of files that are not whole yet.
const TmpPrefix = ".lethe-tmp-"

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
	return moved(tmp, path, move)
}

func moved(tmp, path string, move func(from, to string) error) error {
	dir := filepath.Dir(path)
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

// Fill is like [Create], or with over like [Replace], for a file that fill writes: a
// large one, or one of another library's. fill is given the path of an empty file in
// the same folder, with mode 0600, and may make others whose names begin with it,
// which are removed. Nothing is left of a fill that fails.
func Fill(path string, over bool, mode fs.FileMode, fill func(tmp string) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), TmpPrefix+"*")
	if err != nil {
		return err
	}
	tmp := f.Name()
	defer func() {
		entries, _ := os.ReadDir(filepath.Dir(path))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), filepath.Base(tmp)) {
				_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
			}
		}
	}()
	if err := errors.Join(f.Close(), fill(tmp)); err != nil {
		return err
	}
	if err := syncFile(tmp, mode); err != nil {
		return err
	}
	if over {
		return moved(tmp, path, os.Rename)
	}
	return moved(tmp, path, linkOrRename)
}

// syncFile opens the file anew: what was written through other descriptors is synced
// too.
func syncFile(path string, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(mode), f.Sync(), f.Close())
}

// linkOrRename moves a file to a name that is free. Where there are no hard links
// (FAT, some network file systems) two that move at once could both succeed.
func linkOrRename(from, to string) error {
	err := os.Link(from, to)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &fs.PathError{Op: "create", Path: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}

func writeTemp(dir string, data []byte, mode fs.FileMode) (string, error) {
	f, err := os.CreateTemp(dir, TmpPrefix+"*")
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
		if strings.HasPrefix(e.Name(), TmpPrefix) {
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
