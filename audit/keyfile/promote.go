package keyfile

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// stage makes the key that Replace puts in place, or keeps what an earlier
// call staged. Nobody has seen a staged key, so one for another purpose is
// destroyed without a trace.
func (f File) stage(d *disk, origin string, public ed25519.PublicKey) error {
	k, err := f.read(f.successorPath())
	switch {
	case err == nil && (origin == "" || k.Origin == origin) && (public == nil || k.is(public)):
		return nil
	case err == nil, errors.Is(err, errOverwritten):
		if err := d.destroy(f.successorPath()); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, err = f.make(d, f.successorPath(), origin, public)
	return err
}

// make writes a key that was not there, and that was never retired.
func (f File) make(d *disk, path, origin string, public ed25519.PublicKey) (*Key, error) {
	text, err := newText(origin, public)
	if err != nil {
		return nil, err
	}
	k, err := f.parse(text)
	if err != nil {
		return nil, err
	}
	if err := f.unretired(k); err != nil {
		return nil, err
	}
	return k, d.put(path, text+"\n", 0o600)
}

// promote puts the key of a file in force. The old key keeps a name until it
// has been dealt with, and that name is what finish goes by.
func (f File) promote(d *disk, from string) error {
	if err := d.link(f.Path, f.retiringPath()); err != nil {
		return err
	}
	if err := d.rename(from, f.Path); err != nil {
		return err
	}
	return f.finish(d)
}

// stay takes back the first step of a promotion whose next key has gone.
func (f File) stay(d *disk) error {
	if _, err := os.Lstat(f.retiringPath()); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return d.remove(f.retiringPath()) // a second name of the key in force, or finish had destroyed it
}

// finish carries out what follows from a new key in force. The old private key
// goes last: as long as it is there, all before it is done again.
func (f File) finish(d *disk) error {
	was, err := os.Stat(f.retiringPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	is, err2 := os.Stat(f.Path)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if os.SameFile(was, is) {
		return nil // the new key is not in force yet
	}
	k, err := f.read(f.Path)
	if err != nil {
		return err
	}
	old, err := f.read(f.retiringPath())
	if err == nil {
		err = f.follow(d, k, old)
	} else if errors.Is(err, errOverwritten) {
		err = nil // all else was done before
	}
	if err != nil {
		return err
	}
	return d.destroy(f.retiringPath())
}

// follow brings everything beside the key in line with it.
func (f File) follow(d *disk, k, old *Key) error {
	if err := f.publish(d, k, old.Verifier); err != nil {
		return err
	}
	if err := f.retireNext(d, k); err != nil {
		return err
	}
	return f.retire(d, old)
}

// retireNext retires the next key of a log that has been succeeded.
func (f File) retireNext(d *disk, k *Key) error {
	next, err := f.read(f.nextPath())
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && next.Origin == k.Origin:
		return nil
	case err == nil:
		err = f.retire(d, next)
	case errors.Is(err, errOverwritten):
		err = nil
	}
	if err != nil {
		return err
	}
	return d.destroy(f.nextPath())
}

// retire keeps the public half of a key.
func (f File) retire(d *disk, k *Key) error {
	b, err := os.ReadFile(f.retiredPath(k))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.put(f.retiredPath(k), k.Verifier+"\n", 0o644)
	case err != nil:
		return err
	case strings.TrimSpace(string(b)) != k.Verifier:
		return fmt.Errorf("%s is of another key", f.retiredPath(k))
	}
	return nil
}

// unretired refuses a key that has been retired: a head that it signs is
// believed by nobody.
func (f File) unretired(k *Key) error {
	_, err := os.Stat(f.retiredPath(k))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("the key has been retired, says %s", f.retiredPath(k))
}
