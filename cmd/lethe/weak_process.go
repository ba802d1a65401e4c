package main

import (
	"context"
	"syscall"
)

// lookCoreDumps: memory holds identities while a request is worked on, and a core
// dump is memory on disk.
func lookCoreDumps(_ context.Context, s *surroundings) (found []weakness) {
	if s.traceback == "crash" || s.coreLimit > 0 && s.traceback == "system" {
		found = append(found, weakness{"GOTRACEBACK=" + s.traceback + " makes a crash write more than is needed", "leave GOTRACEBACK out of the environment"})
	}
	if s.coreLimit > 0 {
		found = append(found, weakness{"a crash may leave a core dump, with the identities of requests that were worked on", "ulimit -c 0, or LimitCORE=0 for systemd"})
	}
	return found
}

func coreLimit() uint64 {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_CORE, &l) != nil {
		return 0
	}
	return l.Cur
}

// lookRoot: nothing that Lethe does needs it.
func lookRoot(_ context.Context, s *surroundings) []weakness {
	if s.uid != 0 {
		return nil
	}
	return []weakness{{"the service runs as root, which it does not need", "run it as a user of its own that owns the data folder"}}
}
