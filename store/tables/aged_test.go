package tables_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/storetest"
	"lethe/store/tables"
)

// summer is after every time of these tests that can be read, but for those of 2099.
var summer = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

// Whatever SQLite keeps in a column without a type, only what is a time for sure is
// old.
func TestSQLiteReadsWhateverAColumnHolds(t *testing.T) {
	t.Parallel()
	for declared, want := range map[string][]string{
		"":         {"integer", "milli", "micro", "real", "text", "date"},
		"TEXT":     {"text", "date"}, // a number put into it is a text then
		"DATETIME": {"integer", "milli", "micro", "real", "text", "date"},
		"BLOB":     {"integer", "milli", "micro", "real", "text", "date"},
	} {
		s, _, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner TEXT, made `+declared+`);
			INSERT INTO t VALUES ('integer', 'a', 1781524800), ('milli', 'a', 1781524800000), ('micro', 'a', 1781524800000000), ('real', 'a', 1781524800.25),
				('text', 'a', '2026-06-15 12:00:00'), ('date', 'a', '2026-06-15'), ('null', 'a', NULL), ('blob', 'a', x'323032362d30362d3135'), ('young', 'a', 4080000000),
				('nul', 'a', '2026-06-15' || char(0)), ('nul after', 'a', '2026-06-15' || char(0) || 'x'), ('quoted', 'a', '"2026-06-15"'), ('array', 'a', '["2026-06-15"]'),
				('digits', 'a', '20260615'), ('day', 'a', 20260615), ('julian', 'a', 2461207.0), ('zero', 'a', 0), ('huge', 'a', 9e999), ('bad', 'a', CAST(x'32303236ff' AS TEXT))`,
			func(p *tables.Place) { p.Created = &tables.Member{Column: "made"} })
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(want)
		sel := store.Selector{CreatedBefore: summer}
		if diff := cmp.Diff(want, keysOf(t, s, sel)); diff != "" {
			t.Errorf("a column of type %q: (-want +got)\n%s", declared, diff)
		}
		undated, err := s.Undated(t.Context(), sel)
		if n := 19 - len(want) - undated["p"]; err != nil || n > 1 { // the young one, where it is a number
			t.Errorf("a column of type %q: %v undated, %d are missing, error %v", declared, undated, n, err)
		}
	}
}

func keysOf(t *testing.T, s store.Store, sel store.Selector) []string {
	t.Helper()
	keys := []string{}
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, id.Key)
	}
	slices.Sort(keys)
	return keys
}

// Of several names of a time that a document has all must be readable, and the latest
// counts.
func TestTheLatestOfSeveralTimesCounts(t *testing.T) {
	t.Parallel()
	docs := map[string]string{
		"one":     `{"createdAt": "2026-06-15T12:00:00Z"}`,
		"other":   `{"created_at": 1781524800}`,
		"both":    `{"createdAt": "2026-06-15", "created_at": "2026-06-14"}`,
		"null":    `{"createdAt": null, "created_at": "2026-06-15"}`,
		"last":    `{"createdAt": "2099-06-15", "createdAt": "2026-06-15"}`,
		"later":   `{"createdAt": "2026-06-15", "created_at": "2099-06-14"}`,
		"unclear": `{"createdAt": "2026-06-15", "created_at": "soon"}`,
		"object":  `{"createdAt": {"created_at": "2026-06-15"}}`,
		"array":   `{"createdAt": ["2026-06-15"]}`,
		"true":    `{"createdAt": true}`,
		"none":    `{}`,
		"nul":     `{"createdAt": "2026-06-15\u0000"}`,
	}
	place := func(p *tables.Place) {
		p.Match, p.Document = nil, &tables.Document{Column: "doc", Keys: map[string][]string{"user_id": {"user"}}, Created: []string{"createdAt", "created_at"}}
	}
	want := []string{"both", "last", "null", "one", "other"}
	s, path, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, doc TEXT); INSERT INTO t VALUES ('no document', '2026-06-15'), ('nothing', NULL)`, place)
	if err != nil {
		t.Fatal(err)
	}
	lite, err := database(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lite.Close()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id text PRIMARY KEY, doc jsonb); INSERT INTO t VALUES ('no document', '"2026-06-15"'), ('nothing', NULL)`)
	for id, doc := range docs {
		lite.MustExec(`INSERT INTO t VALUES (?, ?)`, id, doc)
		if id != "nul" { // which jsonb refuses
			db.MustExec(`INSERT INTO t VALUES ($1, $2)`, id, doc)
		}
	}
	m := pgPlace("t", "id")
	place(&m.Places[0])
	for name, s := range map[string]store.Store{"sqlite": s, "postgres": openPg(t, dsn, m)} {
		if diff := cmp.Diff(want, keysOf(t, s, store.Selector{CreatedBefore: summer})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

// Times of the server's own types are read alike under all its settings.
func TestPostgresReadsTimesOfItsOwn(t *testing.T) {
	t.Parallel()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	join := "?"
	if strings.Contains(dsn, "?") {
		join = "&"
	}
	db.MustExec(`CREATE DOMAIN moment AS timestamptz`)
	for declared, last := range map[string]time.Time{ // that the old one can mean
		"timestamptz":    time.Date(2026, 6, 15, 10, 0, 0, 999999999, time.UTC),
		"timestamptz(0)": time.Date(2026, 6, 15, 10, 0, 0, 999999999, time.UTC),
		"moment":         time.Date(2026, 6, 15, 10, 0, 0, 999999999, time.UTC),
		"timestamp":      time.Date(2026, 6, 16, 0, 0, 0, 999999999, time.UTC),
		"date":           time.Date(2026, 6, 16, 11, 59, 59, 999999999, time.UTC),
		"text":           time.Date(2026, 6, 15, 10, 0, 0, 999999999, time.UTC),
	} {
		db.MustExec(`CREATE TABLE t (id text PRIMARY KEY, owner text, ends ` + declared + `);
			INSERT INTO t VALUES ('old', 'a', '2026-06-15 12:00:00+02'), ('never', 'a', 'infinity'), ('always', 'a', '-infinity'), ('null', 'a', NULL),
				('antique', 'a', '0044-03-15 BC'), ('unset', 'a', '0001-01-01'), ('far', 'a', '12026-06-15'), ('young', 'a', '2099-06-15 12:00:00+02')`)
		for _, settings := range []string{"", "datestyle=German,DMY&timezone=Pacific/Kiritimati", "datestyle=SQL,MDY&timezone=America/Los_Angeles&intervalstyle=iso_8601"} {
			m := pgPlace("t", "id")
			m.Places[0].Expires = &tables.Member{Column: "ends"}
			s := openPg(t, dsn+join+settings, m)
			for cutoff, want := range map[time.Time][]string{last: {}, last.Add(1): {"old"}} {
				if got := keysOf(t, s, store.Selector{ExpiredBefore: cutoff}); !slices.Equal(got, want) {
					t.Errorf("%s, settings %q: before %v are %q, want %q", declared, settings, cutoff, got, want)
				}
			}
			oldest, newest, err := s.Span(t.Context(), store.Selector{ExpiredBefore: last.Add(1)})
			if err != nil || !oldest.Equal(last) || !newest.Equal(last) {
				t.Errorf("%s, settings %q: span %v to %v, error %v", declared, settings, oldest, newest, err)
			}
			undated, err := s.Undated(t.Context(), store.Selector{ExpiredBefore: summer})
			if err != nil || undated["things"] != 4 { // neither the one that never ends, nor the one without an end
				t.Errorf("%s, settings %q: undated %v, error %v", declared, settings, undated, err)
			}
			now, err := s.Now(t.Context())
			if err != nil || time.Since(now).Abs() > time.Minute {
				t.Errorf("settings %q: now is %v, error %v", settings, now, err)
			}
		}
		db.MustExec(`DROP TABLE t`)
	}
}

// A document of type json that the server cannot read says its times all the same.
func TestPostgresReadsTimesInDoubtfulDocuments(t *testing.T) {
	t.Parallel()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id text PRIMARY KEY, owner text, doc json); INSERT INTO t VALUES ('plain', 'a', '{"made": "2026-06-15", "owner": "bob"}'),
		('doubtful', 'a', '{"made": "2026-06-15", "owner": "bob", "text": "\u0000"}'), ('young', 'a', '{"made": "2099-06-15", "text": "\u0000"}'),
		('unclear', 'a', '{"made": "2026-06-15\u0000"}')`)
	m := pgPlace("t", "id")
	m.Places[0].Match["agent_id"] = tables.Member{Column: "doc", Path: []string{"owner"}}
	m.Places[0].Created = &tables.Member{Column: "doc", Path: []string{"made"}}
	s := openPg(t, dsn, m)
	if got := keysOf(t, s, store.Selector{CreatedBefore: summer}); !slices.Equal(got, []string{"doubtful", "plain"}) {
		t.Errorf("old are %q", got)
	}
	for id, err := range s.Identifiers(t.Context()) {
		if err != nil || id.Name == "agent_id" && (id.Value != "bob" || id.Rows != 2 || id.Undated != 0) {
			t.Errorf("an agent with %d rows, %d of them undated, error %v", id.Rows, id.Undated, err)
		}
	}
}

