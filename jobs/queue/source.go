package queue

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// ErrURL says that a queue URL cannot be used. What is wrapped with it never
// repeats the URL, which may hold a password.
var ErrURL = errors.New("queue url cannot be used")

// errWithheld stands for an error whose text repeated the password.
var errWithheld = errors.New("redis gave an answer that repeats the password; it is withheld")

const dialTimeout = 2 * time.Second

// A source makes clients of one Redis: a server, the one that Sentinel names, or
// a Cluster. What is beyond knows redis.UniversalClient only.
type source struct {
	options  *redis.Options // how each server is reached
	hosts    []string       // of the sentinels, or of some servers of a Cluster; none for one server
	master   string         // the name that the sentinels have for it; "" without them
	embedded *embedded      // nil if Redis is somewhere else

	sentinelUser, sentinelPassword string
}

// find makes the source that a URL names, and starts it if it is embedded.
func find(opts Options) (source, error) {
	if opts.URL == "embedded" {
		e, err := embed()
		if err != nil {
			return source{}, err
		}
		return source{options: tune(e.options()), embedded: e}, nil
	}
	scheme, rest, _ := strings.Cut(opts.URL, "://")
	plain, kind, _ := strings.Cut(scheme, "-")
	s, err := source{}, fmt.Errorf(`%w: it must be "embedded", redis://…, redis-sentinel://… or redis-cluster://…, or one of them with rediss for TLS`, ErrURL)
	if plain == "redis" || plain == "rediss" {
		switch {
		case scheme == plain:
			s, err = findServer(opts.URL)
		case kind == "sentinel":
			s, err = findSentinel(rest, opts)
		case kind == "cluster":
			s, err = findCluster(rest)
		}
	}
	switch {
	case err != nil:
		return source{}, err
	case plain == "redis" && opts.TLS != nil:
		return source{}, fmt.Errorf("%w: TLS is configured for it, so it must begin with rediss", ErrURL)
	case s.master == "" && (opts.SentinelUser != "" || opts.SentinelPassword != ""):
		return source{}, fmt.Errorf("%w: a user or a password for sentinels is configured, so it must be redis-sentinel://…", ErrURL)
	case plain == "rediss":
		server := ""
		if s.options.TLSConfig != nil { // a URL of one host names it
			server = s.options.TLSConfig.ServerName
		}
		s.options.TLSConfig = secured(opts.TLS, server)
	}
	return s, nil
}

// findServer reads redis://… and rediss://….
func findServer(url string) (source, error) {
	options, err := redis.ParseURL(url)
	if err != nil || strings.Contains(options.Addr, ",") { // several are for sentinels, or a Cluster
		// The error quotes the URL, or what it took for a port, a path or an
		// option and may be half of the password. So it is not passed on.
		return source{}, fmt.Errorf("%w: it must read redis://[user:password@]host[:port][/db], "+
			"with special characters of the password percent-encoded", ErrURL)
	}
	return source{options: tune(options)}, nil
}

// tune sets what a URL does not say.
func tune(o *redis.Options) *redis.Options {
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	o.DisableIdentity = true       // Redis need not know which library this is
	o.ContextTimeoutEnabled = true // a caller's deadline holds for reads too
	o.DialerRetries = 1            // a command is tried four times as it is
	if o.DialTimeout == 0 || o.DialTimeout > dialTimeout {
		o.DialTimeout = dialTimeout
	}
	return o
}

// isCluster reports whether keys are spread over several servers.
func (s source) isCluster() bool { return len(s.hosts) > 0 && s.master == "" }

// connect returns a new client for that many handlers.
func (s source) connect(handlers int) redis.UniversalClient {
	o := *s.options
	if o.PoolSize == 0 {
		o.PoolSize = handlers + 16 // Asynq's own goroutines are nine
	}
	switch {
	case s.isCluster():
		return redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: s.hosts, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig, PoolSize: o.PoolSize,
			DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries,
			ContextTimeoutEnabled: true, DisableIdentity: true, MaintNotificationsConfig: o.MaintNotificationsConfig,
		})
	case s.master != "":
		return redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: s.master, SentinelAddrs: s.hosts, SentinelUsername: s.sentinelUser, SentinelPassword: s.sentinelPassword,
			Username: o.Username, Password: o.Password, DB: o.DB, TLSConfig: o.TLSConfig, PoolSize: o.PoolSize,
			DialTimeout: o.DialTimeout, DialerRetries: o.DialerRetries,
			ContextTimeoutEnabled: true, DisableIdentity: true,
		})
	}
	return redis.NewClient(&o)
}

// where returns host and port, of each that is asked.
func (s source) where() string {
	if len(s.hosts) > 0 {
		return strings.Join(s.hosts, ", ")
	}
	return s.options.Addr
}

// clean returns err, or errWithheld if its text repeats a password. Some
// servers and proxies quote a refused AUTH or HELLO with all its arguments.
func (s source) clean(err error) error {
	if err != nil && s.cleanText(err.Error()) != err.Error() {
		return errWithheld
	}
	return err
}

func (s source) cleanText(text string) string {
	for _, secret := range []string{s.options.Password, s.sentinelPassword} {
		if secret != "" && strings.Contains(text, secret) {
			return errWithheld.Error()
		}
	}
	return text
}

func (s source) close() {
	if s.embedded != nil {
		s.embedded.close()
	}
}
