package api

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// maxTileBytes bounds what is read of a tile; a bundle of 256 entries has at most
// 16 MiB and the lengths of its entries.
const maxTileBytes = 32 << 20

// Key returns the log's public verifier key, without a line end. 404 if there is
// no log.
func (c *Client) Key(ctx context.Context) (string, error) {
	text, err := c.getText(ctx, "/log/key")
	return strings.TrimSpace(string(text)), err
}

// Keys returns all verifier keys that the log has had, as proof.ParseKeys reads
// them. 404 if there is no log, 503 if it cannot be read.
func (c *Client) Keys(ctx context.Context) ([]byte, error) {
	return c.getText(ctx, "/log/keys")
}

// Checkpoint returns the log's signed head; 404 and 503 as for Keys.
func (c *Client) Checkpoint(ctx context.Context) ([]byte, error) {
	return c.getText(ctx, "/log/checkpoint")
}

// Tile returns a tile of the log or a bundle of its entries, of 32 MiB at most, by
// its path as C2SP tlog-tiles has it, such as tile/0/000.p/5. 404 if the log has no
// such tile. Nothing of it is to be believed that a signed head does not vouch for.
func (c *Client) Tile(ctx context.Context, path string) ([]byte, error) {
	escaped := (&url.URL{Path: "/log/tile/" + strings.TrimPrefix(path, "tile/")}).EscapedPath()
	answer, err := c.do(ctx, http.MethodGet, escaped, nil, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return readAtMost(answer.Body, maxTileBytes)
}

// Ready returns whether the server is to get requests, why not, and how its stores
// are. That it is not ready is no error. Reasons and stores are empty for who has
// no token and is not on the server's machine.
func (c *Client) Ready(ctx context.Context) (Readiness, error) {
	answer, err := c.ask(ctx, http.MethodGet, "/readyz", nil, nil)
	if err != nil {
		return Readiness{}, err
	}
	if answer.StatusCode != http.StatusOK && answer.Header.Get("Content-Type") != mediaJSON {
		return Readiness{}, refusal(answer)
	}
	return decodeAnswer[Readiness](answer)
}

// Health returns nil if the server's process serves.
func (c *Client) Health(ctx context.Context) error {
	_, err := c.getText(ctx, "/healthz")
	return err
}

// OpenAPI returns the OpenAPI 3.1 document of the server, in YAML.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	return c.getText(ctx, "/v1/openapi.yaml")
}
