package main

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"lethe/jobs/queue"
)

// A weakness is something around the service that makes it easier to harm than
// it need be. What and Fix name no value that may be secret.
type weakness struct {
	What string // what is so
	Fix  string // what to do about it
}

// A look finds weaknesses of one kind.
type look struct {
	name string // labels a metric
	find func(context.Context, *surroundings) []weakness
}

// looks are all that the self-check looks at. A new one is a file of its own and a
// line here.
func looks() []look {
	return []look{
		{"open", lookOpen},
		{"listener_tls", lookListener},
		{"redis_password", lookRedisPassword},
		{"redis_tls", lookRedisTLS},
		{"redis_durability", lookRedisDurability},
		{"postgres_tls", lookPostgresTLS},
		{"postgres_role", lookPostgresRole},
		{"key_files", lookKeyFiles},
		{"data_folder", lookDataFolder},
		{"log_outside", lookLogOutside},
		{"core_dumps", lookCoreDumps},
		{"root", lookRoot},
		{"clock", lookClock},
	}
}

// surroundings are what the self-check looks at. What cannot be asked, such as a
// database before the service is open, is nil or zero and found fault with by
// nobody.
type surroundings struct {
	config    Config
	tokens    func(context.Context) (int, error) // how many there are
	redis     func(context.Context) (queue.Facts, error)
	databases func(context.Context) []database
	uid       int
	coreLimit uint64 // largest core dump of this process, in bytes
	traceback string // GOTRACEBACK
}

// here are the surroundings of this process, with nothing open.
func here(c Config) *surroundings {
	return &surroundings{
		config: c, uid: os.Getuid(), coreLimit: coreLimit(), traceback: os.Getenv("GOTRACEBACK"),
		databases: func(context.Context) []database { return databasesOf(c) },
		redis:     func(context.Context) (queue.Facts, error) { return queue.Named(c.Queue.Reveal()) },
	}
}

// weaknesses returns what all looks find, by their names, in order.
func (s *surroundings) weaknesses(ctx context.Context) map[string][]weakness {
	found := make(map[string][]weakness)
	for _, l := range looks() {
		found[l.name] = l.find(ctx, s)
	}
	return found
}

// checkSelf says, once, what is weak around the service and how to mend it, and
// counts it in a metric. Nothing of it keeps the service from starting.
func (s *service) checkSelf(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, selfCheckLimit)
	defer cancel()
	around := here(s.config)
	around.redis = s.queue.Facts
	around.tokens = s.liveTokens
	asked := askDatabases(ctx, s.config)
	around.databases = func(context.Context) []database { return asked }
	gauge := promauto.With(s.registry).NewGaugeVec(prometheus.GaugeOpts{Name: "lethe_weaknesses", Help: "What the self-check at the start found weak, by check; lethe serve --check says what and how to mend it."}, []string{"check"})
	found := around.weaknesses(ctx)
	for _, l := range looks() {
		gauge.WithLabelValues(l.name).Set(float64(len(found[l.name])))
		for _, w := range found[l.name] {
			s.logger.LogAttrs(ctx, slog.LevelWarn, "weak: "+w.What, slog.String("check", l.name), slog.String("fix", w.Fix))
		}
	}
}

// selfCheckLimit bounds what the self-check may add to a start.
const selfCheckLimit = 5 * time.Second

// tellWeaknesses prints what lethe serve --check finds, without opening anything.
func (c *console) tellWeaknesses(ctx context.Context, config Config) {
	ctx, cancel := context.WithTimeout(ctx, selfCheckLimit)
	defer cancel()
	found := here(config).weaknesses(ctx)
	for _, l := range looks() {
		for _, w := range found[l.name] {
			c.talk("weak: %s\n  fix: %s\n", w.What, w.Fix)
		}
	}
}