// A row that has changed since its sweep was planned stays.
func TestWhatWasProlongedAfterPlanningIsKept(t *testing.T) {
	t.Parallel()
	lite := openApp(t, "delete")
	pg := newPgApp(t).open()
	for name, f := range map[string]interface {
		storetest.Fixture
		prolong(t *testing.T, id string, ends *string)
	}{"sqlite": lite, "postgres": pg} {
		for _, id := range []string{"1", "2", "3", "4"} {
			if err := f.Add(t.Context(), storetest.Record{ID: id, UserID: "alice", Text: "SECRET-" + id, Expires: "2026-06-15T12:00:00Z"}); err != nil {
				t.Fatal(err)
			}
		}
		sel := store.Selector{ExpiredBefore: summer}
		var ids []store.ID
		for _, key := range keysOf(t, f.Store(), sel) {
			ids = append(ids, store.ID{Place: "memories", Key: key})
		}
		f.prolong(t, "2", said("2099-01-01"))
		f.prolong(t, "3", nil)
		before, err := f.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Store().Erase(store.WithStill(t.Context(), sel), ids)
		if err != nil || string(r) != "ekke" {
			t.Errorf("%s: receipt %s, error %v", name, r, err)
		}
		after, err := f.Rows(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		kept := 0
		for row, text := range before {
			if strings.Contains(text, "SECRET-2") || strings.Contains(text, "SECRET-3") {
				kept++
				if after[row] != text {
					t.Errorf("%s: row %s of a memory that was kept has changed", name, row)
				}
			} else if _, there := after[row]; there && strings.Contains(text, "SECRET") {
				t.Errorf("%s: row %s is left", name, row)
			}
		}
		if kept != 2*4 {
			t.Errorf("%s: %d rows were to be kept, want two of each of four tables", name, kept)
		}
		if r, err := f.Store().Erase(t.Context(), ids); err != nil || string(r) != "aeea" {
			t.Errorf("%s: without anything that must hold: receipt %s, error %v", name, r, err)
		}
	}
}

func (a *app) prolong(t *testing.T, id string, ends *string) {
	t.Helper()
	a.open(t, "app.db").MustExec(`UPDATE conversations SET ends = ? WHERE id = ?`, ends, id)
}

func (a *pgApp) prolong(t *testing.T, id string, ends *string) {
	t.Helper()
	a.db.MustExec(`UPDATE conversations SET ends = $1 WHERE id = $2`, ends, id)
}

// A row that is being changed when its sweep erases it is compared as it is then.
func TestWhatIsProlongedWhileItIsErasedIsKept(t *testing.T) {
	t.Parallel()
	a := &pgApp{t: t, dsn: audittest.Postgres(t)}
	a.db = pgDB(t, a.dsn)
	a.db.MustExec(pgAppLayout)
	a.open()
	ids := []store.ID{{Place: "memories", Key: "1"}, {Place: "memories", Key: "2"}}
	for _, id := range ids {
		if err := a.Add(t.Context(), storetest.Record{ID: id.Key, UserID: "alice", Text: "SECRET-" + id.Key, Expires: "2026-06-15T12:00:00Z"}); err != nil {
			t.Fatal(err)
		}
	}
	tx := a.db.MustBegin()
	defer tx.Rollback()
	tx.MustExec(`UPDATE conversations SET ends = '2099-01-01' WHERE id = '1'`)
	var receipt store.Receipt
	done := make(chan error, 1)
	go func() (err error) {
		defer func() { done <- err }()
		receipt, err = a.s.Erase(store.WithStill(context.WithoutCancel(t.Context()), store.Selector{ExpiredBefore: summer}), ids)
		return err
	}()
	await(t, a.db, 1)
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || string(receipt) != "ke" {
		t.Fatalf("receipt %s, error %v; want that the first is kept", receipt, err)
	}
	if n := rowsWith(t, a.db, "SECRET-1"); n != 4 {
		t.Errorf("%d rows of what was kept are left, want 4", n)
	}
	if n := rowsWith(t, a.db, "SECRET-2"); n != 0 {
		t.Errorf("%d rows of what was erased are left", n)
	}
}

func rowsWith(t *testing.T, db *sqlx.DB, text string) (n int) {
	t.Helper()
	err := db.Get(&n, `SELECT (SELECT count(*) FROM conversations WHERE body = $1) + (SELECT count(*) FROM messages WHERE body = $1) +
		(SELECT count(*) FROM attachments WHERE body = $1) + (SELECT count(*) FROM scans WHERE body = $1)`, text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What hangs in the middle on what is gone has no ID, and stays unattributable.
func TestOrphansHangOnWhatStoodOnItsOwn(t *testing.T) {
	t.Parallel()
	a := openApp(t, "wal")
	if err := a.Add(t.Context(), people("alice", 3)...); err != nil {
		t.Fatal(err)
	}
	if err := a.AddHistory(t.Context(), "gone", "of nobody"); err != nil {
		t.Fatal(err)
	}
	a.open(t, "app.db").MustExec(`DELETE FROM messages WHERE n = 1; INSERT INTO messages (conversation) VALUES (NULL)`)
	sel := store.Selector{Orphaned: true}
	if got := keysOf(t, a.s, sel); !slices.Equal(got, []string{"gone"}) {
		t.Errorf("orphans of %q", got)
	}
	census, err := a.s.Count(t.Context(), sel.Only())
	if err != nil || census.Unattributable != 3 {
		t.Errorf("unattributable %d, error %v; want an attachment, its scan, and a message of no conversation", census.Unattributable, err)
	}
	s, _, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner TEXT)`, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Unreached(sel); !slices.Equal(got, []string{"p"}) || a.s.Unreached(sel) != nil {
		t.Errorf("unreached %q where nothing hangs on anything, %q where it does", got, a.s.Unreached(sel))
	}
}

// However little memory there is, every identifier is listed once.
func TestIdentifiersAreListedShareByShare(t *testing.T) {
	made := time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)
	scans := 0
	rows := func(yield func(tables.Sighting, error) bool) {
		scans++
		for i := range 3000 {
			who := []store.Field{{Name: "user_id", Value: "u" + string(rune('a'+i%1000/100)) + string(rune('0'+i%100/10)) + string(rune('0'+i%10))}, {Name: "app_id", Value: "app"}}
			seen := tables.Sighting{Who: append(who, store.Field{Name: "run_id", Value: " "})}
			if i >= 1000 {
				seen.Made = made.AddDate(0, 0, i/1000)
			}
			if !yield(seen, nil) {
				return
			}
		}
	}
	for _, limit := range []int{7, 100, 5000} {
		scans = 0
		seen := make(map[string]bool)
		for id, err := range tables.IdentifiersAtOnce(rows, limit) {
			want := store.Identifier{Field: id.Field, Rows: 3, Undated: 1, Oldest: made.AddDate(0, 0, 1), Newest: made.AddDate(0, 0, 2)}
			if id.Name == "app_id" {
				want.Rows, want.Undated = 3000, 1000
			}
			if err != nil || id != want || seen[id.Value] {
				t.Fatalf("%d at once: %d rows, %d undated, listed before: %v, error %v", limit, id.Rows, id.Undated, seen[id.Value], err)
			}
			seen[id.Value] = true
		}
		if len(seen) != 1001 {
			t.Errorf("%d at once: %d identifiers, want 1001", limit, len(seen))
		}
		if limit == 5000 && scans != 1 {
			t.Errorf("%d scans for what fits into memory", scans)
		}
	}
}

// A row that belongs to several people is seen with each of them, and once with
// whatever else it says.
func TestSharedRowsAreSeenWithEachOfTheirPeople(t *testing.T) {
	t.Parallel()
	const rows = `INSERT INTO t VALUES ('1', 'bot', 'alice', 'bob'), ('2', 'bot', 'alice', NULL), ('3', 'bot', NULL, 'bob'), ('4', 'bot', NULL, NULL)`
	change := func(p *tables.Place) {
		p.Match = map[string]tables.Member{"agent_id": {Column: "owner"}}
		p.Ties = &tables.Ties{Key: "user_id", Columns: []string{"sender", "recipient"}}
	}
	lite, _, err := lone(t, `CREATE TABLE t (id TEXT PRIMARY KEY, owner TEXT, sender TEXT, recipient TEXT);`+rows, change)
	if err != nil {
		t.Fatal(err)
	}
	dsn := audittest.Schema(t)
	pgDB(t, dsn).MustExec(`CREATE TABLE t (id text PRIMARY KEY, owner text, sender text, recipient text);` + rows)
	m := pgPlace("t", "id")
	change(&m.Places[0])
	for name, s := range map[string]store.Identifying{"sqlite": lite, "postgres": openPg(t, dsn, m)} {
		got := make(map[string]int)
		for id, err := range s.Identifiers(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got[id.Value] = id.Rows
		}
		if diff := cmp.Diff(map[string]int{"bot": 4, "alice": 2, "bob": 2}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}
