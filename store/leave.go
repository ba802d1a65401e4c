package store

import "context"

type leaveKey struct{}

// WithLeave returns a context for Erase under which a store commits nothing once
// leave returns an error: see [Leave].
func WithLeave(ctx context.Context, leave func() error) context.Context {
	return context.WithValue(ctx, leaveKey{}, leave)
}

// Leave returns why nothing may be committed any more, or nil. A Store that can
// asks directly before each commit: whoever calls Erase may have been stopped for
// so long that somebody else has been given the work, or that a hold has been
// placed on it, and has not had time to end ctx.
func Leave(ctx context.Context) error {
	if leave, ok := ctx.Value(leaveKey{}).(func() error); ok {
		return leave()
	}
	return nil
}
