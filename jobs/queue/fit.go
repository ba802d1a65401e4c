package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"lethe/audit/fault"
)

// ErrUnfit says that this Redis would lose tasks or cannot run Asynq. The text
// says what to change.
var ErrUnfit = errors.New("redis cannot serve as a queue")

// The oldest Redis that has every command Asynq uses (ZRANGE … BYSCORE).
const (
	oldestMajor = 6
	oldestMinor = 2
)

// fit returns an error wrapping ErrUnfit if Redis is too old or may evict
// tasks. Where Redis will not say, it warns and lets it pass.
func (q *Queue) fit(ctx context.Context) error {
	infos, err := q.infos(ctx)
	if isRefusal(err) {
		q.log.LogAttrs(ctx, slog.LevelWarn, "redis does not let us read INFO: see to it that it is at least 6.2 and its maxmemory-policy noeviction")
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask redis for its version: %w", q.source.clean(err))
	}
	for _, info := range infos {
		if err := q.fitVersion(ctx, field(info, "redis_version")); err != nil {
			return err
		}
		if err := q.fitPolicy(ctx, field(info, "maxmemory_policy")); err != nil {
			return err
		}
	}
	return nil
}

// infos returns what INFO says: of the one server, or of each of a Cluster's,
// the replicas too, for any of them may be the master tomorrow. Of the replicas
// behind sentinels nothing is asked: often they cannot be reached from here. A
// server of a Cluster that is down while others answer is passed over.
func (q *Queue) infos(ctx context.Context) ([]string, error) {
	cluster, ok := q.client.(*redis.ClusterClient)
	if !ok {
		info, err := q.client.Info(ctx).Result()
		return []string{info}, err
	}
	var mu sync.Mutex
	var all []string
	err := cluster.ForEachShard(ctx, func(ctx context.Context, server *redis.Client) error {
		info, err := server.Info(ctx).Result()
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			all = append(all, info)
		}
		return err
	})
	if len(all) > 0 && !isRefusal(err) {
		return all, nil
	}
	return all, err
}

func (q *Queue) fitVersion(ctx context.Context, version string) error {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	a, errA := strconv.Atoi(major)
	b, errB := strconv.Atoi(minor)
	if errA != nil || errB != nil {
		q.log.LogAttrs(ctx, slog.LevelWarn, "redis does not say its version: it must be at least 6.2")
		return nil
	}
	if a < oldestMajor || a == oldestMajor && b < oldestMinor {
		return fmt.Errorf("%w: it is version %d.%d, at least %d.%d is needed", ErrUnfit, a, b, oldestMajor, oldestMinor)
	}
	return nil
}

func (q *Queue) fitPolicy(ctx context.Context, policy string) error {
	if fault.Bug("queue/any-eviction") {
		return nil
	}
	switch policy {
	case "noeviction":
		return nil
	case "":
		q.log.LogAttrs(ctx, slog.LevelWarn, "redis does not say its maxmemory-policy: it must be noeviction")
		return nil
	}
	return fmt.Errorf("%w: when memory is short it evicts tasks (maxmemory-policy %s); run "+
		`"redis-cli config set maxmemory-policy noeviction" and set it in redis.conf`, ErrUnfit, policy)
}

// isRefusal reports whether an access rule, or a service that rents Redis out,
// forbids a command.
func isRefusal(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	text := reply.Error()
	return strings.HasPrefix(text, "NOPERM") || strings.HasPrefix(text, "ERR unknown command")
}

// field returns the value of a line "name:value" of INFO, or "".
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
