package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	maxProof   = 63       // lines, C2SP tlog-witness, add-checkpoint
	maxHead    = 32 << 10 // bytes of a submitted head with its signatures
	maxKeys    = 16       // of one log
	maxRequest = maxHead + maxProof*45 + 64

	// maxSize keeps sizes exact everywhere, as package proof does.
	maxSize = 1 << 53
)

// A request asks for a cosignature (C2SP tlog-witness, add-checkpoint).
type request struct {
	old  int64 // size of the head that the witness cosigned last
	path tlog.TreeProof
	head []byte
}

// format returns the body that parseRequest reads.
func (r request) format() []byte {
	b := fmt.Appendf(nil, "old %d\n", r.old)
	for _, h := range r.path {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	return append(append(b, '\n'), r.head...)
}

// parseRequest reads a request in the one spelling that it has. What it takes
// for the head is not looked at.
func parseRequest(body []byte) (request, error) {
	var r request
	line, rest, ok := bytes.Cut(body, []byte("\n"))
	digits, found := bytes.CutPrefix(line, []byte("old "))
	if !ok || !found {
		return r, errors.New("want a line that says the old size")
	}
	old, err := parseSize(string(digits))
	if err != nil {
		return r, fmt.Errorf("old size: %w", err)
	}
	r.old = old
	for {
		line, rest, ok = bytes.Cut(rest, []byte("\n"))
		switch {
		case !ok:
			return r, errors.New("want an empty line before the checkpoint")
		case len(line) == 0:
			r.head = rest
			return r, nil
		case len(r.path) == maxProof:
			return r, fmt.Errorf("more than %d lines of proof", maxProof)
		}
		h, err := parseHash(string(line))
		if err != nil {
			return r, fmt.Errorf("proof: %w", err)
		}
		r.path = append(r.path, h)
	}
}

// parseSize reads the number of entries of a tree, without leading zeros.
func parseSize(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n >= maxSize || strconv.FormatInt(n, 10) != s {
		return 0, errors.New("not a size of a tree")
	}
	return n, nil
}

// parseHash reads 32 bytes in the one base64 spelling that they have.
func parseHash(s string) (h tlog.Hash, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || base64.StdEncoding.EncodeToString(b) != s { // the decoder skips line breaks
		return h, errors.New("malformed hash")
	}
	return tlog.Hash(b), nil
}
