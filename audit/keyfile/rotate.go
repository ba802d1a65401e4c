package keyfile

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func (f File) pubPath() string       { return f.Path + ".pub" }
func (f File) nextPath() string      { return f.Path + ".next" }
func (f File) successorPath() string { return f.Path + ".successor" }
func (f File) retiringPath() string  { return f.Path + ".retiring" }

func (f File) retiredPath(k *Key) string { return f.Path + ".retired-" + k.hash() + ".pub" }

// is reports whether k is the key with that public half.
func (k *Key) is(public ed25519.PublicKey) bool { return public.Equal(k.Signer.Public()) }

// Next returns the key that follows the one in force, nil if no rotation is
// under way.
func (f File) Next() (*Key, error) {
	var next *Key
	err := f.alone(func(*disk) (err error) {
		_, next, err = f.both()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read next log key: %w", err)
	}
	return next, nil
}

// both reads the key in force and the next one, which is nil if there is none.
func (f File) both() (k, next *Key, err error) {
	if k, err = f.read(f.Path); err != nil {
		return nil, nil, err
	}
	next, err = f.read(f.nextPath())
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if next.Origin != k.Origin || next.Verifier == k.Verifier {
		return nil, nil, fmt.Errorf("%s is not another key of origin %s", f.nextPath(), k.Origin)
	}
	return k, next, nil
}

// MakeNext begins a rotation: it makes the key that is to follow the one in
// force, of the same origin, or refers to one in the agent if one is named
// (as in Adopt). Where there is a next key already, it returns that one.
func (f File) MakeNext(agentKey string) (*Key, error) {
	var next *Key
	public, err := f.find(agentKey)
	if err != nil {
		return nil, fmt.Errorf("make next log key: %w", err)
	}
	err = f.alone(func(d *disk) error {
		k, have, err := f.both()
		if err != nil {
			return err
		}
		if next = have; next == nil {
			if k.is(public) {
				return errors.New("the key named is the one in force")
			}
			next, err = f.make(d, f.nextPath(), k.Origin, public)
			return err
		}
		if public != nil && !next.is(public) {
			return errors.New("a rotation to another key is under way")
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make next log key: %w", err)
	}
	return next, nil
}

// Promote ends a rotation: the next key comes into force, PATH.pub follows,
// the old private key is overwritten and removed, and its verifier key is
// kept among the retired. Without a next key there is nothing to end, which
// is no error. Once it has returned, the old key cannot sign again.
func (f File) Promote() error {
	err := f.alone(func(d *disk) error {
		_, next, err := f.both()
		if err != nil {
			return err
		}
		if next == nil {
			return f.stay(d)
		}
		return f.promote(d, f.nextPath())
	})
	if err != nil {
		return fmt.Errorf("promote next log key: %w", err)
	}
	return nil
}

// Replace puts a fresh key of a new origin in the place of the log's key, for
// a log that succeeds it, or refers to one in the agent if one is named (as in
// Adopt). The old key is retired as by Promote, and so is a next key. If the
// key in force is of that origin already, Replace has nothing left to do. An
// empty origin is made up, at each call that comes to its end.
func (f File) Replace(origin, agentKey string) (*Key, error) {
	var k *Key
	public, err := f.find(agentKey)
	if err != nil {
		return nil, fmt.Errorf("replace log key: %w", err)
	}
	err = f.alone(func(d *disk) (err error) {
		if k, err = f.read(f.Path); err != nil {
			return err
		}
		if k.Origin != origin {
			if err := f.stage(d, origin, public); err != nil {
				return err
			}
			if err := f.promote(d, f.successorPath()); err != nil {
				return err
			}
			k, err = f.read(f.Path)
			return err
		}
		if public != nil && !k.is(public) {
			return errors.New("another key of that origin is in force")
		}
		return f.stay(d)
	})
	if err != nil {
		return nil, fmt.Errorf("replace log key: %w", err)
	}
	return k, nil
}

// Retired returns the verifier keys of the keys that were in force here, by
// their hashes.
func (f File) Retired() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(f.Path)) // sorted
	if err != nil {
		return nil, fmt.Errorf("list retired log keys: %w", err)
	}
	var retired []string
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), filepath.Base(f.Path)+".retired-")
		hash, pub := strings.CutSuffix(name, ".pub")
		if !ok || !pub {
			continue
		}
		b, err := os.ReadFile(filepath.Join(filepath.Dir(f.Path), e.Name()))
		if err != nil {
			return nil, fmt.Errorf("list retired log keys: %w", err)
		}
		verifier := strings.TrimSpace(string(b))
		if _, _, err := parseVerifier(verifier); err != nil || (&Key{Verifier: verifier}).hash() != hash {
			return nil, fmt.Errorf("list retired log keys: %s is not a verifier key of that hash", e.Name())
		}
		retired = append(retired, verifier)
	}
	return retired, nil
}
