package queue

import (
	"crypto/tls"
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

// A source makes clients of one Redis. Sentinel and Cluster would be other
// ways to fill it in; what is beyond knows redis.UniversalClient only.
type source struct {
	options  *redis.Options
	embedded *embedded // nil if Redis is somewhere else
}

// find makes the source that a URL names, and starts it if it is embedded.
func find(url string, secure *tls.Config) (source, error) {
	if url == "embedded" {
		e, err := embed()
		if err != nil {
			return source{}, err
		}
		return source{options: tune(e.options()), embedded: e}, nil
	}
	if !strings.HasPrefix(url, "redis://") && !strings.HasPrefix(url, "rediss://") {
		return source{}, fmt.Errorf(`%w: it must be "embedded", redis://… or rediss://…`, ErrURL)
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		// The error quotes the URL, or what it took for a port, a path or an
		// option and may be half of the password. So it is not passed on.
		return source{}, fmt.Errorf("%w: it must read redis://[user:password@]host[:port][/db], "+
			"with special characters of the password percent-encoded", ErrURL)
	}
	if secure != nil {
		if options.TLSConfig == nil {
			return source{}, fmt.Errorf("%w: TLS is configured for it, so it must be rediss://…", ErrURL)
		}
		c := secure.Clone()
		if c.ServerName == "" {
			c.ServerName = options.TLSConfig.ServerName
		}
		options.TLSConfig = c
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

// connect returns a new client for that many handlers.
func (s source) connect(handlers int) redis.UniversalClient {
	o := *s.options
	if o.PoolSize == 0 {
		o.PoolSize = handlers + 16 // Asynq's own goroutines are nine
	}
	return redis.NewClient(&o)
}

// where returns host and port.
func (s source) where() string { return s.options.Addr }

// clean returns err, or errWithheld if its text repeats the password. Some
// servers and proxies quote a refused AUTH or HELLO with all its arguments.
func (s source) clean(err error) error {
	if err != nil && s.cleanText(err.Error()) != err.Error() {
		return errWithheld
	}
	return err
}

func (s source) cleanText(text string) string {
	if s.options.Password != "" && strings.Contains(text, s.options.Password) {
		return errWithheld.Error()
	}
	return text
}

func (s source) close() {
	if s.embedded != nil {
		s.embedded.close()
	}
}
