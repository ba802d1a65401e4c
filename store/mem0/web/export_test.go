package web

import "context"

// Ask asks one question of an API, for tests of the client alone.
func Ask(ctx context.Context, c Config, method, route string, destroys bool, args ...string) (map[string]any, error) {
	asking, err := newClient(c, tokenScheme)
	if err != nil {
		return nil, err
	}
	return AskAgain(ctx, asking, method, route, destroys, args...)
}

// A Client is what asks an API.
type Client = client

// NewClient returns one.
func NewClient(c Config) (*Client, error) { return newClient(c, tokenScheme) }

// AskAgain asks one more question. What destroys is fenced now.
func AskAgain(ctx context.Context, c *Client, method, route string, destroys bool, args ...string) (map[string]any, error) {
	return ask[map[string]any](ctx, c, call{method: method, route: route, args: args, destroys: destroys, by: c.now().Add(fenceTime)})
}
