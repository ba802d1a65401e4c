package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// Suppressed asks whether somebody was forgotten by the one identity key that sel
// has: 422 for any other selector.
func (c *Client) Suppressed(ctx context.Context, sel store.Selector) (Suppression, error) {
	var body bytes.Buffer
	e := &encoder{json: jsontext.NewEncoder(&body)}
	e.token(jsontext.BeginObject)
	e.text("selector")
	e.selector(sel, nil)
	e.token(jsontext.EndObject)
	if e.err != nil {
		return Suppression{}, e.err
	}
	answer, err := c.do(ctx, http.MethodPost, "/v1/suppressions/check", &body, http.Header{"Content-Type": {"application/json"}}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Suppression{}, err
	}
	return decodeAnswer[Suppression](answer)
}

// Replay has erased again what a backup of a time has brought back to a store; the
// zero time for all that is known. It takes as long as reading the store. A dry run
// changes nothing.
func (c *Client) Replay(ctx context.Context, storeName string, backup time.Time, dryRun bool) (Replay, error) {
	var body bytes.Buffer
	e := &encoder{json: jsontext.NewEncoder(&body)}
	e.token(jsontext.BeginObject)
	if !backup.IsZero() {
		e.member("backup_time", backup.UTC().Format(time.RFC3339Nano))
	}
	if dryRun {
		e.text("dry_run")
		e.token(jsontext.True)
	}
	e.token(jsontext.EndObject)
	if e.err != nil {
		return Replay{}, e.err
	}
	path := "/v1/stores/" + url.PathEscape(storeName) + "/replays"
	answer, err := c.do(ctx, http.MethodPost, path, &body, http.Header{"Content-Type": {"application/json"}}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Replay{}, err
	}
	return decodeAnswer[Replay](answer)
}
