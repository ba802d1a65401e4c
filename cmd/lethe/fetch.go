package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"time"

	"lethe/audit/proof"
	"lethe/jobs/api"
)

const (
	fetchTimeout = 30 * time.Second
	maxLogFile   = 32 << 20 // bytes; a bundle of 256 entries has at most 16 MB
)

// publishedBy returns a Fetch for the log of a server. What comes is not trusted: it
// is checked against a signed head.
func publishedBy(ctx context.Context, server *api.Client) proof.Fetch {
	return func(path string) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
		defer cancel()
		get := server.Tile
		if path == "checkpoint" {
			get = func(ctx context.Context, _ string) ([]byte, error) { return server.Checkpoint(ctx) }
		}
		b, err := get(ctx, path)
		if p, ok := errors.AsType[*api.Problem](err); ok && (p.Status == http.StatusNotFound || p.Status == http.StatusGone) {
			return nil, fs.ErrNotExist
		}
		if err != nil {
			return nil, fmt.Errorf("fetch from the log: %w", err)
		}
		return b, nil
	}
}

// publishedAt returns a Fetch for a log that is published under the URL prefix, by
// whomever: nothing of ours need answer there. It is not trusted either.
func publishedAt(ctx context.Context) func(prefix string) proof.Fetch {
	client := &http.Client{
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
