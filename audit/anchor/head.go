package anchor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

const (
	maxHead   = 64 << 10 // bytes of a head with its signatures
	maxSecret = 8 << 10  // bytes of a file with a token or key
)

// whole refuses what cannot be a signed head: an empty file, or a beginning of
// one. Whether the signature is good, the guard of the log says.
func whole(head []byte) error {
	switch {
	case len(head) == 0:
		return errors.New("the head is empty")
	case len(head) > maxHead:
		return fmt.Errorf("the head is longer than %d bytes", maxHead)
	case head[len(head)-1] != '\n' || !bytes.Contains(head, []byte("\n\n— ")):
		return errors.New("the head is not whole")
	}
	return nil
}

// readAll reads a body of at most maxHead bytes.
func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxHead+1))
	if err == nil && len(b) > maxHead {
		err = fmt.Errorf("the answer is longer than %d bytes", maxHead)
	}
	return b, err
}

// A disk does one thing at a time, in order, and may never come back from it:
// a mount whose server has gone holds on to who asks. The context ends the
// waiting, not the work; what was begun is finished before the next.
type disk chan struct{}

func newDisk() disk { return make(disk, 1) }

func do[T any](ctx context.Context, d disk, work func() (T, error)) (T, error) {
	var zero T
	if err := ctx.Err(); err != nil { // select would choose at random
		return zero, err
	}
	select {
	case d <- struct{}{}:
	case <-ctx.Done():
		return zero, ctx.Err()
	}
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		defer func() { <-d }()
		value, err := work()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}

// readSmall reads a regular file of at most limit bytes.
func readSmall(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is not a file of at most %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

// readSecret reads the one line of a file.
func readSecret(path string) (string, error) {
	b, err := readSmall(path, maxSecret)
	if err != nil {
		return "", err
	}
	line := strings.TrimSpace(string(b))
	if line == "" || strings.ContainsFunc(line, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", fmt.Errorf("%s does not hold one line of printable ASCII", path)
	}
	return line, nil
}
