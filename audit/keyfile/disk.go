package keyfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A disk changes files of a folder that it has locked, in steps of which each
// is done or not done, whenever the process dies.
type disk struct {
	folder *os.File
	tmp    string
	step   func(name string, do func() error) error // takes each step; tests stop here
}

// lock waits for its turn in the folder of path.
func lock(path string, step func(string, func() error) error) (*disk, error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		_ = folder.Close()
		return nil, &fs.PathError{Op: "lock", Path: folder.Name(), Err: err}
	}
	if step == nil {
		step = func(_ string, do func() error) error { return do() }
	}
	return &disk{folder: folder, tmp: path + ".tmp", step: step}, nil
}

// unlock gives the turn to the next.
func (d *disk) unlock() { _ = d.folder.Close() }

func (d *disk) sync() error { return d.step("sync folder", d.folder.Sync) }

// put makes or replaces a file, which is on disk when put returns.
func (d *disk) put(path, text string, mode fs.FileMode) error {
	if err := d.destroy(d.tmp); err != nil {
		return err
	}
	var f *os.File
	err := d.step("create", func() (err error) {
		f, err = os.OpenFile(d.tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
		return err
	})
	if err != nil {
		return err
	}
	err = d.write(f, text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.rename(d.tmp, path)
}

func (d *disk) write(f *os.File, text string) error {
	for _, half := range []string{text[:len(text)/2], text[len(text)/2:]} { // a write may be torn
		if err := d.step("write", func() error { _, err := f.WriteString(half); return err }); err != nil {
			return err
		}
	}
	return d.step("sync", f.Sync)
}

func (d *disk) rename(from, to string) error {
	if err := d.step("rename", func() error { return os.Rename(from, to) }); err != nil {
		return err
	}
	return d.sync()
}

// link gives a file a second name, which it may have already.
func (d *disk) link(from, to string) error {
	err := d.step("link", func() error { return os.Link(from, to) })
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.sync()
}

// destroy overwrites a file before it removes it: unlinking alone leaves the
// bytes in free blocks. A file that is not there is destroyed.
func (d *disk) destroy(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	// Its owner may have made it read-only.
	if err := d.step("chmod", func() error { return os.Chmod(path, 0o600) }); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = d.write(f, string(make([]byte, info.Size())))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return d.remove(path)
}

func (d *disk) remove(path string) error {
	err := d.step("remove", func() error { return os.Remove(path) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.sync()
}
