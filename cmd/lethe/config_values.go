package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
)

// A Secret is a text that is never printed, such as a URL with a password.
type Secret string

// Format keeps a Secret out of formatted text, %v and %+v included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// Reveal returns the text itself.
func (s Secret) Reveal() string { return string(s) }

// A Duration is a time.Duration that is written in Go's form or in days.
type Duration time.Duration

// UnmarshalYAML reads the scalar at node.
func (d *Duration) UnmarshalYAML(node ast.Node) error {
	v, err := parseDuration(scalar(node))
	if err != nil {
		return faultAt(node, err.Error())
	}
	*d = Duration(v)
	return nil
}

// parseDuration reads "36h", "1h30m" or "30d". A day is 24 hours. Its error
// does not repeat s.
func parseDuration(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errors.New("must be a number of days such as 30d")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("must be a duration such as 36h, 90m or 30d")
	}
	return d, nil
}

// A PurgeRule says when a store's files may be rewritten. The zero PurgeRule is
// that of a store for which nothing is said: always for files, never for a server.
type PurgeRule struct {
	always   bool // said, which is no rule for a server
	off      bool
	rewrite  bool          // the tables of a server
	from, to time.Duration // since midnight, local time; equal for no window
}

// UnmarshalYAML reads the scalar at node.
func (p *PurgeRule) UnmarshalYAML(node ast.Node) error {
	v, err := parsePurgeRule(scalar(node))
	if err != nil {
		return faultAt(node, err.Error())
	}
	*p = v
	return nil
}

func parsePurgeRule(s string) (PurgeRule, error) {
	problem := errors.New("must be always, off, or a window such as 02:00-05:00; for PostgreSQL off, rewrite, or rewrite 02:00-05:00")
	switch s {
	case "always":
		return PurgeRule{always: true}, nil
	case "off":
		return PurgeRule{off: true}, nil
	case "rewrite":
		return PurgeRule{rewrite: true}, nil
	}
	s, rewrite := strings.CutPrefix(s, "rewrite ")
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return PurgeRule{}, problem
	}
	a, errA := time.Parse("15:04", from)
	b, errB := time.Parse("15:04", to)
	if errA != nil || errB != nil || len(from) != 5 || len(to) != 5 || a.Equal(b) {
		return PurgeRule{}, problem
	}
	return PurgeRule{rewrite: rewrite, from: sinceMidnight(a), to: sinceMidnight(b)}, nil
}

// Off reports whether the files are never to be rewritten.
func (p PurgeRule) Off() bool { return p.off }

// Rewrite reports whether tables of a database server are to be rewritten.
func (p PurgeRule) Rewrite() bool { return p.rewrite }

// Allows reports whether the files may be rewritten at t. A window whose end
// is before its start goes over midnight; its end is not part of it.
func (p PurgeRule) Allows(t time.Time) bool {
	now := sinceMidnight(t.Local())
	switch {
	case p.off:
		return false
	case p.from == p.to:
		return true
	case p.from < p.to:
		return p.from <= now && now < p.to
	default:
		return p.from <= now || now < p.to
	}
}

// sinceMidnight goes by the clock on the wall, so that a window stays where
// people put it on the days the clock is changed.
func sinceMidnight(t time.Time) time.Duration {
	h, m, s := t.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second
}

// scalar returns the text of node as written, without quotes, and "" for
// anything but a scalar.
func scalar(node ast.Node) string {
	if s, ok := node.(*ast.StringNode); ok {
		return s.Value
	}
	if _, ok := node.(ast.ScalarNode); ok {
		return node.GetToken().Value
	}
	return ""
}
