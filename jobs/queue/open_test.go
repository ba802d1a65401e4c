package queue_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lethe/jobs"
	"lethe/jobs/queue"
	"lethe/jobs/queue/queuetest"
)

func TestRefusesEvictingRedis(t *testing.T) {
	server := queuetest.Redis(t, "--maxmemory-policy", "allkeys-lru")
	_, err := queue.Open(t.Context(), queue.Options{URL: server.URL()})
	if !errors.Is(err, queue.ErrUnfit) || !strings.Contains(err.Error(), "config set maxmemory-policy noeviction") {
		t.Errorf("Open returned %v, want ErrUnfit and what to do", err)
	}
}

func TestRefusesOldRedis(t *testing.T) {
	server := queuetest.Redis(t)
	for _, old := range []string{"5.0.14", "6.0.16", "6.1.99"} {
		line := newProxy(t, server.Addr(), claim(old))
		_, err := queue.Open(t.Context(), queue.Options{URL: line.URL()})
		if !errors.Is(err, queue.ErrUnfit) || !strings.Contains(err.Error(), old[:3]) {
			t.Errorf("Open returned %v for %s, want ErrUnfit", err, old)
		}
	}
	for _, recent := range []string{"6.2.0", "7.0.1", "10.0.0"} {
		line := newProxy(t, server.Addr(), claim(recent))
		open(t, queue.Options{URL: line.URL()})
	}
}

// claim lets a Redis say that it is another version.
func claim(version string) func([]byte) []byte {
	return func(answer []byte) []byte {
		name := []byte("redis_version:")
		at := bytes.Index(answer, name)
		if at < 0 {
			return answer
		}
		end := at + bytes.IndexByte(answer[at:], '\r')
		room := end - at - len(name)
		// The length of the answer has been announced, so it must stay.
		return bytes.Replace(answer, answer[at:end], fmt.Appendf(nil, "%s%-*s", name, room, version)[:end-at], 1)
	}
}

func TestWarnsWhereRedisWillNotSay(t *testing.T) {
	server := queuetest.Redis(t)
	server.Do("ACL", "SETUSER", "lethe", "on", ">secret%word", "~*", "&*", "+@all", "-info", "-config")
	var log diary
	url := strings.Replace(server.URL(), "redis://", "redis://lethe:secret%25word@", 1) + "/3"
	q := open(t, queue.Options{URL: url, Logger: log.logger()})
	if !strings.Contains(log.String(), "noeviction") {
		t.Errorf("no warning:\n%s", log.String())
	}
	ring(t, q, jobs.Ring{ID: "a", Epoch: 1}) // user, password and database 3 have been heeded
	if got := server.Do("EXISTS", "asynq:queues"); got != ":0" {
		t.Errorf("database 0 was used: %s", got)
	}
}

func TestRefusesBadURLs(t *testing.T) {
	for _, url := range []string{"", "Embedded", "http://localhost", "localhost:6379", "redis://h:port", "redis://h/db", "redis://h?nonsense=1"} {
		if _, err := queue.Open(t.Context(), queue.Options{URL: url}); !errors.Is(err, queue.ErrURL) {
			t.Errorf("Open(%q) returned %v, want ErrURL", url, err)
		}
	}
}

func TestPasswordNeverInErrors(t *testing.T) {
	parrot := parrot(t)
	server := queuetest.Redis(t, "--requirepass", "other")
	for name, url := range map[string]string{
		"bad port":      "redis://u:hunter22@h:po:rt",
		"unescaped":     "redis://u:hunter22/x@h:6379",
		"unescaped ?":   "redis://u:hunter22?x@h:6379",
		"unescaped #":   "redis://u:hunter22%zz@h:6379",
		"bad scheme":    "http://u:hunter22@h:6379",
		"bad database":  "redis://u:hunter22@h:6379/hunter22",
		"refused":       "redis://u:hunter22@127.0.0.1:1",
		"wrong":         "redis://u:hunter22@" + server.Addr(),
		"wrong default": "redis://:hunter22@" + server.Addr(),
		"parrot":        "redis://u:hunter22@" + parrot,
	} {
		t.Run(name, func(t *testing.T) {
			var log diary
			_, err := queue.Open(t.Context(), queue.Options{URL: url, Logger: log.logger()})
			if err == nil {
				t.Fatal("Open succeeded")
			}
			if strings.Contains(err.Error(), "hunter22") || strings.Contains(log.String(), "hunter22") {
				t.Errorf("the password is in %v or in the log %s", err, log.String())
			}
		})
	}
}

func TestPasswordNeverInTheWorkersLog(t *testing.T) {
	server := queuetest.Redis(t)
	server.Do("CONFIG", "SET", "requirepass", "hunter22")
	var log diary
	url := strings.Replace(server.URL(), "redis://", "redis://:hunter22@", 1)
	q := open(t, queue.Options{URL: url, Logger: log.logger()})
	stop := start(t, q, func(context.Context, jobs.Ring) error { return nil })
	q.Client().Eval(t.Context(), `return redis.call("CONFIG", "SET", "requirepass", "x")`, nil)
	server.Restart() // without the password: AUTH is refused from now on
	time.Sleep(time.Second)
	_ = stop()
	if strings.Contains(log.String(), "hunter22") {
		t.Errorf("the password is in the log:\n%s", log.String())
	}
}

// parrot serves answers that repeat the question, as Redis and some proxies do
// with commands they do not know.
func parrot(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go squawk(conn)
		}
	}()
	return l.Addr().String()
}

func squawk(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	var words []string
	for lines.Scan() {
		words = append(words, lines.Text())
		// The password is the last argument of AUTH, and third from last of HELLO.
		if strings.Contains(lines.Text(), "hunter22") {
			fmt.Fprintf(conn, "-ERR unknown command, with args beginning with: %s\r\n", strings.Join(words, " "))
			words = nil
		}
	}
}

func TestUnreachableRedisSaysWhere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := queue.Open(ctx, queue.Options{URL: "redis://127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1 does not answer") {
		t.Errorf("Open returned %v", err)
	}
}

func TestEmbeddedClockTicks(t *testing.T) {
	q := open(t, queue.Options{URL: "embedded"})
	q.Client().Set(t.Context(), "k", "v", 1500*time.Millisecond)
	eventually(t, 5*time.Second, "key expired", func() bool {
		return q.Client().Exists(t.Context(), "k").Val() == 0
	})
}

func TestEmbeddedIsLocked(t *testing.T) {
	q := open(t, queue.Options{URL: "embedded"})
	stranger := redis.NewClient(&redis.Options{Addr: q.Where()})
	defer func() { _ = stranger.Close() }()
	if err := stranger.Ping(t.Context()).Err(); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("a stranger was answered %v, want NOAUTH", err)
	}
}
