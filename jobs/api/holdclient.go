package api

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// PlaceHold places a legal hold on what s selects, which needs only its Selector
// or IDs, at most jobs.MaxHoldIDs. Once it returns nothing of that is erased. A zero
// until is for until it is released. 400 for a reason that is no code or an until
// that has passed, 422 for a selector that cannot be accepted, 503 with the code
// hold_placing if it is in force only later: Holds says when.
func (c *Client) PlaceHold(ctx context.Context, s Submission, reason string, until time.Time) (Hold, error) {
	var body bytes.Buffer // of IDs there are not too many for memory
	e := &encoder{json: jsontext.NewEncoder(&body)}
	e.token(jsontext.BeginObject)
	e.text("selector")
	e.selector(s.Selector, s.IDs)
	e.text("reason")
	e.text(reason)
	if !until.IsZero() {
		e.member("until", until.UTC().Format(time.RFC3339Nano))
	}
	e.token(jsontext.EndObject)
	if e.err != nil {
		return Hold{}, e.err
	}
	answer, err := c.do(ctx, http.MethodPost, "/v1/holds", &body, http.Header{"Content-Type": {"application/json"}}) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Hold{}, err
	}
	return decodeAnswer[Hold](answer)
}

// Holds returns the legal holds that stand, oldest first.
func (c *Client) Holds(ctx context.Context) ([]Hold, error) {
	list, err := getJSON[holdList](ctx, c, "/v1/holds")
	return list.Holds, err
}

// ReleaseHold ends a legal hold, for a reason that is a code. 404 if there is none,
// 409 if it has ended (too_late) or is still being placed (hold_placing).
func (c *Client) ReleaseHold(ctx context.Context, id, reason string) (Hold, error) {
	query := url.Values{"reason": {reason}}
	answer, err := c.do(ctx, http.MethodDelete, "/v1/holds/"+url.PathEscape(id)+"?"+query.Encode(), nil, nil) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return Hold{}, err
	}
	return decodeAnswer[Hold](answer)
}
