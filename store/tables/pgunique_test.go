package tables_test

import (
	"errors"
	"strings"
	"testing"

	"lethe/audit/audittest"
	"lethe/store"
	"lethe/store/tables"
)

// A row of someone else that has the same ID would go too.
func TestPostgresIDsMustBeUnique(t *testing.T) {
	t.Parallel()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	for declared, unique := range map[string]bool{
		"id text, owner text":                                                    false,
		"id text, owner text, PRIMARY KEY (id, owner)":                           false,
		"id text, owner text, EXCLUDE (owner WITH =)":                            false,
		"id text, owner text UNIQUE":                                             false,
		"id text PRIMARY KEY, owner text":                                        true,
		"id text, owner text, UNIQUE (id) INCLUDE (owner)":                       true,
		"id text, owner text, UNIQUE (id) DEFERRABLE":                            true,
		"id text PRIMARY KEY, owner text) PARTITION BY RANGE (id":                true,
		"id text, owner text) PARTITION BY RANGE (id":                            false,
		"id text, owner text, PRIMARY KEY (id, owner)) PARTITION BY LIST (owner": false,
	} {
		db.MustExec(`CREATE TABLE t (` + declared + `); CREATE UNIQUE INDEX ON t (id, owner) WHERE owner = 'alice'`)
		if !strings.Contains(declared, "PARTITION") {
			db.MustExec(`CREATE UNIQUE INDEX ON t (lower(id)); CREATE UNIQUE INDEX ON t (id) WHERE owner = 'alice'`)
		}
		s, err := tables.OpenPostgres(t.Context(), tables.PostgresConfig{DSN: dsn, Map: pgPlace("t", "id")})
		if err == nil {
			err = s.Close()
		}
		if unique && err != nil || !unique && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "a unique index of no more than (id) on table t")) {
			t.Errorf("(%s): error %v", declared, err)
		}
		db.MustExec(`DROP TABLE t`)
	}
}

func TestPostgresSeesThatIDsAreUniqueNoMore(t *testing.T) {
	t.Parallel()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id text, owner text, CONSTRAINT one UNIQUE (id)); INSERT INTO t VALUES ('1', 'alice')`)
	s := openPg(t, dsn, pgPlace("t", "id"))
	db.MustExec(`CREATE INDEX ON t (owner); REINDEX TABLE t`) // is no change
	if left, err := s.Remaining(t.Context(), ids("1")); err != nil || len(left) != 1 {
		t.Errorf("%d remaining, error %v", len(left), err)
	}
	db.MustExec(`ALTER TABLE t DROP CONSTRAINT one; INSERT INTO t VALUES ('1', 'bob')`)
	if r, err := s.Erase(t.Context(), ids("1")); !errors.Is(err, store.ErrSchema) {
		t.Errorf("receipt %s, error %v; want ErrSchema", r, err)
	}
}
