package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/danielgtaylor/huma/v2"

	"lethe/jobs"
	"lethe/store"
)

// certificate is GET /v1/requests/{id}/certificate.
func (s *server) certificate(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, false, "there is no certificate yet")
}

// receipt is GET /v1/requests/{id}/receipt.
func (s *server) receipt(w http.ResponseWriter, r *http.Request) error {
	return s.file(w, r, true, "there is no receipt yet")
}

// file answers with the certificate of a request's end, or of its acceptance.
func (s *server) file(w http.ResponseWriter, r *http.Request, accepted bool, notYet string) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	newest, err := headQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	file, err := s.cut(r.Context(), ActorOf(r), id, accepted, newest)
	if errors.Is(err, jobs.ErrTooLate) {
		return problem(http.StatusConflict, "not_yet", notYet)
	}
	if err != nil {
		return err
	}
	return writeText(w, file)
}

func (s *server) cut(ctx context.Context, by jobs.Actor, id string, accepted, newest bool) ([]byte, error) {
	switch {
	case newest:
		return s.Book.Reissue(ctx, by, id, accepted)
	case accepted:
		return s.Book.AcceptedReceipt(ctx, by, id)
	}
	return s.Book.Certificate(ctx, by, id)
}

func headParam() param {
	return param{"query", "head", "newest, to have it cut anew for the log's newest head; left out, it is the first head that covers it", &huma.Schema{Type: huma.TypeString, Enum: []any{"newest"}}}
}

// headQuery reads the query of a certificate and reports whether the newest head
// is asked for. As in listQuery, what is not known is an error.
func headQuery(raw string) (newest bool, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return false, malformed("query", "must be well formed")
	}
	for name, given := range values {
		switch {
		case name != "head":
			return false, malformed("query", "must not have parameters other than head")
		case len(given) != 1 || given[0] != "newest":
			return false, malformed("head", "must be newest, or left out")
		}
		newest = true
	}
	return newest, nil
}

// memoryProof is POST /v1/requests/{id}/memory-proof.
func (s *server) memoryProof(w http.ResponseWriter, r *http.Request) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if err := checkBodyHeader(r.Header); err != nil {
		return err
	}
	body := &pacedReader{r: http.MaxBytesReader(w, r.Body, maxRestBytes), control: http.NewResponseController(w)}
	memoryID, err := readMemoryID(body)
	if err != nil {
		return err
	}
	body.done()
	file, err := s.Book.MemoryProof(r.Context(), ActorOf(r), id, memoryID)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		return problem(http.StatusNotFound, "not_found", "there is no such request, or it has no receipt of this memory")
	case errors.Is(err, jobs.ErrTooLate):
		return problem(http.StatusConflict, "not_yet", "the request has not ended: there is nothing to prove yet")
	case err != nil:
		return err
	}
	return writeText(w, file)
}

// readMemoryID reads the body {"memory_id": "…"}.
func readMemoryID(r io.Reader) (id string, err error) {
	d := newDecoder(r, nil)
	given := false
	err = d.object("", []field{{"memory_id", func(at string) (err error) {
		given = true
		if id, err = d.text(at); err != nil {
			return err
		}
		return store.CheckValue(at, id)
	}}})
	switch {
	case err != nil:
		return "", err
	case !given:
		return "", unacceptable("memory_id", "must be given")
	}
	return id, d.end()
}
