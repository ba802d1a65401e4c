package queue

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// Facts are what is known of a Redis, for those who judge whether it is safe.
type Facts struct {
	Embedded  bool // in this process: nothing else is to be asked
	Loopback  bool // its address, or those of the sentinels, is this machine's, or a socket
	TLS       bool
	Password  bool
	Refused   bool   // it does not let us read INFO: the rest is unknown
	AppendLog string // aof_enabled: "1", "0", or "" if it does not say
	Eviction  string // maxmemory_policy, or "" if it does not say
	User      string // as whom it is asked; "" or "default" for the one that may do all
}

// Named returns what a queue URL alone says. Its error is that of Open.
func Named(url string) (Facts, error) {
	if url == "embedded" {
		return Facts{Embedded: true}, nil
	}
	s, err := find(Options{URL: url})
	if err != nil {
		return Facts{}, err
	}
	return s.facts(), nil
}

func (s source) facts() Facts {
	if s.embedded != nil {
		return Facts{Embedded: true}
	}
	o := s.options
	f := Facts{Loopback: o.Network == "unix" || isLoopback(o.Addr), TLS: o.TLSConfig != nil, Password: o.Password != "", User: o.Username}
	if len(s.hosts) > 0 {
		f.Loopback = !slices.ContainsFunc(s.hosts, func(h string) bool { return !isLoopback(h) })
	}
	return f
}

// Facts asks Redis about itself.
func (q *Queue) Facts(ctx context.Context) (Facts, error) {
	f := q.source.facts()
	if f.Embedded {
		return f, nil
	}
	infos, err := q.infos(ctx)
	switch {
	case isRefusal(err):
		f.Refused = true
		return f, nil
	case err != nil:
		return f, fmt.Errorf("ask redis about itself: %w", q.source.clean(err))
	}
	for _, info := range infos { // of several, what is said of the worst
		if keeps := field(info, "aof_enabled"); f.AppendLog != "0" {
			f.AppendLog = keeps
		}
		if evicts := field(info, "maxmemory_policy"); f.Eviction == "" || f.Eviction == "noeviction" {
			f.Eviction = evicts
		}
	}
	return f, nil
}

// isLoopback takes no name for loopback's but localhost: others may lead
// anywhere tomorrow.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
