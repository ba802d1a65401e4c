package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"

	"github.com/go-json-experiment/json"

	"lethe/store"
)

var (
	errLater    = errors.New("the API asks to wait")
	errNotFound = errors.New("the API knows no such thing")
)

// verdict is what the status of an answer means for the call. That something is
// not there is believed only if it is said in JSON: a proxy that knows no such
// path says 404 too. 500 is about this call, and no outage.
func verdict(status int, text []byte) error {
	switch {
	case status == http.StatusOK, status == http.StatusCreated, status == http.StatusAccepted, status == http.StatusNoContent:
		return nil
	case status == http.StatusTooManyRequests:
		return errLater
	case status == http.StatusNotFound && says(text):
		return errNotFound
	case status == http.StatusNotFound:
		return fmt.Errorf("%w: 404, and not from the API: is url right?", store.ErrSchema)
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return fmt.Errorf("%w: the API answers %d: is the key in token_file right, and may it delete?", store.ErrDenied, status)
	case status > http.StatusInternalServerError:
		return fmt.Errorf("%w: the API answers %d", store.ErrUnavailable, status)
	case status >= 300 && status < 400:
		return fmt.Errorf("%w: the API answers %d, a redirect: set url to where it leads", store.ErrSchema, status)
	}
	return fmt.Errorf("the API answers %d", status)
}

// says reports whether text is an error as Mem0's APIs word it.
func says(text []byte) bool {
	var said struct{ Error, Detail, Message string }
	return json.Unmarshal(text, &said, json.MatchCaseInsensitiveNames(true)) == nil && said.Error+said.Detail+said.Message != ""
}

// lost is the error of a call that has no answer, or not all of one. Whether it
// had an effect is not known.
func lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%w: %s", store.ErrUnavailable, reason(err))
}

// reason words an error of net/http without repeating any of it.
func reason(err error) string {
	var (
		name    *net.DNSError
		trust   *tls.CertificateVerificationError
		timeout net.Error
	)
	switch {
	case errors.As(err, &name):
		return "the name of the API's host is not known here"
	case errors.As(err, &trust):
		return "the API's certificate is not trusted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the API refuses connections"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "there is no way to the API's host"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "the API does not answer in time"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was cut"
	}
	return "the connection failed"
}
