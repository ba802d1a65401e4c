package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

	"lethe/audit/fault"
	"lethe/jobs"
)

const (
	taskType = "ring"
	maxID    = 64 // bytes of a Ring's ID

	// handleLimit ends an attempt that hangs. A batch takes seconds, but to list
	// or purge a large store takes as long as it takes, and an attempt cut off
	// would begin anew for ever; the lease in the ledger tells who is alive.
	handleLimit = 24 * time.Hour

	// maxRetry is small because retries that matter are rows of the ledger.
	maxRetry = 5
)

// errRing says that a text or a Ring is none of ours. It repeats nothing.
var errRing = errors.New("a ring must be an opaque id and an epoch")

// Ring wakes a worker for r, once: to ring the same ID and epoch again does
// nothing for as long as the queue knows of it in any state. With low, it
// yields to other Rings where both wait, about one to six. An error means that
// the Ring may or may not have been taken, except for an ID that is not 1 to
// 64 letters, digits, '-' and '_', which is never taken.
func (q *Queue) Ring(ctx context.Context, r jobs.Ring, low bool) error {
	text := format(r)
	if _, err := parse(text); err != nil {
		return fmt.Errorf("ring: %w", err)
	}
	name := promptQueue
	if low {
		name = lowQueue
	}
	_, err := q.tasks.EnqueueContext(ctx, asynq.NewTask(taskType, []byte(text)),
		asynq.TaskID(text), asynq.Queue(name), asynq.Timeout(handleLimit), asynq.MaxRetry(maxRetry))
	fault.Point("queue/rung")
	if isDuplicate(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ring: %w", q.source.clean(err))
	}
	return nil
}

// isDuplicate reports whether the queue has a task of this ID already. That is
// also the answer when this very call put it there and the first reply got
// lost, so it is a success. A dead task may own the ID too; the reconciler
// sees that by Waiting, and rings under the next epoch.
func isDuplicate(err error) bool {
	return errors.Is(err, asynq.ErrTaskIDConflict) || errors.Is(err, asynq.ErrDuplicateTask)
}

// format returns the only text about a Ring that Redis is ever told.
func format(r jobs.Ring) string { return r.ID + ":" + strconv.FormatInt(r.Epoch, 10) }

// parse is the inverse of format. It takes nothing that format does not make.
func parse(text string) (jobs.Ring, error) {
	id, epoch, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(epoch, 10, 64)
	r := jobs.Ring{ID: id, Epoch: n}
	if err != nil || n < 0 || !isOpaque(id) || format(r) != text {
		return jobs.Ring{}, errRing
	}
	return r, nil
}

// isOpaque reports whether id can be a random ID. An address, a name with a
// space in it or a sentence cannot.
func isOpaque(id string) bool {
	if id == "" || len(id) > maxID {
		return false
	}
	for _, c := range []byte(id) {
		if !isWord(c) {
			return false
		}
	}
	return true
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}
