package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"lethe/audit/proof"
)

const (
	fetchTimeout = 30 * time.Second
	maxLogFile   = 32 << 20 // bytes; a bundle of 256 entries has at most 16 MB
)

// publishedAt returns a Fetch for the log that is published under the URL
// prefix. What comes is not trusted: it is checked against a signed head.
func publishedAt(ctx context.Context) func(prefix string) proof.Fetch {
	return publishedThrough(ctx, nil)
}

// publishedThrough is publishedAt over a transport; nil is the default one.
func publishedThrough(ctx context.Context, transport http.RoundTripper) func(prefix string) proof.Fetch {
	client := &http.Client{
		Transport:     transport,
		Timeout:       fetchTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(prefix string) proof.Fetch {
		return func(path string) ([]byte, error) { return fetch(ctx, client, prefix+"/"+path) }
	}
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetch from the log: %w", err)
	}
	answer, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetch from the log: %w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound, http.StatusGone:
		return nil, fs.ErrNotExist
	default:
		return nil, fmt.Errorf("fetch from the log: status %d", answer.StatusCode)
	}
	return io.ReadAll(io.LimitReader(answer.Body, maxLogFile))
}
