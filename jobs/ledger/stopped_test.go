package ledger_test

import (
	"errors"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lethe/audit"
	"lethe/jobs/ledger"
)

// A line is the way to a database, on which an answer can be held up: to the
// process that waits for it, it is as if it had been stopped meanwhile.
type line struct{ hold atomic.Int64 }

// throughLine returns the address by which a database is reached on a line.
func throughLine(t testing.TB, address string) (string, *line) {
	t.Helper()
	l := &line{}
	door, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { door.Close() })
	var socket string
	through := as(t, address, func(u *url.URL, q url.Values) {
		socket = filepath.Join(q.Get("host"), ".s.PGSQL.5432")
		q.Del("host")
		q.Set("sslmode", "disable")
		u.Host = door.Addr().String()
	})
	go func() {
		for {
			client, err := door.Accept()
			if err != nil {
				return
			}
			server, err := (&net.Dialer{}).DialContext(t.Context(), "unix", socket)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { l.answer(client, server); client.Close() }()
		}
	}()
	return through, l
}

func (l *line) answer(client io.Writer, server io.Reader) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := server.Read(buffer)
		time.Sleep(time.Duration(l.hold.Swap(0)))
		if _, out := client.Write(buffer[:n]); err != nil || out != nil {
			return
		}
	}
}

// A process that is stopped while it asks for the time must not go by a clock
// that is wrong by half of the pause: what it calls verified would be dated
// before a purge that had begun by then.
func TestAPauseWhileTheTimeIsAskedForDoesNotSetTheClockWrong(t *testing.T) {
	b := newBook(t, onPostgres)
	o := b.options()
	o.Now = nil
	var way *line
	o.URL, way = throughLine(t, b.url)
	l, err := ledger.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	way.hold.Store(int64(2 * time.Second))
	l.Impatient(time.Minute)
	if err := l.Refusal(t.Context()); err != nil {
		t.Fatal(err)
	}
	if off := time.Until(l.Now()); off.Abs() > l.Skew()/2 {
		t.Errorf("the clock is %s off, by a question that took 2 s", off)
	}
}

// The lock of those who serve is taken again after its connection was lost, also
// if somebody was in the way at first.
func TestALostLockIsTakenAgainOnceItIsFree(t *testing.T) {
	b := newBook(t, onPostgres)
	keeper, err := b.raw.Connx(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer keeper.Close()
	const serving = 0x6c657473
	held := `FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objid = hashtext(current_schema())::oid`
	if _, err := keeper.ExecContext(t.Context(), `SELECT pg_terminate_backend(pid, 10000) `+held, serving); err != nil {
		t.Fatal(err)
	}
	var ok bool
	if err := keeper.GetContext(t.Context(), &ok, `SELECT pg_try_advisory_lock($1, hashtext(current_schema()))`, serving); err != nil || !ok {
		t.Fatalf("nobody may hold the lock now: %t, %v", ok, err)
	}
	ask := func() {
		t.Helper()
		b.Impatient(time.Minute)
		if err := b.Refusal(t.Context()); err != nil && !errors.Is(err, audit.ErrRefused) {
			t.Fatal(err)
		}
	}
	ask()
	if _, err := keeper.ExecContext(t.Context(), `SELECT pg_advisory_unlock($1, hashtext(current_schema()))`, serving); err != nil {
		t.Fatal(err)
	}
	ask()
	var n int
	if err := keeper.GetContext(t.Context(), &n, `SELECT count(*) `+held, serving); err != nil || n != 1 {
		t.Errorf("the lock is held %d times, %v, want once", n, err)
	}
}
