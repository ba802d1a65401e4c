package audittest_test

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit/audittest"

	"github.com/jmoiron/sqlx"
)

// ask runs a statement, if it is not empty, and then a query.
func ask(t *testing.T, dsn, first, query string) string {
	t.Helper()
	db, err := sqlx.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(first); err != nil {
		t.Fatalf("%s: %v", first, err)
	}
	var answer string
	if err := db.Get(&answer, query); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return answer
}

func TestEveryTestHasADatabaseOfItsOwn(t *testing.T) {
	a, b := audittest.Postgres(t), audittest.Postgres(t)
	if a == b {
		t.Fatal("two tests share a database")
	}
	if got := ask(t, a, `CREATE TABLE x ()`, `SELECT current_setting('fsync')`); got != "on" {
		t.Errorf("fsync is %s: what is committed could be lost", got)
	}
	if got := ask(t, b, ``, `SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'`); got != "0" {
		t.Errorf("a new database has %s tables", got)
	}
}

func TestEveryTestHasASchemaOfItsOwn(t *testing.T) {
	a, b := audittest.Schema(t), audittest.Schema(t)
	ask(t, a, `CREATE TABLE x ()`, `SELECT 'done'`)
	if got := ask(t, b, ``, `SELECT coalesce(to_regclass('x')::text, 'none')`); got != "none" {
		t.Error("two tests share a schema")
	}
}

func TestARestartKeepsWhatIsCommitted(t *testing.T) {
	s := audittest.Start(t, "max_connections=17")
	dsn := s.Database(t)
	ask(t, dsn, `CREATE TABLE x (n int); INSERT INTO x VALUES (7)`, `SELECT 'done'`)
	s.Restart(t)
	if got := ask(t, dsn, ``, `SELECT n || ' ' || current_setting('max_connections') FROM x`); got != "7 17" {
		t.Errorf("after a restart: %s", got)
	}
	s.Stop()
	if _, err := os.Stat(filepath.Dir(s.Dir())); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files are left: %v", err)
	}
}

// The child starts a server, says where, and is killed.
func TestAServerEndsWithAKilledProcess(t *testing.T) {
	if os.Getenv("AUDITTEST_CHILD") != "" {
		u, err := url.Parse(audittest.Postgres(t))
		if err != nil {
			t.Fatal(err)
		}
		os.Stdout.WriteString(u.Query().Get("host") + "\n")
		select {}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAServerEndsWithAKilledProcess$")
	cmd.Env = append(os.Environ(), "AUDITTEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, _ := out.Read(line)
	dir := strings.TrimSpace(string(line[:n]))
	if _, err := os.Stat(filepath.Join(dir, "data", "postmaster.pid")); err != nil {
		t.Errorf("the child's server: %v", err)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	for range 500 {
		if _, err = os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("the server's files are still there: %v", err)
}
