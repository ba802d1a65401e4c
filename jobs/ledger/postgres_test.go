package ledger_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

// as returns the address with another user, database or parameter.
func as(t testing.TB, address string, change func(u *url.URL, q url.Values)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	change(u, q)
	u.RawQuery = q.Encode()
	return u.String()
}

// What keeps a ledger from being opened is said once, with what to do about it
// and without the address.
func TestAPostgresThatCannotKeepALedgerIsRefused(t *testing.T) {
	b := newBook(t, onPostgres)
	b.raw.MustExec(`DROP ROLE IF EXISTS hunter; CREATE ROLE hunter LOGIN; CREATE SCHEMA IF NOT EXISTS closed; GRANT USAGE ON SCHEMA closed TO hunter`)
	b.raw.MustExec(`CREATE DATABASE hunter_ascii ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`)
	user := func(u *url.URL, _ url.Values) { u.User = url.UserPassword("hunter", "hunter2") }
	for _, tt := range []struct {
		name, address, want string
	}{
		{"no address", "postgres://hunter:hunter2@[/x", "does not parse"},
		{"nobody there", "postgres://hunter:hunter2@127.0.0.1:1/hunter", "the database does not answer"},
		{"no such host", "postgres://hunter:hunter2@hunter.invalid/hunter", "the database does not answer"},
		{"no such user", as(t, b.url, func(u *url.URL, _ url.Values) { u.User = url.UserPassword("hunter9", "hunter2") }), "does not accept the user or the password (28000)"},
		{"no such database", as(t, b.url, func(u *url.URL, _ url.Values) { u.Path = "/hunter9" }), "no such database; make it first (3D000)"},
		{"no schema", as(t, b.url, func(u *url.URL, q url.Values) { user(u, q); q.Set("search_path", "hunter9") }), "GRANT USAGE, CREATE ON SCHEMA public TO"},
		{"may not make tables", as(t, b.url, func(u *url.URL, q url.Values) { user(u, q); q.Set("search_path", "closed") }), `GRANT USAGE, CREATE ON SCHEMA "closed" to it`},
		{"another encoding", as(t, b.url, func(u *url.URL, q url.Values) { u.Path = "/hunter_ascii"; q.Del("search_path") }), "encoding is SQL_ASCII, want UTF8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := b.options()
			o.URL = tt.address
			l, err := ledger.Open(t.Context(), o)
			if err == nil {
				l.Close()
				t.Fatal("opened")
			}
			if text := err.Error(); !strings.Contains(text, tt.want) || strings.Contains(text, "hunter") {
				t.Errorf("err = %v, want %q and nothing of the address", err, tt.want)
			}
		})
	}
}

func TestAPostgresThatCouldLoseACommitIsRefused(t *testing.T) {
	server := audittest.Start(t, "fsync=off")
	b := newBook(t, onSQLite) // for its keys
	o := b.options()
	o.URL = server.DSN("lethe", "postgres")
	if _, err := ledger.Open(t.Context(), o); !errors.Is(err, ledger.ErrUnsafe) || !strings.Contains(err.Error(), "fsync is off") {
		t.Errorf("err = %v, want ErrUnsafe", err)
	}
	for i, pool := range newBook(t, onPostgres).Pools() {
		for setting, want := range map[string]string{"synchronous_commit": "on", "default_transaction_read_only": []string{"off", "on"}[i], "TimeZone": "UTC"} {
			var got string
			if err := pool.Get(&got, `SELECT current_setting($1)`, setting); err != nil || got != want {
				t.Errorf("pool %d: %s = %s, %v, want %s", i, setting, got, err, want)
			}
		}
	}
}

// A database that goes away is an error that says so, and is used again once it
// is back. What was committed is there.
func TestTheLedgerGoesOnWhenItsDatabaseIsBack(t *testing.T) {
	server := audittest.Start(t)
	b := newBookAt(t, onPostgres, server.DSN("lethe", "postgres"))
	before := b.submit(t, "u1", "notes")
	server.Restart(t)
	var after jobs.Request
	for end := time.Now().Add(30 * time.Second); ; { // the first tries find connections that are gone
		r, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u2"), Stores: []string{"notes"}})
		if err == nil {
			after = r
			break
		}
		if time.Now().After(end) || strings.Contains(err.Error(), "/tmp") || strings.Contains(err.Error(), "lethe@") {
			t.Fatal(err)
		}
	}
	for _, r := range []jobs.Request{before, after} {
		if got := b.request(t, r.ID); got.Status != jobs.Received {
			t.Errorf("status %s", got.Status)
		}
		if _, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID); err != nil {
			t.Error(err)
		}
	}
	b.Impatient(time.Hour)
	_ = b.Refusal(t.Context()) // looks
	o := b.options()
	o.Alone = true
	if _, err := ledger.Open(t.Context(), o); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("alone, beside a process that has survived its database: %v, want ErrLocked", err)
	}
	server.Stop()
	for range 3 {
		_, err := b.List(t.Context(), "", nil, 1, "")
		_, _, wrote := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u3")})
		if err == nil || wrote == nil {
			t.Fatalf("of a database that is gone: %v, %v", err, wrote)
		}
		if text := err.Error() + wrote.Error(); strings.Contains(text, "/tmp") || strings.Contains(text, "user=") {
			t.Errorf("the address is in %s", text)
		}
	}
}

// Requests whose entries nobody logs are accepted, for they are committed; the
// receipt comes later, and is not said to be none.
func TestARequestIsAcceptedWhileNobodyKeepsTheLog(t *testing.T) {
	b := newBook(t, onPostgres)
	b.rest()
	b.rest = func() {}
	r := b.submit(t, "u1", "notes")
	if _, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID); !errors.Is(err, jobs.ErrTooLate) {
		t.Errorf("the receipt: %v, want ErrTooLate", err)
	}
	// If it lasts, nothing more is taken in or begun.
	rings := b.rings(t)
	b.Impatient(time.Millisecond)
	if _, _, err := b.intake.Submit(t.Context(), jobs.Submission{By: jobs.ActorLocal, Selector: user("u2")}); !errors.Is(err, jobs.ErrRefused) || !strings.Contains(err.Error(), "role scheduler") {
		t.Errorf("submit to a log that nobody keeps: %v, want ErrRefused", err)
	}
	if _, err := b.Claim(t.Context(), rings[0], "test", lease); !errors.Is(err, jobs.ErrStale) {
		t.Errorf("claim: %v, want ErrStale", err)
	}
	b.rest = sequence(b.Ledger)
	if _, err := b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID); err != nil {
		t.Error(err)
	}
	b.Impatient(time.Millisecond)
	b.claim(t, rings[0])
}

// Nothing that the ledger reads with can write, whatever it is told.
func TestReadersCannotWrite(t *testing.T) {
	b := newBook(t, onPostgres)
	db, err := ledger.Reader(t.Context(), b.url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, pool := range []*sqlx.DB{db, b.Pools()[1]} {
		if _, err := pool.Exec(`DELETE FROM requests`); err == nil {
			t.Error("a reader wrote")
		}
	}
}
