package tables_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// shop is a map of three levels over a schema that both engines can have.
func shop(path string) tables.Map {
	return tables.Map{
		Files: []tables.File{{Name: "shop", Path: path}},
		Places: []tables.Place{
			{Name: "orders", File: "shop", Table: "orders", ID: []string{"id"}, Match: map[string]tables.Member{"user_id": {Column: "customer"}}},
			{Name: "items", File: "shop", Table: "items", ID: []string{"id"}, With: "orders", By: []string{"order_id"}},
		},
		Waived: []tables.Waiver{
			{Table: "codes", Reason: "names of countries"},
			{Table: "mixed.label", Reason: "fixed words"},
			{Table: "orders.seen", Reason: "counts"},
			{Table: "gone", Reason: "old"},
		},
	}
}

// A verdict is a finding in one line, for the tests.
func verdicts(t *testing.T, c store.Checker) map[string]string {
	t.Helper()
	findings, err := c.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, f := range findings {
		key := strings.TrimSpace(f.Table + " " + f.Column)
		if _, twice := said[key]; twice {
			t.Errorf("two findings of %s", key)
		}
		v := []string{f.Place, f.Role}
		if f.Unmapped {
			v = append(v, "unmapped")
		}
		for _, part := range [][2]string{{"waived: ", f.Waived}, {"note: ", f.Note}, {"PROBLEM: ", f.Problem}} {
			if part[1] != "" {
				v = append(v, part[0]+part[1])
			}
		}
		said[key] = strings.Join(slices.DeleteFunc(v, func(s string) bool { return s == "" }), ", ")
	}
	return said
}

func wantVerdicts(t *testing.T, said, want map[string]string) {
	t.Helper()
	for key, text := range want {
		if got, ok := said[key]; !ok || !strings.Contains(got, text) || text == "" && strings.Contains(got, "PROBLEM") {
			t.Errorf("%s: %q\n    want %q", key, got, text)
		}
	}
}

const shopTables = `CREATE TABLE orders (id TEXT PRIMARY KEY, customer TEXT, words TEXT);
	CREATE TABLE items (id TEXT PRIMARY KEY, order_id TEXT REFERENCES orders, what TEXT);
	CREATE TABLE codes (code TEXT);
	CREATE TABLE mixed (n INTEGER, label TEXT);
	CREATE TABLE numbers (n INTEGER, price NUMERIC(10, 2), at TIMESTAMP, d DATE, ok BOOLEAN, x DOUBLE PRECISION);
	CREATE TABLE forgotten (n INTEGER, about TEXT, extra JSON);
	CREATE TABLE likes (order_id TEXT REFERENCES orders ON DELETE CASCADE, n INTEGER);
	CREATE VIEW shown AS SELECT * FROM orders;
`

// saidOfShop is what both engines say.
func saidOfShop() map[string]string {
	return map[string]string{
		"orders": "orders", "orders id": "orders, id", "orders customer": "orders, match user_id", "orders words": "orders, content",
		"items order_id": "items, parent",
		"items what":     "items, content",
		"codes":          "waived: names of countries", "codes code": "waived: names of countries",
		"mixed": "unmapped", "mixed n": "unmapped", "mixed label": "waived: fixed words",
		"numbers": "unmapped", "numbers price": "unmapped", "numbers at": "unmapped", "numbers x": "unmapped", "numbers ok": "unmapped",
		"forgotten":       "unmapped, PROBLEM: not in the data map, and can hold texts (about, extra): map it as a place, or waive it",
		"forgotten about": "unmapped, PROBLEM: ", "forgotten extra": "unmapped, PROBLEM: ", "forgotten n": "unmapped",
		"likes":       "refers to orders by order_id (ON DELETE CASCADE)",
		"shown":       "view, waived: a view holds nothing itself",
		"orders seen": "orders, trigger, waived: counts", "orders copied": "orders, trigger, PROBLEM: a trigger or rule can copy",
		"gone": "waived: old, note: there is no such table",
	}
}

