package tables_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jmoiron/sqlx"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// pgPlace is a map of one place.
func pgPlace(table string, id ...string) tables.Map {
	return tables.Map{Files: []tables.File{{Name: "f"}}, Places: []tables.Place{{
		Name: "things", File: "f", Table: table, ID: id, Match: map[string]tables.Member{"user_id": {Column: "owner"}}, Explicit: true,
	}}}
}

func TestPostgresTypesThatCannotBeKeysAreRefused(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(folded + `CREATE TYPE mood AS ENUM ('sad'); CREATE DOMAIN small AS int2 CHECK (value > 0); CREATE DOMAIN smaller AS small; CREATE DOMAIN price AS numeric`)
	for declared, want := range map[string]string{
		"text": "", "varchar(9)": "", "int2": "", "int4": "", "int8": "", "uuid": "", "smaller": "", `text COLLATE "C"`: "",
		"numeric": "found numeric", "float8": "found double precision", "char(3)": "found character", "text COLLATE folded": "not deterministic",
		"mood": "found mood", "price": "found price of numeric", "bytea": "found bytea", "timestamptz": "found timestamp", "int4[]": "found integer[]", "jsonb": "found jsonb",
	} {
		db.MustExec(`CREATE TABLE t (id ` + declared + ` UNIQUE, owner text)`)
		s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: pgPlace("t", "id")})
		if want == "" && err != nil || want != "" && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "column id")) {
			t.Errorf("type %s: error %v, want one with %q", declared, err, want)
		}
		if err == nil {
			s.Close()
		}
		db.MustExec(`DROP TABLE t`)
	}
	for _, c := range []struct{ what, column, want string }{
		{"owner", "owner numeric", "want column owner text, uuid or an integer"},
		{"owner", "owner char(9)", "found character"},
		{"made", "owner text, made int", "want column made timestamp"},
		{"document", "owner text, meta text", "want column meta json or jsonb"},
	} {
		db.MustExec(`CREATE TABLE t (id text UNIQUE, ` + c.column + `)`)
		m := pgPlace("t", "id")
		switch c.what {
		case "made":
			m.Places[0].Created = &tables.Member{Column: "made"}
		case "document":
			m.Places[0].Metadata = &tables.Member{Column: "meta"}
		}
		if _, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: m}); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.column, err, c.want)
		}
		db.MustExec(`DROP TABLE t`)
	}
}

