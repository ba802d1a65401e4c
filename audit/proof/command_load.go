package proof

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

const (
	// maxFile bounds what is read as a file to be checked, in bytes.
	maxFile = 4 << 20

	// MaxLogFile bounds what is read as a file of a log, in bytes: a signed head, or
	// a tile of 256 hashes; and MaxBundle, the largest, a bundle of 256 entries.
	MaxLogFile = maxCertificate
	MaxBundle  = (1 << TileHeight) * (2 + 1<<16)
)

// load reads everything but the files to be checked.
func (v *verification) load() error {
	var err error
	if v.given["policy"] {
		v.policy, err = loadPolicy(v.policyFile)
	} else {
		v.policy, err = loadKeys(v.key)
	}
	if err != nil {
		return err
	}
	if v.given["subject-key"] {
		if v.secret, err = loadSubjectKey(v.subjectKey); err != nil {
			return err
		}
	}
	if err := v.loadSelectors(); err != nil {
		return err
	}
	if v.given["memory-file"] {
		text, err := readFile(v.memoryFile, maxFile)
		if err != nil {
			return fmt.Errorf("read memory ID: %w", err)
		}
		// As lethe certificate reads it: editors add a mark and a line's end.
		v.memory = strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(string(text), "\ufeff"), "\n"), "\r")
	}
	if (v.given["memory"] || v.given["memory-file"]) && v.memory == "" {
		return errors.New("read memory ID: it is empty")
	}
	switch {
	case !v.given["log"]:
	case strings.HasPrefix(v.log, "http://"), strings.HasPrefix(v.log, "https://"):
		v.entries = bounded(v.fetchURL(strings.TrimRight(v.log, "/")))
	default:
		v.entries = bounded(func(path string) ([]byte, error) {
			return readRegular(filepath.Join(v.log, filepath.FromSlash(path)), limitOf(path))
		})
	}
	if v.entries != nil {
		v.fetch = once(v.entries)
	}
	return nil
}

// bounded refuses what no file of a log can be.
func bounded(fetch Fetch) Fetch {
	return func(path string) ([]byte, error) {
		b, err := fetch(path)
		if most := limitOf(path); err == nil && int64(len(b)) > most {
			err = fmt.Errorf("fetch from the log: longer than %d bytes", most)
		}
		return b, err
	}
}

// limitOf is how many bytes a file of a log may have.
func limitOf(path string) int64 {
	if strings.HasPrefix(path, "tile/entries/") {
		return MaxBundle
	}
	return MaxLogFile
}

// once keeps what was fetched, so that all files are compared with one state of
// the log, and each tile is fetched once.
func once(fetch Fetch) Fetch {
	kept := map[string][]byte{}
	return func(path string) ([]byte, error) {
		if b, ok := kept[path]; ok {
			return b, nil
		}
		b, err := fetch(path)
		if err != nil {
			return nil, err
		}
		kept[path] = b
		return b, nil
	}
}

// readFile reads a file of at most so many bytes.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fmt.Errorf("longer than %d bytes", most)
	}
	return b, nil
}

// readRegular is readFile for names that others chose: a pipe or a device among
// them must not keep the reader waiting.
func readRegular(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	return readFile(name, most)
}

func loadPolicy(file string) (*Policy, error) {
	text, err := readFile(file, maxPolicy)
	if err != nil {
		return nil, fmt.Errorf("read policy: %w", err)
	}
	return ParsePolicy(text)
}

// loadKeys reads a file of keys or, if there is none of that name and it looks
// like one, takes a verifier key as it is.
func loadKeys(keyOrFile string) (*Policy, error) {
	text, err := readFile(keyOrFile, maxPolicy)
	if err != nil && strings.Count(keyOrFile, "+") >= 2 {
		text = []byte(keyOrFile)
	} else if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return ParseKeys(text)
}

// loadSubjectKey reads a file with a subject key or, if there is none of that
// name, takes the key as it is. Its errors never repeat what may be a key.
func loadSubjectKey(hexOrFile string) ([]byte, error) {
	text, err := readFile(hexOrFile, maxFile)
	if err != nil {
		if key, ok := parseSubjectKey(hexOrFile); ok {
			return key, nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, errors.New("read subject key: no such file, and not 64 hexadecimal digits")
		}
		return nil, errors.New("read subject key: the file cannot be read")
	}
	key, ok := parseSubjectKey(strings.TrimSpace(string(text)))
	if !ok {
		return nil, errors.New("read subject key: want 64 hexadecimal digits")
	}
	return key, nil
}

func parseSubjectKey(text string) ([]byte, bool) {
	key, err := hex.DecodeString(text)
	return key, err == nil && len(key) == 32
}

// loadSelectors makes or reads what the certificates are to be about.
func (v *verification) loadSelectors() error {
	if v.given["selector-file"] {
		text, err := readFile(v.selectorFile, 256<<20) // a million IDs
		if err != nil {
			return fmt.Errorf("read selector: %w", err)
		}
		v.persons = []selector{{text, "matches the key and selector you gave"}}
	}
	if !v.given["subject"] {
		return nil
	}
	if !utf8.ValidString(v.subjectName) || v.subjectName == "" {
		return errors.New("read --subject: want a name in UTF-8")
	}
	for _, field := range []string{"user_id", "agent_id", "app_id", "run_id"} {
		json := append(quote([]byte(`{"`+field+`":`), v.subjectName), '}')
		v.persons = append(v.persons, selector{json, "matches the name and key you gave, as " + field})
	}
	return nil
}
