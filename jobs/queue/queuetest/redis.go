// Package queuetest starts real Redis servers for tests, and kills them.
package queuetest

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// install is what to do when there is no redis-server.
const install = "redis-server is missing: apt-get install redis-server"

const startLimit = 30 * time.Second

// A Server is a redis-server of a test's own, on a loopback port, with its
// files in a folder that goes with the test. It saves nothing to disk unless
// asked to, so a Restart forgets all.
type Server struct {
	t     testing.TB
	addr  string
	args  []string
	ready string    // what its log says when it answers
	hold  io.Closer // redis-server dies with it
	done  chan struct{}
}

// Redis starts a redis-server with further arguments, such as "--appendonly",
// "yes", and stops it when the test ends. Without redis-server on the machine
// the test fails.
func Redis(t testing.TB, args ...string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal(install)
	}
	return launch(t, serves, func(port string) []string {
		return append([]string{"--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(), "--save", ""}, args...)
	})
}

// What a log says once its server answers.
const (
	serves  = "Ready to accept connections"
	watches = "+monitor master"
	taken   = "Failed listening on port" // or why it does not
)

// launch starts a server with the arguments for a port, and stops it when the
// test ends. A port that somebody else was quicker to take is given up.
func launch(t testing.TB, ready string, args func(port string) []string) *Server {
	t.Helper()
	var said string
	for range 5 {
		s := &Server{t: t, addr: freeAddr(t), ready: ready}
		_, port, _ := net.SplitHostPort(s.addr)
		s.args = args(port)
		var ok bool
		if said, ok = s.start(); ok {
			t.Cleanup(s.Kill)
			return s
		}
		s.Kill()
		if !strings.Contains(said, taken) {
			break
		}
	}
	t.Fatalf("redis-server does not start:\n%s", said)
	return nil
}

// URL returns the server's address as a queue URL.
func (s *Server) URL() string { return "redis://" + s.addr }

// Addr returns the server's host and port.
func (s *Server) Addr() string { return s.addr }

// Kill ends the server as kill -9 does. A second Kill does nothing.
func (s *Server) Kill() {
	_ = s.hold.Close() // closing twice is fine
	<-s.done
}

// Restart kills the server, if it lives, and starts it again on the same port.
// It has forgotten all, unless started with "--appendonly", "yes".
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	if said, ok := s.start(); !ok {
		s.t.Fatalf("redis-server does not start on %s:\n%s", s.addr, said)
	}
}

// Flush makes the server forget all keys, in all databases.
func (s *Server) Flush() {
	s.t.Helper()
	s.Do("FLUSHALL")
}

// Do sends one command, words without spaces, and returns the first line of
// the answer. An error from Redis fails the test.
func (s *Server) Do(words ...string) string {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.addr, time.Second)
	if err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
	defer func() { _ = conn.Close() }()
	answer, err := say(conn, strings.Join(words, " "))
	if err != nil || strings.HasPrefix(answer, "-") {
		s.t.Fatalf("redis-server: %s: %s %v", words[0], answer, err)
	}
	return answer
}

// start runs redis-server under a shell that kills it when our end of a pipe
// closes: so it also ends with a test that panics. It returns what the server
// says, and whether it answers.
func (s *Server) start() (said string, ok bool) {
	s.t.Helper()
	const script = `redis-server "$@" >redis.log 2>&1 & p=$!; read _; kill -9 $p; wait $p`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh"}, s.args...)...)
	cmd.Dir = s.t.TempDir()
	hold, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatalf("redis-server: %v", err)
	}
	done := make(chan struct{})
	s.hold, s.done = hold, done
	go func() {
		defer close(done)
		_ = cmd.Wait() // it was killed
	}()
	return s.await(filepath.Join(cmd.Dir, "redis.log"))
}

// await returns when the server says in its log that it is ready, or why it is
// not. To ask on the port could reach another server, if that one was quicker to
// take it.
func (s *Server) await(log string) (said string, ok bool) {
	var text []byte
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		text, _ = os.ReadFile(log) // not there yet
		switch {
		case bytes.Contains(text, []byte(s.ready)):
			return string(text), true
		case bytes.Contains(text, []byte(taken)):
			return string(text), false
		}
	}
	return string(text), false
}

// say sends one inline command and returns the first line of the answer.
func say(conn net.Conn, command string) (string, error) {
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\r\n"); err != nil {
		return "", err
	}
	answer := make([]byte, 512)
	n, err := conn.Read(answer)
	line, _, _ := strings.Cut(string(answer[:n]), "\r\n")
	return line, err
}

// freeAddr returns a loopback address that was free a moment ago.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