// A selector's text equals a number or a UUID only if it is how the server
// writes it: nothing is cast, and nothing fails.
func TestPostgresMatchesTypedColumnsByTheirText(t *testing.T) {
	const id = "0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01"
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE n (id int PRIMARY KEY, owner int2); INSERT INTO n VALUES (1, 42), (2, 7), (3, NULL);
		CREATE TABLE u (id int PRIMARY KEY, owner uuid); INSERT INTO u VALUES (1, '` + id + `')`)
	numbers, ids := openPg(t, dsn, pgPlace("n", "id")), openPg(t, dsn, pgPlace("u", "id"))
	for _, c := range []struct {
		s    store.Store
		text string
		want int
	}{
		{numbers, "42", 1},
		{numbers, "7", 1},
		{numbers, "07", 0},
		{numbers, " 42", 0},
		{numbers, "42.0", 0},
		{numbers, "4e1", 0},
		{numbers, "+7", 0},
		{numbers, "٧", 0},
		{numbers, "65578", 0}, // 42 in 16 bits
		{numbers, "99999999999999999999999", 0},
		{numbers, "alice", 0},
		{ids, id, 1},
		{ids, strings.ToUpper(id), 0},
		{ids, "{" + id + "}", 0},
		{ids, strings.ReplaceAll(id, "-", ""), 0},
		{ids, "alice", 0},
	} {
		if got := len(findIn(t, c.s, store.Selector{UserID: c.text})); got != c.want {
			t.Errorf("%q finds %d, want %d", c.text, got, c.want)
		}
	}
}

func findIn(t *testing.T, s store.Store, sel store.Selector) []store.ID {
	t.Helper()
	var ids []store.ID
	for id, err := range s.Find(t.Context(), sel) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func ids(keys ...string) []store.ID {
	var all []store.ID
	for _, k := range keys {
		all = append(all, store.ID{Place: "things", Key: k})
	}
	return all
}

func TestPostgresRefusesAKeyThatNoRowCanHaveAlone(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	for _, c := range []struct {
		ddl  string
		id   []string
		keys []string
		want string
	}{
		{`(a int2 PRIMARY KEY, owner text); INSERT INTO t VALUES (7, 'u'), (32767, 'u')`, []string{"a"}, []string{"x", "7", "07", "32768", "", "32767", "-1", "7\x00"}, "rerr-ear"},
		{
			`(a int8, b text, owner text, PRIMARY KEY (b, a)); INSERT INTO t VALUES (7, '<"é">', 'u'), (7, '', 'u')`,
			[]string{"a", "b"},
			[]string{`["7","<\"é\">"]`, `["7",""]`, `["07",""]`, `["7"]`, `7`, `["8",""]`, `["7", ""]`, `["7","\u003c"]`},
			"eerrrarr",
		},
		{
			`(a uuid, b int4, owner text, PRIMARY KEY (a, b)); INSERT INTO t VALUES ('0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01', 1, 'u')`,
			[]string{"b", "a"},
			[]string{`["1","0C7E1E8E-6C1A-4A86-9E6E-2F0F5F0F9F01"]`, `["2147483648","0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01"]`, `["1","0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01"]`},
			"rre",
		},
	} {
		db.MustExec(`CREATE TABLE t ` + c.ddl)
		s := openPg(t, dsn, pgPlace("t", c.id...))
		found := findIn(t, s, store.Selector{UserID: "u"})
		asked := ids(c.keys...)
		asked = slices.DeleteFunc(asked, func(id store.ID) bool { return id.Key == "" })
		if left, err := s.Remaining(t.Context(), asked); err != nil || len(left) != len(found) {
			t.Errorf("%s: %d remaining, want %d, error %v", c.ddl, len(left), len(found), err)
		}
		r, err := s.Erase(t.Context(), asked)
		if err != nil || string(r) != strings.ReplaceAll(c.want, "-", "") {
			t.Errorf("%s: receipt %s, error %v; want %s", c.ddl, r, err, c.want)
		}
		if left := findIn(t, s, store.Selector{UserID: "u"}); len(left) > 0 {
			t.Errorf("%s: %d left", c.ddl, len(left))
		}
		db.MustExec(`DROP TABLE t`)
	}
}

func TestPostgresARowWithoutAKeyDoesNotGoUnnoticed(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (a int, b text, owner text, UNIQUE (a, b)); INSERT INTO t SELECT n, 'b', 'bob' FROM generate_series(1, 6000) n; INSERT INTO t VALUES (1, NULL, 'alice')`)
	s := openPg(t, dsn, pgPlace("t", "a", "b"))
	if n := len(findIn(t, s, store.Selector{UserID: "bob"})); n != 6000 {
		t.Errorf("found %d of bob", n)
	}
	for _, err := range s.Find(t.Context(), store.Selector{UserID: "alice"}) {
		if !errors.Is(err, store.ErrRefused) {
			t.Errorf("error %v, want ErrRefused", err)
		}
	}
}

