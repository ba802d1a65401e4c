package witness

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"lethe/audit/durable"
	"lethe/audit/proof"
)

const (
	indexFile     = "witness"
	contradiction = ".contradiction" // suffix
	maxIndex      = 4 << 20          // bytes: 64,000 logs
)

// ErrState is wrapped when the key and the state folder are not what one
// witness has left. No retry mends it, and starting with an empty state would
// let the witness contradict itself: see the package's doc.
var ErrState = errors.New("the witness's state is not whole")

// A state is the folder of one witness, held by one process. Its methods may
// be used concurrently for different logs.
type state struct {
	dir  string
	lock *os.File

	mu   sync.Mutex
	key  string
	logs []string // file names of all logs that were ever cosigned
}

// openState takes hold of the folder for the key at path. If neither is there,
// both are made.
func openState(dir, path, name string) (*state, key, error) {
	s := &state{dir: dir}
	if err := s.hold(path); err != nil {
		return nil, key{}, err
	}
	k, err := s.open(path, name)
	if err != nil {
		return nil, key{}, errors.Join(err, s.Close())
	}
	return s, k, nil
}

// open reads the index and the key. The folder is held.
func (s *state) open(path, name string) (key, error) {
	if err := durable.Sweep(s.dir); err != nil {
		return key{}, fmt.Errorf("open state: %w", err)
	}
	indexed, err := s.readIndex()
	if err != nil {
		return key{}, err
	}
	k, err := readKey(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k, err = s.begin(path, name)
	case err != nil:
		err = fmt.Errorf("open witness key: %w", err)
	case !indexed:
		err = fmt.Errorf("%w: there is a key, but no state in the folder: what it cosigned is not known", ErrState)
	case s.key != k.String():
		err = fmt.Errorf("%w: the folder is that of another key", ErrState)
	}
	return k, err
}

// hold makes the folder, if there is no key either, and locks it.
func (s *state) hold(keyPath string) error {
	missing, err := absent(s.dir)
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	first, err := absent(keyPath)
	if err != nil {
		return fmt.Errorf("open witness key: %w", err)
	}
	switch {
	case missing && !first:
		return fmt.Errorf("%w: there is a key, but no state folder: what it cosigned is not known", ErrState)
	case missing:
		if err := os.MkdirAll(s.dir, 0o700); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
		if err := durable.SyncDir(filepath.Dir(filepath.Clean(s.dir))); err != nil {
			return fmt.Errorf("make state folder: %w", err)
		}
	}
	if s.lock, err = os.Open(s.dir); err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return errors.Join(errors.New("open state: another process has the folder"), s.lock.Close())
	}
	return nil
}

// begin makes the key. The index comes first: a crash between the two leaves a
// folder in which nothing was ever cosigned, and that may be begun anew.
func (s *state) begin(path, name string) (key, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return key{}, fmt.Errorf("begin state: %w", err)
	}
	if len(s.logs) > 0 || slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != indexFile }) {
		return key{}, fmt.Errorf("%w: the folder is in use, but its key is missing", ErrState)
	}
	k, text, err := newKey(name)
	if err != nil {
		return key{}, fmt.Errorf("make witness key: %w", err)
	}
	s.key = k.String()
	if err := s.writeIndex(); err != nil {
		return key{}, fmt.Errorf("begin state: %w", err)
	}
	if err := durable.Create(path, []byte(text), 0o600); err != nil {
		return key{}, fmt.Errorf("make witness key: %w", err)
	}
	return k, nil
}

func (s *state) readIndex() (found bool, err error) {
	text, err := readSmall(filepath.Join(s.dir, indexFile), maxIndex)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("open state: %w", err)
	}
	s.key, s.logs = "", nil
	key, rest, _ := strings.Cut(string(text), "\n")
	for line := range strings.Lines(rest) {
		s.logs = append(s.logs, strings.TrimSuffix(line, "\n"))
	}
	s.key = key
	k, err := proof.ParseVerifyKey(key)
	if err != nil || !k.Cosigns() || string(s.index()) != string(text) || slices.ContainsFunc(s.logs, func(n string) bool { return !isFileName(n) }) {
		return false, fmt.Errorf("%w: the file %s is damaged", ErrState, indexFile)
	}
	return true, nil
}

func (s *state) index() []byte {
	return []byte(strings.Join(append([]string{s.key}, s.logs...), "\n") + "\n")
}

func (s *state) writeIndex() error {
	return durable.Replace(filepath.Join(s.dir, indexFile), s.index(), 0o600)
}

// files lists the logs that the folder has a head of. One that the index names
// and the folder lacks is lost. One that it does not name was written just
// before a crash.
func (s *state) files() ([]string, error) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	var names []string
	for _, e := range entries {
		if isFileName(e.Name()) {
			names = append(names, e.Name())
		}
	}
	for _, name := range s.logs {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("%w: the head of a log is missing, file %s", ErrState, name)
		}
	}
	for _, name := range names {
		if err := s.enter(name); err != nil {
			return nil, fmt.Errorf("open state: %w", err)
		}
	}
	return names, nil
}

// get returns the newest head of a log. A line with the digest of what follows
// stands before it: the signatures do not cover one another.
func (s *state) get(name string) ([]byte, error) {
	text, err := readSmall(filepath.Join(s.dir, name), 2*maxHead)
	if err != nil {
		return nil, fmt.Errorf("open state: %w", err)
	}
	_, head, _ := bytes.Cut(text, []byte("\n"))
	if !bytes.Equal(text, sealed(head)) {
		return nil, fmt.Errorf("%w: file %s is damaged", ErrState, name)
	}
	return head, nil
}

func sealed(head []byte) []byte {
	return fmt.Appendf(nil, "sha256 %x\n%s", sha256.Sum256(head), head)
}

// put makes head the newest of a log, before anybody is told of it.
func (s *state) put(name string, head []byte) error {
	if err := durable.Replace(filepath.Join(s.dir, name), sealed(head), 0o600); err != nil {
		return err
	}
	if err := s.enter(name); err != nil {
		return fmt.Errorf("%w: %w", durable.ErrUnsure, err) // the head is in place, but the index does not say so
	}
	return nil
}

// enter names a log in the index.
func (s *state) enter(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.logs, name) {
		return nil
	}
	s.logs = append(s.logs, name)
	err := s.writeIndex()
	if err != nil {
		s.logs = s.logs[:len(s.logs)-1]
	}
	return err
}

// accuse keeps the evidence that a log contradicts itself. The first of a log
// is enough.
func (s *state) accuse(name string, evidence []byte) error {
	path := filepath.Join(s.dir, name+contradiction)
	if missing, err := absent(path); err != nil || !missing {
		return err
	}
	return durable.Create(path, evidence, 0o600)
}

func (s *state) Close() error { return s.lock.Close() }

func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%w: a file is larger than any that a witness writes", ErrState)
	}
	return os.ReadFile(path)
}

func isFileName(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}
