package queue

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lethe/jobs"
)

// What Options leave out.
const (
	defaultConcurrency     = 10
	defaultShutdownTimeout = 8 * time.Second
)

// answerLimit bounds how long Open waits for Redis to answer.
const answerLimit = 5 * time.Second

// Options say where the queue is and how it is worked off.
type Options struct {
	// URL is "embedded", or one of
	//
	//	redis://[user:password@]host[:port][/db]
	//	redis-sentinel://[user:password@]host[:port],host[:port]…/MASTER[?db=N]
	//	redis-cluster://[user:password@]host[:port],host[:port]…
	//
	// or the same with rediss for TLS. Special characters of a password must be
	// percent-encoded. The hosts are those of some sentinels, or of some servers
	// of the Cluster; the others are learned from them.
	URL string

	// TLS, if set, is used for rediss…://, for sentinels too. Its ServerName, if
	// empty, is the host that is connected to.
	TLS *tls.Config

	// SentinelUser and SentinelPassword are what the sentinels themselves ask
	// for. Empty for nothing.
	SentinelUser, SentinelPassword string

	// Concurrency is how many handlers Run lets run at once. 0 means 10.
	Concurrency int

	// ShutdownTimeout is how long Run waits for handlers to end after its
	// context has. 0 means 8 s. Run returns 1.5 s later at the latest.
	ShutdownTimeout time.Duration

	// Grace is how long after its context has ended Run ends that of handlers: so
	// what takes less is not broken off. Less than ShutdownTimeout; 0 for at once.
	Grace time.Duration

	// Pulse shows that Run takes tasks, or has its hands full.
	Pulse jobs.Pulse

	// Logger is told of what a human may have to see. nil means no log.
	Logger *slog.Logger
}

// A Queue carries Rings to workers. Its methods may be called concurrently.
type Queue struct {
	opts   Options
	source source
	client redis.UniversalClient
	tasks  *asynq.Client
	log    *slog.Logger

	mu     sync.Mutex
	checks []int64 // the last values of the counters that Fresh saw

	unrepaired bool // set by tests, to see what the hook is for
}

// Open connects to the queue, or starts it if it is embedded. It returns an
// error wrapping ErrURL if the URL cannot be used, wrapping ErrUnfit if Redis
// is too old or may evict tasks, or another one if Redis does not answer
// within 5 s. No error holds the password.
func Open(ctx context.Context, opts Options) (*Queue, error) {
	if opts.Concurrency <= 0 {
		opts.Concurrency = defaultConcurrency
	}
	if opts.ShutdownTimeout <= 0 {
		opts.ShutdownTimeout = defaultShutdownTimeout
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	src, err := find(opts)
	if err != nil {
		return nil, fmt.Errorf("open queue: %w", err)
	}
	q := &Queue{opts: opts, source: src, log: opts.Logger, checks: make([]int64, len(src.checkKeys()))}
	q.client = src.connect(0)
	q.tasks = asynq.NewClientFromRedisClient(q.client)
	if err := q.inspect(ctx); err != nil {
		_ = q.Close() // the first error is the one to tell
		return nil, fmt.Errorf("open queue: %w", err)
	}
	return q, nil
}

// inspect returns an error if Redis does not answer or is unfit.
func (q *Queue) inspect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	if err := q.ask(ctx); err != nil {
		return fmt.Errorf("redis at %s does not answer: %w", q.source.where(), q.source.clean(err))
	}
	if q.source.embedded != nil {
		return nil
	}
	return q.fit(ctx)
}

// Ping returns an error if the queue does not answer.
func (q *Queue) Ping(ctx context.Context) error {
	if err := q.ask(ctx); err != nil {
		return fmt.Errorf("ping queue: %w", q.source.clean(err))
	}
	return nil
}

// ask asks the server, or those servers of a Cluster that hold the queues: that
// some other one answers says nothing.
func (q *Queue) ask(ctx context.Context) error {
	if !q.source.isCluster() {
		return q.client.Ping(ctx).Err()
	}
	pipe := q.client.Pipeline()
	for _, key := range q.source.checkKeys() {
		pipe.Exists(ctx, key)
	}
	_, err := pipe.Exec(ctx)
	return err
}

// Close lets go of the queue; an embedded one is gone with all it held. Run
// must have returned before.
func (q *Queue) Close() error {
	err := q.client.Close()
	q.source.close()
	if err != nil {
		return fmt.Errorf("close queue: %w", q.source.clean(err))
	}
	return nil
}
