package store

import "context"

type alongKey struct{}

// WithAlong returns a context for Erase under which a store tells what goes along
// with the IDs that it was given: see [Along].
func WithAlong(ctx context.Context, tell func(ctx context.Context, also []ID) error) context.Context {
	return context.WithValue(ctx, alongKey{}, tell)
}

// Along tells what a transaction of Erase removes besides its IDs, each of which
// has an ID of its own by which somebody may ask for it: an entity goes with the
// last memory that it links to, and a row that has several IDs with any of them.
// Whoever erases by such an ID later finds nothing, and would not know that the
// same request had it erased.
//
// A Store that can tell does so once for each transaction, directly before it
// commits, with the locks that make it true; what it tells replaces what it has
// told before in the same Erase. It must not commit if that fails.
func Along(ctx context.Context, also []ID) error {
	tell, ok := ctx.Value(alongKey{}).(func(context.Context, []ID) error)
	if !ok {
		return nil
	}
	return tell(ctx, also)
}
