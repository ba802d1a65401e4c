package queue

import (
	"context"
	"fmt"
	"log/slog"
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
