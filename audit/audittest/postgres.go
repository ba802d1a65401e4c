package audittest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver that the DSNs are for
	"github.com/jmoiron/sqlx"
)

const (
	superuser  = "lethe"
	startLimit = 30 * time.Second
)

// shared is the server of all tests of this process that do not stop it.
//
//nolint:gochecknoglobals // one server a process is the point
var shared = sync.OnceValues(func() (*Server, error) { return start(nil) })

// A Server is a PostgreSQL server of this process's own. Its superuser may
// connect without a password. It ends, and its files with it, when the process
// does.
type Server struct {
	bin, dir string // dir holds the files and the socket
	settings []string
	as       *syscall.Credential // nil for the user who runs the test
	n        int
	mu       sync.Mutex
	hold     io.Closer // the server ends with it
	shell    *exec.Cmd
}

// Postgres returns a DSN, for the driver "pgx" of jackc/pgx, of a new and empty
// database on a server that the tests of this process share. Without PostgreSQL
// on the machine the test fails.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s.Database(t)
}

// Schema returns a DSN as [Postgres] does, of a new and empty schema in a
// database that tests share. It is made in a hundredth of the time; what
// PostgreSQL keeps for a whole database, such as advisory locks and extensions,
// is shared.
func Schema(t testing.TB) (dsn string) {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	name := s.name("schema_")
	if err := s.exec(`CREATE SCHEMA ` + name); err != nil {
		t.Fatalf("make a schema: %v", err)
	}
	return s.DSN(superuser, "postgres") + "&search_path=" + name
}

// Start starts a server of the test's own, which may be restarted, with
// settings such as "max_connections=20", and stops it when the test ends.
// Commits are durable unless a setting is "fsync=off".
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s, err := start(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Launch starts a server as [Start] does, for a program that is no test. It ends
// with [Server.Stop], or with the program.
func Launch(settings ...string) (*Server, error) { return start(settings) }

// Database makes a new and empty database and returns its DSN. It goes with the
// server: to drop it takes longer than most tests.
func (s *Server) Database(t testing.TB) (dsn string) {
	t.Helper()
	name := s.name("test_")
	if err := s.exec(`CREATE DATABASE ` + name); err != nil {
		t.Fatalf("make a database: %v", err)
	}
	return s.DSN(superuser, name)
}

// name returns a name that was not used before.
func (s *Server) name(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n++
	return prefix + strconv.Itoa(s.n)
}

// DSN returns the address of a database for a user.
func (s *Server) DSN(user, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Path: "/" + database, RawQuery: url.Values{"host": {s.dir}}.Encode()}
	return u.String()
}

// Dir returns the folder of the server's files.
func (s *Server) Dir() string { return filepath.Join(s.dir, "data") }

// Stop ends the server at once, as a crash does: it recovers from its log when
// it is started again. A second Stop does nothing.
func (s *Server) Stop() {
	if s.hold == nil {
		return
	}
	_ = s.hold.Close()
	_ = s.shell.Wait() // it was told to end
	s.hold = nil
}

// Halt stops the server as pg_ctl -m immediate does, and keeps its files for
// Restart.
func (s *Server) Halt() { s.quit() }

// Restart stops the server, if it runs, as pg_ctl -m immediate does, and starts
// it again with the same files.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.quit()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

// Down stops the server as Restart does, and leaves it so until Restart.
func (s *Server) Down() { s.quit() }

func (s *Server) exec(statement string) error {
	db, err := sqlx.Open("pgx", s.DSN(superuser, "postgres"))
	if err != nil {
		return err
	}
	_, err = db.Exec(statement)
	return errors.Join(err, db.Close())
}

func start(settings []string) (*Server, error) {
	s := &Server{bin: find(), settings: settings}
	if s.bin == "" {
		return nil, errors.New(install)
	}
	var err error
	if s.as, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "pg"); err != nil { // short, for the socket's path is
		return nil, err
	}
	if s.as != nil {
		if err := os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
			return nil, err
		}
	}
	init := s.command(filepath.Join(s.bin, "initdb"), "-D", s.Dir(), "-U", superuser, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("initdb: %w:\n%s", err, out), os.RemoveAll(s.dir))
	}
	if err := s.run(); err != nil {
		return nil, err
	}
	return s, nil
}

// unprivileged returns whom a server started by root is run as.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return nil, fmt.Errorf("postgres cannot run as root: %w", err)
	}
	uid, errA := strconv.ParseUint(nobody.Uid, 10, 32)
	gid, errB := strconv.ParseUint(nobody.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(errA, errB)
}

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	// A group of its own: Ctrl-C is for the test, which then ends the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return cmd
}

// run starts the server and returns when it answers. The shell sends QUIT,
// which is an immediate shutdown. A line says that the server is to be started
// again and its files are to be kept.
func (s *Server) run() error {
	const script = `"$@" >>log 2>&1 & p=$!; read -r keep; kill -QUIT $p; wait $p; [ "$keep" ] || rm -rf "$PWD"`
	args := []string{"-c", script, "sh", filepath.Join(s.bin, "postgres"), "-D", s.Dir(), "-k", s.dir, "-c", "listen_addresses=", "-c", "log_min_messages=warning"}
	for _, x := range s.settings {
		args = append(args, "-c", x)
	}
	s.shell = s.command("sh", args...)
	hold, err := s.shell.StdinPipe()
	if err != nil {
		return err
	}
	if err := s.shell.Start(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	s.hold = hold
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if s.answers() {
			return nil
		}
	}
	text, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	s.Stop()
	return fmt.Errorf("postgres does not start:\n%s", text)
}

func (s *Server) answers() bool {
	c, err := net.Dial("unix", filepath.Join(s.dir, ".s.PGSQL.5432"))
	if err != nil {
		return false
	}
	_ = c.Close()
	return s.exec(`SELECT 1`) == nil
}

// quit stops the server and keeps its files.
func (s *Server) quit() {
	if s.hold == nil {
		return
	}
	_, _ = io.WriteString(s.hold.(io.Writer), "keep\n") // a shell that is gone has no server
	_ = s.shell.Wait()
	s.hold = nil
}
