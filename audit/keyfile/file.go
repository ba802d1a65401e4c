package keyfile

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
)

// maxSize bounds what is read as a key, in bytes.
const maxSize = 4096

// errOverwritten says of a file that its destruction had begun.
var errOverwritten = errors.New("the key is overwritten")

// A File is where a log's key is kept. Its methods may be called by several
// processes at once, take turns, and may be called again after any error.
// None needs the agent but those that are given the name of a key in it.
type File struct {
	Path   string // of the key; other files stand beside it
	Socket string // of the ssh-agent, for a key that is in one; empty means that of SSH_AUTH_SOCK

	step func(string, func() error) error // see disk; nil in service
	wait time.Duration                    // for an answer of the agent; 0 means agentWait
	now  func() time.Time                 // nil means time.Now
}

// Open is File.Open of a path.
func Open(path, origin string) (*Key, error) { return File{Path: path}.Open(origin) }

// Open reads the log's Ed25519 key, or makes one on first use, with the file
// durable before it returns. The file has mode 0600, and one that others than
// its owner may read is refused, as is a key that was retired. The verifier
// key stands beside it in PATH.pub, mode 0644, and is put back if it is
// missing; another one there is an error. With an empty origin the one in the
// file is taken; for a new key it is made up, as lethe.local/ and 8 random
// hexadecimal digits.
func (f File) Open(origin string) (*Key, error) {
	var k *Key
	err := f.alone(func(d *disk) (err error) {
		k, err = f.readOrMake(d, origin, nil)
		if err != nil {
			return err
		}
		return f.present(d, k, origin)
	})
	if err != nil {
		return nil, fmt.Errorf("open log key: %w", err)
	}
	return k, nil
}

// Adopt is Open for a key that stays in the ssh-agent: on first use it writes
// a file that refers to it. The key is named by its comment or its SHA-256
// fingerprint ("SHA256:..."), must be Ed25519, the only one so named, and give
// a signature. A file with any other key is an error.
func (f File) Adopt(origin, agentKey string) (*Key, error) {
	if agentKey == "" {
		return nil, errors.New("adopt log key: want the name of a key in the ssh-agent")
	}
	var k *Key
	public, err := f.find(agentKey)
	if err != nil {
		return nil, fmt.Errorf("adopt log key: %w", err)
	}
	err = f.alone(func(d *disk) (err error) {
		k, err = f.readOrMake(d, origin, public)
		if err != nil {
			return err
		}
		if !k.is(public) {
			return errors.New("another key is in the file: it can be rotated, not replaced")
		}
		return f.present(d, k, origin)
	})
	if err != nil {
		return nil, fmt.Errorf("adopt log key: %w", err)
	}
	return k, nil
}

// readOrMake makes the key if there is none, and none has been lost: a public
// half without its key is no first use.
func (f File) readOrMake(d *disk, origin string, public ed25519.PublicKey) (*Key, error) {
	k, err := f.read(f.Path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	for _, left := range []string{f.pubPath(), f.nextPath()} {
		if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s is gone, but %s is there: put the key back", f.Path, left)
		}
	}
	return f.make(d, f.Path, origin, public)
}

// alone runs do when no other process changes the key's files, with what an
// earlier one left undone carried out.
func (f File) alone(do func(*disk) error) error {
	d, err := lock(f.Path, f.step)
	if err != nil {
		return err
	}
	defer d.unlock()
	if err := d.destroy(d.tmp); err != nil {
		return err
	}
	if err := f.finish(d); err != nil {
		return fmt.Errorf("finish an earlier rotation: %w", err)
	}
	return do(d)
}

// present makes sure of a key that is to be in force.
func (f File) present(d *disk, k *Key, origin string) error {
	if origin != "" && origin != k.Origin {
		return fmt.Errorf("the key in the file is of origin %s, not %s", k.Origin, origin)
	}
	if err := f.unretired(k); err != nil {
		return err
	}
	return f.publish(d, k, "")
}

func (f File) read(path string) (*Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 || !mode.IsRegular() || info.Size() > maxSize {
		return nil, fmt.Errorf("%s has mode %s: want a small file that only its owner may read (chmod 600)", path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := string(b)
	if strings.Contains(text, "\x00") {
		return nil, fmt.Errorf("%s: %w", path, errOverwritten)
	}
	k, err := f.parse(strings.TrimSuffix(text, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// publish writes the verifier key if it is not there or still that of the key
// before. Another one there is not ours to overwrite: somebody may be handing
// it out.
func (f File) publish(d *disk, k *Key, before string) error {
	path := f.pubPath()
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch strings.TrimSpace(string(b)) {
	case k.Verifier:
		return nil
	case "", before:
		return d.put(path, k.Verifier+"\n", 0o644)
	default:
		return fmt.Errorf("%s does not belong to the key beside it", path)
	}
}
