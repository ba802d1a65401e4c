package main

import "context"

// lookLogOutside: a log of which nobody else has seen a head can be put back, or
// told anew, by whoever has this machine.
func lookLogOutside(_ context.Context, s *surroundings) []weakness {
	if len(s.config.Anchors) > 0 || s.config.Witnesses != "" {
		return nil
	}
	return []weakness{{
		"nobody outside keeps or cosigns the heads of the log: whoever has this machine could put log and ledger back together, unseen",
		"give anchors (a file on another host, an HTTP server, S3) or witnesses in the configuration",
	}}
}
