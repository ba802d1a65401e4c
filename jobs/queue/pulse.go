package queue

import (
	"context"
	"errors"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A pulse is a hook on the server's client that sees Asynq take tasks, which it
// does in a loop of its own. A look that found nothing counts, one that Redis did
// not answer does not. While as many handlers run as may, Asynq does not look: what
// else it tells Redis then shows that it lives, and the ledger whether they get on.
type pulse struct {
	turned func()
	full   func() bool
}

func (pulse) DialHook(next redis.DialHook) redis.DialHook { return next }

func (pulse) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (p pulse) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if (err == nil || errors.Is(err, redis.Nil)) && (takes(cmd) || p.full()) {
			p.turned()
		}
		return err
	}
}

// takes reports whether cmd is the script by which Asynq takes a task: its first key
// is the list of those that are pending.
func takes(cmd redis.Cmder) bool {
	args := cmd.Args()
	if len(args) < 4 || !strings.HasPrefix(cmd.Name(), "eval") {
		return false
	}
	first, _ := args[3].(string)
	return strings.HasSuffix(first, ":pending")
}