// A document of type json can hold what jsonb cannot.
func TestPostgresReadsDocumentsThatTheServerCannot(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id int PRIMARY KEY, doc json)`)
	docs := []string{
		`{"who":{"user":"alice"},"x":"\u0000"}`,
		`{"who":{"user":"alice"},"x":"\ud83d\ude00"}`,
		`{"who":{"user":"alice"},"x":"\ud83d"}`,
		`{"who":{"user":"alice"},"x":1e999999}`,
		`{"who":{"user":"bob"},"who":{"user":"bob","user":"al\u0069ce"}}`,
		`{"who":{"user":"alice"},"who":{"user":"bob"},"x":"\u0000"}`, // bob's
		`{"who":{"user":"alice\u0000"}}`,                             // nobody's
		`{"who":["alice"],"x":"\u0000"}`,
		`{"who":{"user":7},"x":"\u0000"}`,
		`["\u0000"]`,
		`null`,
		`{"n":7.0,"who":{},"x":"\u0000"}`,
	}
	for i, doc := range docs {
		db.MustExec(`INSERT INTO t VALUES ($1, $2)`, i, doc)
	}
	db.MustExec(`INSERT INTO t VALUES (99, NULL)`)
	m := pgPlace("t", "id")
	m.Places[0].Match = map[string]tables.Member{"user_id": {Column: "doc", Path: []string{"who", "user"}}}
	m.Places[0].Metadata = &tables.Member{Column: "doc"}
	s := openPg(t, dsn, m)
	seven, _ := store.NumberValue("7")
	for _, c := range []struct {
		sel  store.Selector
		want []store.ID
	}{
		{store.Selector{UserID: "alice"}, ids("0", "1", "2", "3", "4")},
		{store.Selector{UserID: "bob"}, ids("5")},
		{store.Selector{UserID: "7"}, nil},
		{store.Selector{Metadata: map[string]store.Value{"n": seven}}, ids("11")},
		{store.Selector{UserID: "alice", Metadata: map[string]store.Value{"n": seven}}, nil},
		{store.Selector{UserID: "alice", Metadata: map[string]store.Value{"x": store.StringValue("😀")}}, ids("1")},
	} {
		if got := findIn(t, s, c.sel); !slices.Equal(got, c.want) {
			t.Errorf("found %d, want %d", len(got), len(c.want))
		}
	}
	if census, err := s.Count(t.Context(), store.Selector{UserID: "alice"}.Only()); err != nil || census.Unattributable != 2 {
		t.Errorf("%d unattributable, error %v; want the array and null", census.Unattributable, err)
	}
	for _, c := range []struct {
		sel  store.Selector
		want []string
	}{
		{store.Selector{AgentID: "a"}, []string{"things"}},
		{store.Selector{UserID: "a", RunID: "r"}, []string{"things"}},
		{store.Selector{UserID: "a"}, nil},
		{store.Selector{IDs: []string{"1"}}, nil},
	} {
		if got := s.Unreached(c.sel); !slices.Equal(got, c.want) {
			t.Errorf("unreached %v, want %v", got, c.want)
		}
	}
}

// Erasures of overlapping batches in any order do not wait for each other.
func TestPostgresErasuresDoNotDeadlock(t *testing.T) {
	dsn := audittest.Postgres(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (a int, b text, owner text, PRIMARY KEY (a, b)); CREATE TABLE k (id int PRIMARY KEY, a int, b text)`)
	m := pgPlace("t", "a", "b")
	m.Places = append(m.Places, tables.Place{Name: "kids", File: "f", Table: "k", ID: []string{"id"}, With: "things", By: []string{"a", "b"}})
	s := openPg(t, dsn, m)
	for round := range 4 {
		db.MustExec(`INSERT INTO t SELECT n * 7919 % 10007, 'b', 'alice' FROM generate_series(1, 1000) n; INSERT INTO k SELECT row_number() OVER (), a, b FROM t; ANALYZE`)
		found := findIn(t, s, store.Selector{UserID: "alice"})
		var wg sync.WaitGroup
		receipts := make([]store.Receipt, 6)
		for i := range receipts {
			batch := slices.Clone(found)
			if i%2 == 1 { // for a few the server would use the index, for many read the table
				slices.Reverse(batch)
				batch = batch[i*50 : i*50+200]
			}
			wg.Go(func() {
				var err error
				if receipts[i], err = s.Erase(t.Context(), batch); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		erased := 0
		for _, r := range receipts {
			erased += r.Count(store.Erased)
		}
		if erased != len(found) || len(found) != 1000 {
			t.Errorf("round %d: erased %d times, want each of %d once", round, erased, len(found))
		}
	}
	var deadlocks, kids int
	if err := db.Get(&deadlocks, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, error %v", deadlocks, err)
	}
	if err := db.Get(&kids, `SELECT count(*) FROM k`); err != nil || kids > 0 {
		t.Errorf("%d kids left, error %v", kids, err)
	}
}

// A large batch and a small one, which the server would find by different ways
// through the table, take its rows in one order: when both have come to a row
// that is in their way, neither has what the other needs.
func TestPostgresErasuresTakeRowsInOneOrder(t *testing.T) {
	dsn := audittest.Postgres(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id int PRIMARY KEY, owner text, pad text);
		INSERT INTO t SELECT n, 'alice', 'x' FROM generate_series(1999, 1000, -1) n; -- last first
		INSERT INTO t SELECT n, 'bob', repeat('x', 3000) FROM generate_series(3000, 1, -1) n ON CONFLICT DO NOTHING; ANALYZE t`)
	s := openPg(t, dsn, pgPlace("t", "id"))
	var large []string
	for n := range 1000 {
		large = append(large, strconv.Itoa(1000+n))
	}
	tx := db.MustBegin()
	tx.MustExec(`SELECT FROM t WHERE id = 1500 FOR UPDATE`)
	var wg sync.WaitGroup
	for i, batch := range [][]store.ID{ids(large...), ids("1001", "1500", "1999")} {
		wg.Go(func() {
			if _, err := s.Erase(t.Context(), batch); err != nil {
				t.Error(err)
			}
		})
		await(t, db, i+1)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	var deadlocks int
	if err := db.Get(&deadlocks, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`); err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, error %v", deadlocks, err)
	}
}