// harmlessOnes are findings that must not be problems.
func harmlessOnes(t *testing.T, said map[string]string) {
	t.Helper()
	for _, key := range []string{"orders", "items", "items order_id", "mixed", "mixed n", "numbers", "numbers d", "forgotten n", "shown", "codes", "gone"} {
		if strings.Contains(said[key], "PROBLEM") {
			t.Errorf("%s: %q, want no problem", key, said[key])
		}
	}
}

func TestEveryTableColumnAndTriggerOfSQLiteIsAccountedFor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.db")
	db := sqlx.MustOpen("sqlite3", path)
	t.Cleanup(func() { db.Close() })
	db.MustExec(shopTables + `CREATE TABLE folding ("a,b" TEXT, [who (x)] TEXT COLLATE NOCASE, PRIMARY KEY ("a,b"));
		CREATE VIRTUAL TABLE found USING fts3(body); CREATE VIRTUAL TABLE known USING fts3(body);
		CREATE TRIGGER seen AFTER UPDATE ON orders BEGIN UPDATE mixed SET n = n + 1; END;
		CREATE TRIGGER copied AFTER DELETE ON orders BEGIN INSERT INTO forgotten (about) VALUES (old.words); END;
		PRAGMA writable_schema=ON; CREATE TABLE sqlite_stat4 (tbl, idx, neq, nlt, ndlt, sample)`)
	m := shop(path)
	m.Waived = append(m.Waived, tables.Waiver{Table: "known", Reason: "follows by triggers"})
	m.Places = append(m.Places, tables.Place{Name: "folding", File: "shop", Table: "folding", ID: []string{"a,b"}, Match: map[string]tables.Member{"user_id": {Column: "who (x)"}}})
	s, err := tables.Open(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	said := verdicts(t, s)
	wantVerdicts(t, said, saidOfShop())
	wantVerdicts(t, said, map[string]string{
		"folding who (x)": "match user_id, note: its collation takes some different texts for equal; Lethe does not",
		"folding a,b":     "folding, id",
		"found":           "virtual table, unmapped, PROBLEM: a virtual table keeps copies",
		"found_content":   "shadow table, unmapped, PROBLEM: holds what the virtual table found indexes",
		"known":           "waived: follows by triggers", "known_content": "shadow table, waived: follows by triggers",
		"sqlite_stat4":   "unmapped, PROBLEM: keeps samples of indexed values",
		"items order_id": "items, parent, note: no exact index finds it",
		"likes":          "ON DELETE CASCADE): it will name rows that are gone",
	})
	harmlessOnes(t, said)
	if strings.Contains(said["folding a,b"], "note") {
		t.Errorf("a,b: %q, want no note of its collation", said["folding a,b"])
	}
}

