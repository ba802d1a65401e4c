//go:build torture

package fault

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrInjected is what a point returns by plan.
var ErrInjected = errors.New("a fault was injected")

// A plan is one thing that is to happen.
type plan struct {
	point, key string
	hit        int // 0 for every one
	action     string
	passed     int
}

// A lab is what this process was told, and what it has passed.
type lab struct {
	mu    sync.Mutex
	plans []*plan
	hits  map[string]int
	total int
	file  *os.File
	bugs  map[string]bool
	pace  time.Duration // 1 or more
}

// told reads the environment once. A plan that cannot be read ends the process:
// a lab that does nothing would find nothing.
var told = sync.OnceValue(func() *lab { //nolint:gochecknoglobals // there is one environment
	l := &lab{hits: map[string]int{}, bugs: map[string]bool{}, pace: 1}
	for _, text := range words(os.Getenv("LETHE_FAULT")) {
		p, err := parse(text)
		if err != nil {
			fmt.Fprintf(os.Stderr, "LETHE_FAULT: %v\n", err)
			os.Exit(3)
		}
		l.plans = append(l.plans, p)
	}
	for _, name := range words(os.Getenv("LETHE_BUG")) {
		l.bugs[name] = true
	}
	if text := os.Getenv("LETHE_FAULT_PACE"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			fmt.Fprintf(os.Stderr, "LETHE_FAULT_PACE: want 1 or more, got %q\n", text)
			os.Exit(3)
		}
		l.pace = time.Duration(n)
	}
	if path := os.Getenv("LETHE_FAULT_HITS"); path != "" {
		var err error
		if l.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
			fmt.Fprintf(os.Stderr, "LETHE_FAULT_HITS: %v\n", err)
			os.Exit(3)
		}
	}
	return l
})

func words(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func parse(text string) (*plan, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return nil, fmt.Errorf("want POINT:HIT:ACTION, got %q", text)
	}
	p := &plan{action: parts[2]}
	p.point, p.key, _ = strings.Cut(parts[0], "~")
	if parts[1] != "*" {
		var err error
		if p.hit, err = strconv.Atoi(parts[1]); err != nil || p.hit < 1 {
			return nil, fmt.Errorf("want a hit of 1 or more, or *, in %q", text)
		}
	}
	switch name, _, _ := strings.Cut(p.action, "="); name {
	case "kill", "term", "stop", "panic", "error", "sleep":
		return p, nil
	}
	return nil, fmt.Errorf("unknown action in %q", text)
}

// pass counts and reports one pass of a point, and returns what is to be done.
func (l *lab) pass(name string, about func(key string) bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hits[name]++
	l.total++
	action := ""
	for _, p := range l.plans {
		n := l.hits[name]
		switch {
		case p.key != "":
			if p.point != name || about == nil || !about(p.key) {
				continue
			}
			p.passed++
			n = p.passed
		case p.point == "*":
			n = l.total
		case p.point != name:
			continue
		}
		if p.hit == 0 || n == p.hit {
			action = p.action
		}
	}
	if l.file != nil {
		line := fmt.Sprintf("%s %d %d", name, l.hits[name], time.Now().UnixMilli())
		if action != "" {
			line += " " + action
		}
		_, _ = l.file.WriteString(line + "\n")
	}
	return action
}

// do acts. It returns an error only for the action "error".
func do(name, action string) error {
	verb, arg, _ := strings.Cut(action, "=")
	switch verb {
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "term":
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	case "stop":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		time.Sleep(time.Millisecond) // the signal is another thread's, perhaps
	case "panic":
		panic("fault: " + name)
	case "error":
		return fmt.Errorf("%w at %s", ErrInjected, name)
	case "sleep":
		ms, _ := strconv.Atoi(arg)
		time.Sleep(time.Duration(ms) * time.Millisecond)
	}
	return nil
}

// Point is a place where the process may be interrupted.
func Point(name string) { _ = do(name, told().pass(name, nil)) }

// Error is a Point that may also return an error.
func Error(name string) error { return do(name, told().pass(name, nil)) }

// Among is a Point that is about some things, one of which a plan may name.
func Among[T any](name string, all []T) {
	about := func(key string) bool {
		for _, x := range all {
			if fmt.Sprint(x) == key {
				return true
			}
		}
		return false
	}
	_ = do(name, told().pass(name, about))
}

// Pace returns how long a wait of d is in the lab: shorter, if it was told so. It is
// for waits that are long because nothing is urgent, not for leases and timeouts.
func Pace(d time.Duration) time.Duration { return d / told().pace }

// Bug reports whether the planted bug of that name is to bite.
func Bug(name string) bool { return told().bugs[name] }