// await returns when so many of the database's transactions wait.
func await(t *testing.T, db *sqlx.DB, want int) {
	t.Helper()
	for waiting := 0; waiting < want; {
		err := db.Get(&waiting, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Rows of tables that inherit, and of partitions, are rows of the table.
func TestPostgresReachesPartsOfATable(t *testing.T) {
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE old (id int PRIMARY KEY, owner text); CREATE TABLE older (note text) INHERITS (old);
		INSERT INTO old VALUES (1, 'alice'), (2, 'bob'); INSERT INTO older VALUES (3, 'alice', 'x'), (4, 'bob', 'y');
		CREATE TABLE p (id int, owner text, PRIMARY KEY (id)) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (3);
		CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (3) TO (9); INSERT INTO p VALUES (1, 'alice'), (2, 'bob'), (3, 'alice'), (4, 'bob')`)
	for _, table := range []string{"old", "p"} {
		s := openPg(t, dsn, pgPlace(table, "id"))
		found := findIn(t, s, store.Selector{UserID: "alice"})
		if !slices.Equal(found, ids("1", "3")) {
			t.Errorf("%s: found %d", table, len(found))
		}
		if r, err := s.Erase(t.Context(), found); err != nil || string(r) != "ee" {
			t.Errorf("%s: receipt %s, error %v", table, r, err)
		}
		if left, err := s.Remaining(t.Context(), found); err != nil || len(left) > 0 {
			t.Errorf("%s: %d remaining, error %v", table, len(left), err)
		}
		if left := findIn(t, s, store.Selector{UserID: "bob"}); len(left) != 2 {
			t.Errorf("%s: bob has %d", table, len(left))
		}
		db.MustExec(`CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (9) TO (99)`) // every month one
		if _, err := s.Erase(t.Context(), found); err != nil {
			t.Errorf("%s: after a new partition: %v", table, err)
		}
		db.MustExec(`DROP TABLE p3`)
	}
}