func TestEveryTableColumnAndTriggerOfPostgresIsAccountedFor(t *testing.T) {
	dsn := audittest.Schema(t)
	db := sqlx.MustOpen("pgx", dsn)
	t.Cleanup(func() { db.Close() })
	m := shop("")
	m.Places[1] = tables.Place{Name: "parts", File: "shop", Table: "parts", ID: []string{"id"}, With: "orders", By: []string{"order_id"}}
	m.Waived = append(m.Waived, tables.Waiver{Table: "stars", Reason: "counts"})
	db.MustExec(shopTables + `CREATE TABLE parts (id text PRIMARY KEY, order_id text REFERENCES orders); ALTER TABLE orders ADD picture oid;
		CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN name AS text; CREATE DOMAIN age AS int;
		CREATE TABLE kinds (m mood, a age, n int[], u uuid, who name, v varchar(9), b bytea, j jsonb, i inet);
		CREATE TABLE kept (order_id text REFERENCES orders, n int);
		ALTER TABLE orders ADD n int UNIQUE;
		CREATE TABLE hearts (order_id int REFERENCES orders (n) ON DELETE CASCADE);
		CREATE TABLE stars (order_id int REFERENCES orders (n) ON DELETE CASCADE);
		CREATE TABLE marks (order_id int REFERENCES orders (n) ON DELETE SET NULL);
		CREATE MATERIALIZED VIEW copies AS SELECT words FROM orders;
		CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
		CREATE TRIGGER seen AFTER UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION nothing();
		CREATE RULE copied AS ON DELETE TO orders DO ALSO NOTIFY x;
		CREATE TABLE parted (n int, words text) PARTITION BY RANGE (n);
		CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
		INSERT INTO orders SELECT i, 'u' || i % 3, 'w' FROM generate_series(1, 100) i; ANALYZE orders`)
	s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	said := verdicts(t, s)
	want := saidOfShop()
	for _, key := range []string{"items order_id", "items what"} {
		delete(want, key)
	}
	wantVerdicts(t, said, want)
	wantVerdicts(t, said, map[string]string{
		"orders picture": "content, note: a large object that it names is not erased",
		"items":          "ON DELETE NO ACTION): its rows keep those from being erased",
		"kept":           "(ON DELETE NO ACTION): its rows keep those from being erased; map it with this parent",
		"likes":          "uncounted and unverified; map it with this parent, or waive it",
		"hearts":         "unmapped, PROBLEM: refers to orders by order_id (ON DELETE CASCADE): the database takes its rows along",
		"stars":          "waived: counts, note: refers to orders by order_id (ON DELETE CASCADE)",
		"marks":          "unmapped, note: refers to orders by order_id (ON DELETE SET NULL): its rows stay",
		"copies":         "materialized view, unmapped, PROBLEM: a materialized view keeps copies",
		"parted":         "unmapped, PROBLEM: not in the data map",
		"kinds":          "can hold texts (n, u, who, v, b, j, i)",
		"pg_statistic":   "note: keeps samples of values of 1 mapped tables",
	})
	if _, ok := said["parted_1"]; ok {
		t.Error("a part of a partitioned table is told on its own")
	}
	harmlessOnes(t, map[string]string{"orders": said["orders"], "numbers": said["numbers"], "mixed": said["mixed"], "numbers d": said["numbers d"]})
	if got := said["parts order_id"]; !strings.Contains(got, "note: no index begins with it: each batch reads the whole table") || strings.Contains(said["parts"], "refers") {
		t.Errorf("parts: %q, order_id: %q", said["parts"], got)
	}
	db.MustExec(`CREATE INDEX by_order ON parts (order_id, id)`)
	if got := verdicts(t, s)["parts order_id"]; strings.Contains(got, "note") {
		t.Errorf("with an index: %q", got)
	}
	db.MustExec(`DROP TABLE orders CASCADE`)
	wantVerdicts(t, verdicts(t, s), map[string]string{"orders": "PROBLEM: missing"})
}

// BenchmarkCheckOf300Tables is what a plan pays for the comparison.
func BenchmarkCheckOf300Tables(b *testing.B) {
	ddl := shopTables
	for i := range 300 {
		ddl += fmt.Sprintf("CREATE TABLE t%d (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, d INTEGER); CREATE INDEX i%[1]d ON t%[1]d (a);", i)
	}
	path := filepath.Join(b.TempDir(), "shop.db")
	db := sqlx.MustOpen("sqlite3", path)
	defer db.Close()
	db.MustExec(ddl)
	lite, err := tables.Open(b.Context(), shop(path))
	if err != nil {
		b.Fatal(err)
	}
	defer lite.Close()
	dsn := audittest.Schema(b)
	pg := sqlx.MustOpen("pgx", dsn)
	defer pg.Close()
	pg.MustExec(ddl)
	m := shop("")
	m.Places = m.Places[:1]
	post, err := tables.OpenPostgres(b.Context(), tables.PostgresConfig{DSN: dsn, Map: m})
	if err != nil {
		b.Fatal(err)
	}
	defer post.Close()
	for name, s := range map[string]store.Checker{"SQLite": lite, "Postgres": post} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Check(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
