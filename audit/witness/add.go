package witness

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
)

const (
	textPlain = "text/plain; charset=utf-8"
	textSize  = "text/x.tlog.size"

	// bodyTime is how long a client may take to send a request.
	bodyTime = 10 * time.Second
)

// A refusal is an answer other than 200.
type refusal struct {
	status int
	reason string
	size   int64 // of the newest cosigned head, with 409
}

func (r *refusal) Error() string { return r.reason }

func refuse(status int, reason string) error { return &refusal{status: status, reason: reason} }

func (s *Server) add(w http.ResponseWriter, r *http.Request) {
	// Of no effect where the server has no such thing, as in some tests.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		status := http.StatusBadRequest
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			status = http.StatusRequestEntityTooLarge
		}
		answer(w, status, textPlain, "the request cannot be read\n")
		return
	}
	lines, err := s.cosign(r.Context(), body)
	refused, ok := errors.AsType[*refusal](err)
	switch {
	case ok && refused.status == http.StatusConflict:
		answer(w, refused.status, textSize, fmt.Sprintf("%d\n", refused.size))
	case ok:
		answer(w, refused.status, textPlain, refused.reason+"\n")
	case err != nil:
		answer(w, http.StatusInternalServerError, textPlain, "the head could not be kept\n")
	default:
		answer(w, http.StatusOK, textPlain, lines)
	}
}

// cosign checks in the order of the specification, and returns a signature line
// for a head that is on disk.
func (s *Server) cosign(ctx context.Context, body []byte) (string, error) {
	r, err := parseRequest(body)
	if err != nil {
		return "", refuse(http.StatusBadRequest, err.Error())
	}
	if len(r.head) > maxHead {
		return "", refuse(http.StatusBadRequest, "the checkpoint is too long")
	}
	h, err := parseHead(r.head)
	if err != nil {
		return "", refuse(http.StatusBadRequest, err.Error())
	}
	l := s.logs[fileName(h.origin)]
	if l == nil || l.keys == nil {
		return "", refuse(http.StatusNotFound, "the log is not known here")
	}
	lines := h.signed(l.keys...)
	if lines == "" {
		return "", refuse(http.StatusForbidden, "not signed by a key of the log")
	}
	lines += h.signed(l.clocks...)
	if r.old > h.size {
		return "", refuse(http.StatusBadRequest, "the old size is larger than the checkpoint's")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.doubt != nil {
		return "", l.doubt
	}
	if err := s.grown(ctx, l, r, h, lines); err != nil {
		return "", err
	}
	sig, err := s.cosignature(h)
	if err != nil {
		return "", err
	}
	if err := s.persist(ctx, l, h, lines+sig); err != nil {
		return "", err
	}
	s.logger.LogAttrs(ctx, slog.LevelInfo, "cosigned", slog.String("log", l.origin), slog.Int64("size", h.size))
	return sig, nil
}

// grown checks that a signed head is what the log has grown to. l is locked.
func (s *Server) grown(ctx context.Context, l *watched, r request, h head, lines string) error {
	var size int64
	if l.last != nil {
		size = l.last.size
		if h.size == size && h.root != l.last.root {
			s.contradicted(ctx, l, h, lines)
		}
	}
	switch {
	case r.old != size:
		return &refusal{http.StatusConflict, "not the size that was cosigned last", size}
	case h.size == size && l.last != nil && h.root != l.last.root:
		return refuse(http.StatusUnprocessableEntity, "another root was cosigned for this size")
	case !h.plausible():
		return refuse(http.StatusUnprocessableEntity, "the root is not one of a tree of this size")
	case r.old == 0 || r.old == h.size:
		if len(r.path) > 0 {
			return refuse(http.StatusUnprocessableEntity, "there is nothing to prove, and the proof is not empty")
		}
		return nil
	}
	if err := tlog.CheckTree(r.path, h.size, h.root, l.last.size, l.last.root); err != nil {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "a log does not prove that it grew",
			slog.String("log", l.origin), slog.Int64("from", size), slog.Int64("to", h.size))
		return refuse(http.StatusUnprocessableEntity, "the consistency proof does not verify")
	}
	return nil
}

// contradicted keeps what proves that the log has signed two histories.
func (s *Server) contradicted(ctx context.Context, l *watched, h head, lines string) {
	seen := proof.Head{Size: l.last.size, Root: l.last.root, Note: l.text}
	evidence, err := proof.NewEvidence(seen, proof.Head{Size: h.size, Root: h.root, Note: []byte(h.text + "\n" + lines)}, nil)
	if err == nil {
		err = s.state.accuse(l.name, evidence.Text())
	}
	attrs := []slog.Attr{slog.String("log", l.origin), slog.Int64("size", h.size), slog.String("evidence", l.name+contradiction)}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.logger.LogAttrs(ctx, slog.LevelError, "a log has signed two heads of one size", attrs...)
}

// cosignature returns the witness's line for a head. What is signed is what
// anybody would verify.
func (s *Server) cosignature(h head) (string, error) {
	sig, err := s.signer.Sign([]byte(h.text))
	if err != nil {
		return "", fmt.Errorf("cosign: %w", err)
	}
	return signatureLine(s.key.Name(), append(binary.BigEndian.AppendUint32(nil, s.key.KeyHash()), sig...)), nil
}

func answer(w http.ResponseWriter, status int, contentType, text string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client has gone, and will ask again
}
