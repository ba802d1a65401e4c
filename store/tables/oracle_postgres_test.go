package tables_test

import (
	"testing"

	"github.com/jmoiron/sqlx"
	"pgregory.net/rapid"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// A pgLab is a schema of PostgreSQL with a world's tables.
type pgLab struct {
	dsn string
	db  *sqlx.DB
}

func newPgLab(t *testing.T, json string) pgLab {
	t.Helper()
	lab := pgLab{dsn: audittest.Schema(t)}
	lab.db = pgDB(t, lab.dsn)
	lab.db.MustExec(folded + `CREATE TABLE things (t text UNIQUE, i int8 PRIMARY KEY, name text COLLATE folded, plain varchar, number int8, doc ` + json + `);
		CREATE TABLE kids (id int8 PRIMARY KEY, t text, i int8);
		CREATE TABLE grandkids (id int4 PRIMARY KEY, kid int4)`)
	return lab
}

func (lab pgLab) malformed() bool { return false } // it must be JSON

func (lab pgLab) fill(_ *rapid.T, w world) {
	tx := lab.db.MustBegin()
	tx.MustExec(`DELETE FROM things; DELETE FROM kids; DELETE FROM grandkids`)
	for _, x := range w.things {
		tx.MustExec(`INSERT INTO things VALUES ($1, $2, $3, $4, $5, $6)`, x.T, x.I, x.Name, x.Plain, x.Number, x.Doc)
	}
	for _, k := range w.kids {
		tx.MustExec(`INSERT INTO kids VALUES ($1, $2, $3)`, k.ID, k.T, k.I)
	}
	for _, g := range w.grand {
		tx.MustExec(`INSERT INTO grandkids VALUES ($1, $2)`, g.ID, g.Kid)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
}

func (lab pgLab) open(t *rapid.T, m tables.Map) store.Store {
	m.Files = []tables.File{{Name: "f"}}
	s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: lab.dsn, Map: m})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (lab pgLab) rows(t *rapid.T) []string {
	var rows []string
	err := lab.db.Select(&rows, `SELECT 'thing ' || t FROM things UNION ALL SELECT 'kid ' || id FROM kids UNION ALL SELECT 'grandkid ' || id FROM grandkids`)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A pgLabs is two laboratories that differ in how documents are kept. A world is
// tried in one of them.
type pgLabs struct {
	pgLab // the one in use
	all   [2]pgLab
}

func (labs *pgLabs) fill(t *rapid.T, w world) {
	labs.pgLab = labs.all[(len(w.things)+len(w.kids))%2]
	labs.pgLab.fill(t, w)
}

func TestPostgresEqualsTheModel(t *testing.T) {
	t.Parallel()
	equalsTheModel(t, &pgLabs{all: [2]pgLab{newPgLab(t, "jsonb"), newPgLab(t, "json")}})
}
