package anchor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lethe/audit/durable"
)

// A File is an anchor on a disk. It should be another one than the ledger's.
//
// A folder that is missing is an error: a mount that is gone must not look like
// an anchor that is new. Mount points stay when the mount goes, so give the file
// a folder below the mount point.
type File struct {
	path  string
	disk  disk
	read  func(string) ([]byte, error)
	write func(string, []byte) error
}

// NewFile returns the anchor in the file at path. Nothing is made but the file.
func NewFile(path string) *File {
	return &File{
		path: path, disk: newDisk(),
		read:  func(path string) ([]byte, error) { return readSmall(path, maxHead) },
		write: func(path string, head []byte) error { return durable.Replace(path, head, 0o644) },
	}
}

// Name returns the path.
func (f *File) Name() string { return f.path }

// Load returns the head, or nil if the folder is there and the file is not.
func (f *File) Load(ctx context.Context) ([]byte, error) {
	head, err := do(ctx, f.disk, f.load)
	if err != nil {
		return nil, fmt.Errorf("read the head kept at %s: %w", f.path, err)
	}
	return head, nil
}

func (f *File) load() ([]byte, error) {
	head, err := f.read(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(f.path)); err != nil {
			return nil, err
		}
		if _, err := os.Lstat(f.path); err == nil { // a link that leads nowhere
			return nil, errors.New("the file leads nowhere")
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return head, whole(head)
}

// Store replaces the head; on nil it is on disk. After an error of ctx the disk
// may still do it, before anything that is asked of it later.
func (f *File) Store(ctx context.Context, head []byte) error {
	if err := whole(head); err != nil {
		return fmt.Errorf("keep the head at %s: %w", f.path, err)
	}
	head = append([]byte(nil), head...) // for who does not wait
	_, err := do(ctx, f.disk, func() (struct{}, error) { return struct{}{}, f.write(f.path, head) })
	if err != nil {
		return fmt.Errorf("keep the head at %s: %w", f.path, err)
	}
	return nil
}
