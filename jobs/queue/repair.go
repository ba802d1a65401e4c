package queue

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	repairLimit = 3 * time.Second
	calmPause   = 100 * time.Millisecond
)

// A repair is a hook on the server's client that mends two faults of Asynq
// v0.26.0 from outside.
//
// To report a success, a failure or an archiving that Redis did not take, Asynq
// tries again every 5 s, but under a context that it has cancelled before
// (processor.go, markAsDone and its neighbours). Such calls get a living one.
//
// When taking a task fails, Asynq tries again at once and for ever. Redis out
// of memory would answer 10,000 times a second. Such calls return a little
// later.
type repair struct{}

func (repair) DialHook(next redis.DialHook) redis.DialHook { return next }

func (repair) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (repair) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		isScript := strings.HasPrefix(cmd.Name(), "eval") // all that Asynq reports by
		if isScript && errors.Is(ctx.Err(), context.Canceled) {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), repairLimit)
			defer cancel()
		}
		err := next(ctx, cmd)
		if isScript && isTrouble(err) {
			time.Sleep(calmPause)
		}
		return err
	}
}

// isTrouble reports whether err is more than an empty queue, or a script that
// Redis has to be sent in full.
func isTrouble(err error) bool {
	return err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT")
}
