package queue

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A clerk writes what Asynq logs to slog. Asynq logs task IDs, queue names and
// the errors of Redis, never payloads. Its "info" is about its own goroutines,
// so it is debug here.
type clerk struct {
	log   *slog.Logger
	clean func(string) string
}

func (c clerk) Debug(args ...any) { c.write(slog.LevelDebug, args) }
func (c clerk) Info(args ...any)  { c.write(slog.LevelDebug, args) }
func (c clerk) Warn(args ...any)  { c.write(slog.LevelWarn, args) }
func (c clerk) Error(args ...any) { c.write(slog.LevelError, args) }

// Fatal only writes: whether the process ends is not Asynq's to say.
func (c clerk) Fatal(args ...any) { c.write(slog.LevelError, args) }

func (c clerk) write(level slog.Level, args []any) {
	c.log.LogAttrs(context.Background(), level, "asynq: "+c.clean(fmt.Sprint(args...)))
}

// TakeLog keeps the Redis library, which has one log for the whole process, from
// writing lines of its own to standard error: what goes wrong is told by those
// whom it goes wrong for. That sentinels name another master is passed on.
func TakeLog(log *slog.Logger) { redis.SetLogger(library{log}) }

type library struct{ log *slog.Logger }

// Printf implements the library's own interface.
func (l library) Printf(ctx context.Context, format string, args ...any) {
	if strings.HasPrefix(format, "sentinel: new master=") && len(args) == 2 {
		l.log.LogAttrs(ctx, slog.LevelInfo, "redis has another master", slog.Any("addr", args[1]))
	}
}
