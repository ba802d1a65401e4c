//go:build torture

package main

import "context"

func bugsLane(_ context.Context, r *run) error {
	r.skip("not built yet")
	return nil
}
