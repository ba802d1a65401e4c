//go:build torture

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A redisServer is a real redis-server that a case may do anything to.
type redisServer struct {
	dir    string
	addr   string
	args   []string
	cmd    *exec.Cmd
	exited chan struct{}
	client *redis.Client
}

// startRedis starts a server in a folder of its own. Its append-only file keeps
// all that it is ever told, in the clear, for the oracle to look through.
func startRedis(ctx context.Context, dir string, args ...string) (*redisServer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &redisServer{dir: dir, addr: l.Addr().String(), args: args}
	if err := l.Close(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s.client = redis.NewClient(&redis.Options{
		Addr: s.addr, MaxRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return s, s.start(ctx)
}

func (s *redisServer) url() string { return "redis://" + s.addr }

func (s *redisServer) start(ctx context.Context) error {
	_, port, _ := net.SplitHostPort(s.addr)
	args := append([]string{
		"--bind", "127.0.0.1", "--port", port, "--dir", s.dir, "--save", "", "--appendonly", "yes", "--appendfsync", "no",
		"--rdbcompression", "no", "--aof-use-rdb-preamble", "no", "--logfile", filepath.Join(s.dir, "redis.log"), "--enable-debug-command", "yes",
	}, s.args...)
	s.cmd = exec.CommandContext(ctx, "redis-server", args...)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server (install it with the system's package manager): %w", err)
	}
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) { _ = cmd.Wait(); close(exited) }(s.cmd, s.exited)
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s.client.Ping(ctx).Err() == nil {
			return nil
		}
		if s.dead() {
			break
		}
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	return fmt.Errorf("redis-server does not start:\n%s", tail(string(text), 5))
}

func (s *redisServer) dead() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// kill ends the server as a crash does.
func (s *redisServer) kill() {
	_ = s.cmd.Process.Signal(syscall.SIGKILL)
	<-s.exited
}

func (s *redisServer) close() {
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	s.kill()
	_ = s.client.Close()
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
