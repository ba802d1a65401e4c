package store

import "context"

type stillKey struct{}

// WithStill returns a context for Erase under which a [Sweepable] store leaves what
// sel does not select any more: see [Still] and [Kept].
func WithStill(ctx context.Context, sel Selector) context.Context {
	return context.WithValue(ctx, stillKey{}, sel)
}

// WithoutStill returns a context under which Erase erases what it is told to.
func WithoutStill(ctx context.Context) context.Context {
	return context.WithValue(ctx, stillKey{}, nil)
}

// Still returns what an erasure was planned by, and whether that must still hold. A
// Sweepable store compares each row of a batch with it, in the transaction that
// erases, and in such a way that nobody can change the row in between: a time can
// be taken back or moved after a sweep was planned. What does not match is Kept,
// with all that hangs on it. An ID whose row is gone, and of which something else
// is left, has nothing that speaks for keeping it.
func Still(ctx context.Context) (Selector, bool) {
	sel, ok := ctx.Value(stillKey{}).(Selector)
	return sel, ok
}
