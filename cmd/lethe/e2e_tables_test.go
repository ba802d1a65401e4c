package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/audit/proof"
	"lethe/jobs/api"
	"lethe/store"
)

// A deep store is one of kind tables, of a customer's own schema: messages,
// three levels of what hangs on them, and people's devices beside.
type deep struct {
	t      testing.TB
	db     *sqlx.DB
	config StoreConfig
}

const deepTables = `
	CREATE TABLE chat_messages (message_id BIGINT PRIMARY KEY, customer_id TEXT, conversation_id TEXT, meta %[1]s, body TEXT, created_at TIMESTAMP, expires_at TIMESTAMP);
	CREATE TABLE attachments (message_id BIGINT REFERENCES chat_messages, n INTEGER, title TEXT, PRIMARY KEY (message_id, n));
	CREATE TABLE pages (page TEXT PRIMARY KEY, message_id BIGINT, n INTEGER, words TEXT, FOREIGN KEY (message_id, n) REFERENCES attachments);
	CREATE TABLE marks (mark INTEGER PRIMARY KEY, page TEXT REFERENCES pages, remark TEXT);
	CREATE TABLE "Devices" (id %[2]s PRIMARY KEY, info %[1]s);
	CREATE TABLE audit_trail (at TIMESTAMP, what TEXT);
	CREATE TABLE totals (day DATE, n INTEGER);
	CREATE INDEX a ON pages (message_id, n); CREATE INDEX b ON marks (page);
	INSERT INTO audit_trail (what) VALUES ('alice agreed'); INSERT INTO totals VALUES ('2026-11-29', 12);`

// deepPlaces are its places in the configuration.
const deepPlaces = `
    places:
      - {table: chat_messages, id: message_id, match: {user_id: customer_id, run_id: conversation_id, metadata: meta}, created: created_at, expires: expires_at}
      - {table: attachments, id: [message_id, n], parent: {table: chat_messages, column: message_id}}
      - {table: pages, id: page, parent: {table: attachments, column: [message_id, n]}}
      - {table: marks, id: mark, parent: {table: pages, column: page}}
      - {table: Devices, name: devices, id: id, match: {user_id: info->owner->id}}
    waived: {audit_trail: "legal obligation, art17-3-b", "public.*": "of other programs"}
    backups_until: 30d
`

// eachDriver runs a test on a deep store of each engine.
func eachDriver(t *testing.T, test func(t *testing.T, d deep)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "app.db")
		test(t, newDeep(t, sqlx.MustOpen("sqlite3", path+"?_busy_timeout=10000"), "    driver: sqlite3\n    file: "+path, "TEXT", "TEXT"))
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		dsn := audittest.Schema(t)
		path := filepath.Join(t.TempDir(), "dsn")
		if err := os.WriteFile(path, []byte(dsn+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		test(t, newDeep(t, sqlx.MustOpen("pgx", dsn), "    driver: postgres\n    dsn_file: "+path, "JSONB", "UUID"))
	})
}

