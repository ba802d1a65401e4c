package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"lethe/store"
)

// An idFile holds explicit IDs, one a line. They are read while they are sent,
// so a million of them never stand in memory.
type idFile struct {
	name  string // "-" is stdin
	stdin io.Reader
	err   error // what was wrong when last read
}

// all yields the IDs. An error is yielded last and kept in f.err, because a
// transport that sends them would bury it.
func (f *idFile) all(yield func(string, error) bool) {
	f.err = nil
	in := f.stdin
	if f.name != "-" {
		file, err := os.Open(f.name)
		if err != nil {
			f.err = fmt.Errorf("open --ids-file: %w", err)
			yield("", f.err)
			return
		}
		defer file.Close()
		in = file
	}
	if f.err = eachID(in, func(id string) bool { return yield(id, nil) }); f.err != nil {
		yield("", f.err)
	}
}

// eachID calls take with each line of r until it returns false. Empty lines are
// passed over, and a byte order mark too: with it the first ID would match
// nothing, silently.
func eachID(r io.Reader, take func(string) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*store.MaxValueBytes)
	n, found := 0, false
	for lines.Scan() {
		n++
		id := bytes.TrimSuffix(lines.Bytes(), []byte("\r"))
		if n == 1 {
			id = bytes.TrimPrefix(id, []byte("\ufeff"))
		}
		if len(id) == 0 {
			continue
		}
		found = true
		if err := store.CheckValue(fmt.Sprintf("--ids-file line %d", n), string(id)); err != nil {
			return err
		}
		if !take(string(id)) {
			return nil
		}
	}
	switch {
	case errors.Is(lines.Err(), bufio.ErrTooLong):
		return &store.FieldError{Field: fmt.Sprintf("--ids-file line %d", n+1), Problem: "is too long for an ID"}
	case lines.Err() != nil:
		return fmt.Errorf("read --ids-file: %w", lines.Err())
	case !found:
		return &store.FieldError{Field: "--ids-file", Problem: "has no IDs"}
	}
	return nil
}
