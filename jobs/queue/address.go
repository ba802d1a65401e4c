package queue

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The ports on which Redis and Sentinel listen if nothing is said.
const (
	redisPort    = "6379"
	sentinelPort = "26379"
)

// An address is what the URL of several servers says.
type address struct {
	options *redis.Options // user and password alone
	hosts   []string       // host:port each
	path    string         // without slashes around it
	query   url.Values
}

// several reads [user[:password]@]host[:port],host[:port]…[/path][?query]. A
// plain net/url takes one host alone.
func several(text, port string) (a address, ok bool) {
	authority, tail := text, ""
	if i := strings.IndexAny(text, "/?#"); i >= 0 {
		authority, tail = text[:i], text[i:]
	}
	user, list := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, list = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse("redis://" + user + "h" + tail)
	if err != nil || u.Fragment != "" || strings.HasSuffix(tail, "#") {
		return a, false
	}
	if a.query, err = url.ParseQuery(u.RawQuery); err != nil {
		return a, false
	}
	a.path = strings.Trim(u.Path, "/")
	password, _ := u.User.Password()
	a.options = &redis.Options{Username: u.User.Username(), Password: password}
	for host := range strings.SplitSeq(list, ",") {
		host, ok := hostPort(host, port)
		if !ok {
			return a, false
		}
		a.hosts = append(a.hosts, host)
	}
	return a, true
}

// hostPort returns host:port of what may have left the port out.
func hostPort(text, port string) (string, bool) {
	host, given, err := net.SplitHostPort(text)
	if err != nil {
		host, given, err = net.SplitHostPort(text + ":" + port)
	}
	n, wrong := strconv.ParseUint(given, 10, 16)
	if err != nil || wrong != nil || n == 0 || host == "" || strings.ContainsAny(host, " @%\\\"'") {
		return "", false
	}
	return net.JoinHostPort(host, given), true
}

// findSentinel reads what follows redis-sentinel://.
func findSentinel(text string, opts Options) (source, error) {
	a, ok := several(text, sentinelPort)
	master := a.path
	db, master, fine := sentinelQuery(a.query, master)
	if !ok || !fine || master == "" || strings.Contains(master, "/") {
		return source{}, fmt.Errorf("%w: it must read redis-sentinel://[user[:password]@]host[:port],host[:port]…/MASTER[?db=N], "+
			"with MASTER the name that the sentinels have for it, user and password those of Redis itself, percent-encoded", ErrURL)
	}
	a.options.DB = db
	return source{
		options: tune(a.options), master: master, hosts: a.hosts,
		sentinelUser: opts.SentinelUser, sentinelPassword: opts.SentinelPassword,
	}, nil
}

// sentinelQuery reads the options: db, and master, which Asynq's own URLs have
// there.
func sentinelQuery(q url.Values, inPath string) (db int, master string, ok bool) {
	master = inPath
	for name, values := range q {
		switch {
		case len(values) != 1:
			return 0, "", false
		case name == "db":
			n, err := strconv.ParseUint(values[0], 10, 16)
			if err != nil {
				return 0, "", false
			}
			db = int(n)
		case name == "master" && inPath == "":
			master = values[0]
		default:
			return 0, "", false
		}
	}
	return db, master, true
}

// findCluster reads what follows redis-cluster://.
func findCluster(text string) (source, error) {
	a, ok := several(text, redisPort)
	if !ok || a.path != "" || len(a.query) > 0 {
		return source{}, fmt.Errorf("%w: it must read redis-cluster://[user[:password]@]host[:port],host[:port]…, "+
			"with special characters of the password percent-encoded, and no database: a cluster has but one", ErrURL)
	}
	return source{options: tune(a.options), hosts: a.hosts}, nil
}

// WithPassword returns a queue URL with a password put in, which it must not
// have already; ok is false then. The user, if any, stays.
func WithPassword(text, password string) (_ string, ok bool) {
	scheme, rest, _ := strings.Cut(text, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	user := ""
	if i := strings.LastIndexByte(rest[:end], '@'); i >= 0 {
		user, rest = rest[:i], rest[i+1:]
	}
	if strings.Contains(user, ":") {
		return "", false
	}
	return scheme + "://" + user + ":" + url.UserPassword("", password).String()[1:] + "@" + rest, true
}

// secured returns the TLS of a source: secure, if set, else the system's. The
// name that a certificate must be for is the host's own, if none is set.
func secured(secure *tls.Config, server string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if secure != nil {
		c = secure.Clone()
	}
	if c.ServerName == "" {
		c.ServerName = server
	}
	return c
}
