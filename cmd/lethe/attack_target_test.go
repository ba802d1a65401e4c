package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/jobs/api/apitest"
	"lethe/store"
	"lethe/store/mem0"
)

// A target is a real service with something to lose: memories in a store that
// the service erases from, requests in every state, a hold, and people.
type target struct {
	*running
	address  string
	document *apitest.Document // that it serves
	dir      string            // of files for the command line
	tokens   map[string]string
	words    []string // pairs, for strings.NewReplacer
	logs     *kept
	ledger   *sqlx.DB
	stores   []*sqlx.DB
	calls    int
	seen     string // the last fingerprint, and of which states of the files
	versions []int
	slow     string // address of the same service, for which deadlines come fifty times as soon
}

// A kept is a log that is read while it is written.
type kept struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (k *kept) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.buf.Write(b)
}

// take returns what was written since it was last taken.
func (k *kept) take() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	defer k.buf.Reset()
	return k.buf.String()
}

func newTarget(t *testing.T) *target {
	t.Helper()
	dir := t.TempDir()
	w := &target{dir: dir, tokens: map[string]string{}, logs: &kept{}}
	var people []mem0.Memory
	for user, n := range map[string]int{"alice": 3, "bob": 2, "many": 8, "more": 8, "most": 8, "leaving": 6, "held": 2} {
		for i := range n {
			people = append(people, mem0.Memory{UserID: user, Text: fmt.Sprintf("%s likes thing %d", user, i), Metadata: map[string]any{"tier": i}})
		}
	}
	mem := newMem0(t, filepath.Join(dir, "m"), people...)
	data := filepath.Join(dir, "data")
	_, w.tokens["admin"] = newToken(t, data, jobs.RoleAdmin)
	c := configFor(data, queueEmbedded, configured("memories", mem))
	c.LogOrigin = "" // the first token has made the log's key
	c.Limits = &LimitsConfig{MaxRows: new(Count(7)), MaxFraction: new(1.0)}
	c.Webhooks = &WebhooksConfig{SecretFile: filepath.Join(dir, "webhooks")}
	if err := os.WriteFile(c.Webhooks.SecretFile, []byte("whsec_"+base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600); err != nil {
		t.Fatal(err)
	}
	w.running = startLogging(t, c, nil, slog.New(slog.NewJSONHandler(w.logs, nil)))
	w.address = strings.TrimPrefix(w.s.URL(), "http://")
	w.word("{address}", w.address)
	w.document = servedDocument(t, w.running)
	w.openBooks(t, filepath.Join(data, ledgerFile), mem)
	w.people(t)
	w.cases(t)
	w.files(t)
	w.signIn(t)
	w.hurried(t)
	w.settle(t)
	return w
}

func (w *target) as(who string) *api.Client { return w.asks(w.tokens[who]) }

// people gives everybody else a token.
func (w *target) people(t *testing.T) {
	t.Helper()
	give := func(who string, role jobs.Role) api.NewToken {
		made, err := w.as("admin").CreateToken(t.Context(), api.TokenOrder{Name: who, Role: role, Expires: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		w.tokens[who] = made.Secret
		w.word("{id of "+who+"}", made.ID)
		return made
	}
	whole, err := w.as("admin").Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.word("{id of admin}", whole[0].ID)
	give("submitter", jobs.RoleSubmitter)
	give("other", jobs.RoleSubmitter)
	give("approver", jobs.RoleApprover)
	give("auditor", jobs.RoleAuditor)
	if _, err := w.as("admin").RevokeToken(t.Context(), give("revoked", jobs.RoleAdmin).ID); err != nil {
		t.Fatal(err)
	}
	old := give("expired", jobs.RoleAdmin)
	db := sqlx.MustOpen("sqlite3", "file:"+filepath.Join(w.dir, "data", ledgerFile)+"?_busy_timeout=10000")
	db.MustExec(`UPDATE tokens SET expires_at = created_at + 1 WHERE id = ?`, old.ID) // time goes by
	_ = db.Close()
	forged := []byte(w.tokens["admin"])
	forged[len(forged)-1] ^= 1
	w.tokens["forged"] = string(forged)
	for who, token := range w.tokens {
		w.word("{token of "+who+"}", token)
	}
	hash := sha256.Sum256([]byte(w.tokens["admin"]))
	w.word("{sha256 of admin}", jobs.TokenPrefix+hex.EncodeToString(hash[:]))
	w.word("{hex of admin}", strings.TrimPrefix(w.tokens["admin"], jobs.TokenPrefix))
	w.word("{TOKEN}", strings.ToUpper(w.tokens["admin"]))
}

func (w *target) word(name, is string) { w.words = append(w.words, name, is) }

// file files a request, and waits for a status if there is one to wait for.
func (w *target) file(t *testing.T, who string, s api.Submission, until jobs.Status) api.Request {
	t.Helper()
	made, _, err := w.as(who).Submit(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return w.wait(t, made.ID, func(r api.Request) bool { return until == "" || r.Status == until })
}

func (w *target) wait(t *testing.T, id string, good func(api.Request) bool) api.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, err := w.as("admin").Request(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		if good(r) {
			return r
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// cases brings requests into the states in which they are attacked.
func (w *target) cases(t *testing.T) {
	t.Helper()
	of := func(user string) api.Submission { return api.Submission{Selector: store.Selector{UserID: user}} }
	waiting := w.file(t, "submitter", of("many"), jobs.AwaitingApproval)
	w.word("{waiting}", waiting.ID)
	w.word("{WAITING}", strings.ToUpper(waiting.ID))
	w.word("{hash}", waiting.PlanHash)
	w.word("{HASH}", strings.ToUpper(waiting.PlanHash))
	w.word("{half hash}", waiting.PlanHash[:32])
	own := w.file(t, "admin", of("more"), jobs.AwaitingApproval)
	w.word("{own}", own.ID)
	w.word("{own hash}", own.PlanHash)
	stale := w.file(t, "submitter", of("most"), jobs.AwaitingApproval)
	w.word("{stale}", stale.ID)
	w.word("{stale hash}", stale.PlanHash)
	if _, err := w.as("approver").Exempt(t.Context(), stale.ID, api.Refused{Store: "memories", Place: "messages", Reason: "art17-3-b"}); err != nil {
		t.Fatal(err)
	}
	w.wait(t, stale.ID, func(r api.Request) bool {
		return r.Status == jobs.AwaitingApproval && r.PlanHash != stale.PlanHash
	})
	done := w.file(t, "submitter", of("leaving"), jobs.AwaitingApproval)
	w.word("{done}", done.ID)
	w.word("{done hash}", done.PlanHash)
	if _, err := w.as("approver").Approve(t.Context(), done.ID, done.PlanHash); err != nil {
		t.Fatal(err)
	}
	w.wait(t, done.ID, func(r api.Request) bool { return r.Status == jobs.Completed })
	graced := of("alice")
	graced.Grace, graced.IdempotencyKey, graced.Ticket = 72*time.Hour, "a key of hers", "PRIV-1"
	w.word("{graced}", w.file(t, "submitter", graced, "").ID)
	for i, ticket := range scripts() {
		graced.IdempotencyKey, graced.Ticket = "", ticket
		w.word(fmt.Sprintf("{script %d}", i), w.file(t, "submitter", graced, "").ID)
	}
	for _, name := range []string{"{hold}", "{ended hold}"} {
		hold, err := w.as("approver").PlaceHold(t.Context(), of("held"), "litigation-1", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		w.word(name, hold.ID)
		if name == "{ended hold}" {
			if _, err := w.as("approver").ReleaseHold(t.Context(), hold.ID, "released"); err != nil {
				t.Fatal(err)
			}
		}
	}
	key, err := w.as("auditor").Key(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.word("{key}", strings.TrimSpace(key))
	w.word("{absent}", "0193a000-0000-7000-8000-999999999999")
}

// openBooks opens what fingerprint reads, besides the service.
func (w *target) openBooks(t *testing.T, ledger string, mem mem0.SQLiteConfig) {
	t.Helper()
	open := func(path string) *sqlx.DB {
		db, err := sqlx.Open("sqlite3", "file:"+path+"?mode=ro&_busy_timeout=10000")
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	w.ledger = open(ledger)
	for _, path := range []string{mem.Vectors, mem.Entities, mem.History} {
		w.stores = append(w.stores, open(path))
	}
}

// fingerprint is all, see rows, read anew only if somebody has written.
func (w *target) fingerprint(t testing.TB) string {
	t.Helper()
	versions := make([]int, len(w.stores)+1)
	for i, db := range append(slices.Clone(w.stores), w.ledger) {
		if err := db.Get(&versions[i], `PRAGMA data_version`); err != nil {
			t.Fatal(err)
		}
	}
	if w.seen == "" || !slices.Equal(versions, w.versions) {
		w.seen, w.versions = w.rows(t), versions
	}
	return w.seen
}

// rows is all that must not change: every row of the stores, the book's
// tables, and how many entries the log has.
func (w *target) rows(t testing.TB) string {
	t.Helper()
	var all []string
	for _, table := range []string{"requests", "jobs", "batches", "outbox", "exemptions", "holds", "staged", "webhooks", "notices"} {
		all = append(all, rowsIn(t, w.ledger, table, "*")...)
	}
	all = append(all, rowsIn(t, w.ledger, "tokens", "id, hash, name, role, expires_at, revoked_at, unlogged")...) // used_at is to be
	all = append(all, rowsIn(t, w.ledger, "audit_entry", "count(*)")...)
	return strings.Join(append(all, w.memories(t)), "\n")
}

// memories is every row of the stores.
func (w *target) memories(t testing.TB) string {
	t.Helper()
	var all []string
	for _, db := range w.stores {
		var tables []string
		if err := db.Select(&tables, `SELECT name FROM sqlite_master WHERE type = 'table'`); err != nil {
			t.Fatal(err)
		}
		for _, table := range tables {
			all = append(all, rowsIn(t, db, table, "*")...)
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func rowsIn(t testing.TB, db *sqlx.DB, table, columns string) (all []string) {
	t.Helper()
	rows, err := db.Queryx(`SELECT ` + columns + ` FROM "` + table + `"`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		row, err := rows.SliceScan()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s %q", table, row))
	}
	return all
}

// difference is the first line that one has and the other has not.
func difference(before, after string) string {
	old := strings.Split(before, "\n")
	for line := range strings.Lines(after + "\n") {
		if !slices.Contains(old, strings.TrimSuffix(line, "\n")) {
			return "there is now " + line
		}
	}
	return "something is gone"
}

// settle waits until the service has nothing left to do.
func (w *target) settle(t *testing.T) {
	t.Helper()
	still := 0
	for last := ""; still < 5; time.Sleep(100 * time.Millisecond) {
		now := w.fingerprint(t)
		if still++; now != last {
			still = 0
		}
		last = now
	}
	w.logs.take()
}

// files writes what the command line is told to read.
func (w *target) files(t *testing.T) {
	t.Helper()
	w.word("{dir}", w.dir)
	for name, f := range commandFiles() {
		path := filepath.Join(w.dir, name)
		if err := os.WriteFile(path, []byte(strings.NewReplacer(w.words...).Replace(f.text)), f.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, f.mode); err != nil {
			t.Fatal(err)
		}
	}
}

// command runs a command line against the service.
func (w *target) command(t *testing.T, a attack, words *strings.Replacer) (answer, string) {
	t.Helper()
	var out, talk bytes.Buffer
	args := make([]string, len(a.cli))
	for i, arg := range a.cli {
		args[i] = words.Replace(arg)
	}
	code := run(t.Context(), args, strings.NewReader(words.Replace(a.body)), &out, &talk)
	if strings.ContainsAny(out.String()+talk.String(), "\x1b\a\r\x00\u202e") {
		t.Errorf("the terminal is written to as it pleases others: %q %q", &out, &talk)
	}
	return answer{status: http.StatusOK, body: out.String() + talk.String()}, fmt.Sprintf("exit %d", code)
}