func newDeep(t *testing.T, db *sqlx.DB, where, document, uuid string) deep {
	t.Helper()
	t.Cleanup(func() { db.Close() })
	db.MustExec(fmt.Sprintf(deepTables, document, uuid))
	for person, user := range []string{"alice", "bob", "Alice"} {
		for i := range 3 {
			message := person*100 + i
			db.MustExec(fmt.Sprintf(`INSERT INTO chat_messages VALUES (%[1]d, '%[2]s', 'c%[1]d', '{"tier": "gold", "of": "%[2]s"}', 'words of %[2]s', '2026-11-01', NULL)`, message, user))
			db.MustExec(fmt.Sprintf(`INSERT INTO "Devices" VALUES ('00000000-0000-4000-8000-%012[1]d', '{"owner": {"id": "%[2]s"}}')`, message, user))
			for n := range 2 {
				db.MustExec(fmt.Sprintf(`INSERT INTO attachments VALUES (%[1]d, %[3]d, 'title of %[2]s')`, message, user, n))
				for p := range 2 {
					page := fmt.Sprintf("%d-%d-%d", message, n, p)
					db.MustExec(fmt.Sprintf(`INSERT INTO pages VALUES ('%[1]s', %[2]d, %[3]d, 'page of %[4]s')`, page, message, n, user))
					db.MustExec(fmt.Sprintf(`INSERT INTO marks VALUES (%[1]d, '%[2]s', 'remark of %[3]s')`, message*10+n*2+p, page, user))
				}
			}
		}
	}
	c, err := Load(writeConfig(t, "stores:\n  - name: app\n    kind: tables\n"+where+deepPlaces), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return deep{t, db, c.Stores[0]}
}

// rows are the rows of every mapped table that hold a text, and their checksum.
func (d deep) rows(text string) (n int, sum string) {
	d.t.Helper()
	var all []string
	for _, table := range []string{"chat_messages", "attachments", "pages", "marks", `"Devices"`} {
		found, err := d.db.Queryx(`SELECT * FROM ` + table)
		if err != nil {
			d.t.Fatal(err)
		}
		for found.Next() {
			row, err := found.SliceScan()
			if err != nil {
				d.t.Fatal(err)
			}
			if line := fmt.Sprintf("%s %s", table, row); strings.Contains(line, text) {
				all = append(all, line)
			}
		}
		if err := found.Err(); err != nil {
			d.t.Fatal(err)
		}
	}
	slices.Sort(all)
	return len(all), fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(all, "\n"))))
}

// alicesRows are what each person has: messages, attachments, pages, marks, devices.
const alicesRows = 3 + 6 + 12 + 12 + 3

