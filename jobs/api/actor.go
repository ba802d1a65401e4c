package api

import (
	"context"
	"net/http"

	"lethe/jobs"
)

type actorKey struct{}

// WithActor returns a context in which requests come from a.
func WithActor(ctx context.Context, a jobs.Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

// ActorOf returns who makes a request: [jobs.ActorOpen] where nobody had to say.
func ActorOf(r *http.Request) jobs.Actor {
	if a, ok := r.Context().Value(actorKey{}).(jobs.Actor); ok {
		return a
	}
	return jobs.ActorOpen
}
