package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Policies returns the retention policies, with their last sweeps.
func (c *Client) Policies(ctx context.Context) ([]Policy, error) {
	list, err := getJSON[policyList](ctx, c, "/v1/policies")
	return list.Policies, err
}

// RunPolicy runs a retention policy now, in each of its stores; 404 if there is none
// of that name. A dry run changes nothing.
func (c *Client) RunPolicy(ctx context.Context, name string, dryRun bool) (SweepResult, error) {
	var body io.Reader
	header := http.Header{}
	if dryRun {
		body = strings.NewReader(`{"dry_run":true}`)
		header.Set("Content-Type", "application/json")
	}
	answer, err := c.do(ctx, http.MethodPost, "/v1/policies/"+url.PathEscape(name)+"/sweeps", body, header) //nolint:bodyclose // decodeAnswer closes it
	if err != nil {
		return SweepResult{}, err
	}
	return decodeAnswer[SweepResult](answer)
}
