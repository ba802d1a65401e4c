package witness

import (
	"context"
	"errors"
)

// OnPersist has f called when a head is on disk and nobody knows yet.
func (s *Server) OnPersist(f func()) { s.persisted = f }

// Answer is what the handler does, without HTTP: the line, or the status.
func (s *Server) Answer(body []byte) (string, int) {
	lines, err := s.cosign(context.Background(), body)
	if err == nil {
		return lines, 200
	}
	if r, ok := errors.AsType[*refusal](err); ok {
		return "", r.status
	}
	return "", 500
}

// Reparse returns a request body, read and formatted again.
func Reparse(body []byte) ([]byte, error) {
	r, err := parseRequest(body)
	return r.format(), err
}

// ReparseHead returns the first lines of a checkpoint as they were understood.
func ReparseHead(text []byte) (origin string, size int64, root, signed string, err error) {
	h, err := parseHead(text)
	return h.origin, h.size, h.root.String(), h.text, err
}