func TestAPersonIsGoneFromThreeLevelsOfTablesAndOthersAreUnchanged(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, d deep) {
		r := start(t, configFor(t.TempDir(), queueEmbedded, d.config), nil)
		bobs, sum := d.rows("bob")
		others, otherSum := d.rows("Alice")
		if n, _ := d.rows("alice"); n != alicesRows || bobs != alicesRows || others != alicesRows {
			t.Fatalf("%d rows of alice, %d of bob", n, bobs)
		}
		places := map[string]int{}
		plan, err := r.client.Plan(t.Context(), api.Submission{Selector: store.Selector{UserID: "alice"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range plan.Stores[0].Places {
			places[p.Place] = p.Found
		}
		if diff := cmp.Diff(map[string]int{"chat_messages": 3, "attachments": 6, "pages": 12, "marks": 12, "devices": 3}, places); diff != "" {
			t.Errorf("plan (-want +got)\n%s", diff)
		}
		id := r.forget("alice")
		s := r.completed(id).Stores[0]
		if s.StoreKind != KindTables || s.Erased != 6 || s.Found != 6 || s.Remaining != 0 {
			t.Errorf("certificate: %s", said(s))
		}
		if diff := cmp.Diff([]proof.PlaceProof{
			{Name: "attachments", Found: 6, With: "chat_messages"},
			{Name: "chat_messages", Erased: 3},
			{Name: "devices", Erased: 3},
			{Name: "marks", Found: 12, With: "pages"},
			{Name: "pages", Found: 12, With: "attachments"},
		}, s.Places); diff != "" {
			t.Errorf("places of the certificate (-want +got)\n%s", diff)
		}
		if n, _ := d.rows("alice"); n != 0 {
			t.Errorf("%d rows of alice are left", n)
		}
		if n, got := d.rows("bob"); n != bobs || got != sum {
			t.Error("bob's rows have changed")
		}
		if _, got := d.rows("Alice"); got != otherSum {
			t.Error("the rows of another Alice have changed")
		}
		var kept string
		if err := d.db.Get(&kept, `SELECT what FROM audit_trail`); err != nil || kept != "alice agreed" {
			t.Errorf("what is waived: %q, error %v", kept, err)
		}
	})
}

func TestAForgottenTableIsNamedByTheCheckAndAtTheStart(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, d deep) {
		check := func(how checking) (string, error) {
			var out bytes.Buffer
			c := &console{stdout: &out, stderr: &out}
			err := c.checkStores(t.Context(), []StoreConfig{d.config}, how)
			return out.String(), err
		}
		if text, err := check(checking{}); err != nil || !strings.Contains(text, "unmapped") || !strings.Contains(text, "waived: legal obligation, art17-3-b") {
			t.Errorf("a sound store: error %v\n%s", err, text)
		}
		if text, err := check(checking{strict: true}); exitStatus(err) != exitError || !strings.Contains(text, "PROBLEM: unmapped") {
			t.Errorf("strict, with a table of numbers: error %v\n%s", err, text)
		}
		d.db.MustExec(`CREATE TABLE feedback (id INTEGER, opinion TEXT)`)
		if text, err := check(checking{}); exitStatus(err) != exitError || !strings.Contains(text, "feedback") || !strings.Contains(text, "opinion") {
			t.Errorf("a forgotten table: error %v\n%s", err, text)
		}
		if text, _ := check(checking{json: true}); !strings.Contains(text, `{"store":"app","place":"","table":"feedback","unmapped":true,"problem":"not in the data map`) {
			t.Errorf("as JSON:\n%s", text)
		}
		var logs bytes.Buffer
		config := configFor(t.TempDir(), queueEmbedded, d.config)
		s, err := openService(t.Context(), config, slog.New(slog.NewJSONHandler(&logs, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(logs.String(), `"table":"feedback"`) || strings.Contains(logs.String(), "totals") {
			t.Errorf("logs of the start:\n%s", logs.String())
		}
		config.Strict, config.Data = true, t.TempDir()
		if _, err := openService(t.Context(), config, slog.New(slog.DiscardHandler)); exitStatus(err) != exitError {
			t.Errorf("a strict start: error %v", err)
		}
	})
}

func TestWhatARequestCannotReachIsInTheCertificate(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, d deep) {
		r := start(t, configFor(t.TempDir(), queueEmbedded, d.config), nil)
		id := r.submit(api.Submission{Selector: store.Selector{UserID: "alice", RunID: "c1"}}) // devices know no runs
		var codes []string
		for _, x := range r.completed(id).Exclusions {
			codes = append(codes, x.Code)
		}
		if !slices.Contains(codes, "unreached-devices") || slices.Contains(codes, "unreached-chat_messages") || !slices.Contains(codes, "backups") {
			t.Errorf("exclusions %v", codes)
		}
		if n, _ := d.rows("alice"); n != alicesRows-1-2-4-4 {
			t.Errorf("%d rows of alice are left, want all but one message with what hangs on it", n)
		}
		// Two places match, so the number of a message is nobody's ID.
		codes = nil
		id = r.submit(api.Submission{Selector: store.Selector{IDs: []string{"100"}}})
		e := r.completed(id)
		for _, x := range e.Exclusions {
			codes = append(codes, x.Code)
		}
		if e.Stores[0].Erased != 0 || !slices.Contains(codes, "unreached-devices") || !slices.Contains(codes, "unreached-chat_messages") {
			t.Errorf("by ID: %s, exclusions %v", said(e.Stores[0]), codes)
		}
	})
}

func TestATableThatComesWhileServingIsFoundBeforeTheNextErasure(t *testing.T) {
	t.Parallel()
	eachDriver(t, func(t *testing.T, d deep) {
		var logs bytes.Buffer
		config := configFor(t.TempDir(), queueEmbedded, d.config)
		r := startLogging(t, config, nil, slog.New(slog.NewJSONHandler(&logs, nil)))
		d.db.MustExec(`CREATE TABLE feedback (id INTEGER, opinion TEXT)`)
		r.completed(r.forget("bob"))
		r.stop()
		if !strings.Contains(logs.String(), `"tables":["feedback"]`) {
			t.Errorf("logs:\n%s", logs.String())
		}
	})
}
