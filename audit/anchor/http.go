package anchor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
)

// HTTPOptions say where a head is kept.
type HTTPOptions struct {
	Put       string            // http or https URL without user; its query is as secret as a token
	Get       string            // where it is read; "" if at Put
	TokenFile string            // file with a bearer token for both (RFC 6750); "" for none
	Transport http.RoundTripper // nil for http.DefaultTransport
}

// An HTTP is an anchor at a server that takes a PUT and gives it back.
type HTTP struct {
	put, get, host string
	token          string // file
	disk           disk
	client         *http.Client
}

// NewHTTP returns the anchor at a server. The server is not asked.
func NewHTTP(o HTTPOptions) (*HTTP, error) {
	if o.Get == "" {
		o.Get = o.Put
	}
	host := ""
	for _, address := range []string{o.Get, o.Put} {
		u, err := url.Parse(address)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Fragment != "" {
			// The URL may have a password in it: do not repeat it.
			return nil, errors.New("anchor must be an http or https URL without user")
		}
		host = u.Host
	}
	return &HTTP{put: o.Put, get: o.Get, host: host, token: o.TokenFile, disk: newDisk(), client: newClient(o.Transport)}, nil
}

// newClient follows no redirect, which would take token and head elsewhere.
func newClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Name returns the host that keeps the head.
func (h *HTTP) Name() string { return h.host }

// Load returns the head, or nil if the server answers 404.
func (h *HTTP) Load(ctx context.Context) ([]byte, error) {
	head, err := h.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the head kept at %s: %w", h.host, err)
	}
	return head, nil
}

func (h *HTTP) load(ctx context.Context) ([]byte, error) {
	resp, err := h.send(ctx, http.MethodGet, h.get, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusNotFound:
		return nil, nil
	case http.StatusOK:
		head, err := readAll(resp.Body)
		if err != nil {
			return nil, err
		}
		return head, whole(head)
	}
	return nil, fmt.Errorf("status %d", resp.StatusCode)
}

// Store replaces the head. On nil the server has said that it has it.
func (h *HTTP) Store(ctx context.Context, head []byte) error {
	err := whole(head)
	if err == nil {
		err = h.store(ctx, head)
	}
	if err != nil {
		return fmt.Errorf("keep the head at %s: %w", h.host, err)
	}
	return nil
}

func (h *HTTP) store(ctx context.Context, head []byte) error {
	resp, err := h.send(ctx, http.MethodPut, h.put, head)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusNoContent:
		return nil
	}
	return fmt.Errorf("status %d", resp.StatusCode)
}

func (h *HTTP) send(ctx context.Context, method, address string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("make request") // the error repeats the URL
	}
	if body != nil {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if h.token != "" {
		token, err := do(ctx, h.disk, func() (string, error) { return readSecret(h.token) })
		if err != nil {
			return nil, fmt.Errorf("read token: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return perform(h.client, req)
}

// perform sends a request. The error does not repeat the URL.
func perform(client *http.Client, req *http.Request) (*http.Response, error) {
	resp, err := client.Do(req)
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	return resp, err
}
