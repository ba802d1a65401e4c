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

// ActorOf returns who makes a request: nobody, who may do nothing, if no door has
// let it in.
func ActorOf(r *http.Request) jobs.Actor {
	a, _ := r.Context().Value(actorKey{}).(jobs.Actor)
	return a
}
