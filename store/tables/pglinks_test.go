package tables_test

import (
	"testing"

	"lethe/store"
	"lethe/store/tables"
)

// Rows that have one key between them keep each what is theirs, whatever else is
// in their arrays.
func TestPostgresUnlinksEachRowByItself(t *testing.T) {
	s, db, err := onPostgres(t, `CREATE TABLE t (id text PRIMARY KEY, owner text); INSERT INTO t VALUES ('m1', 'alice'), ('m"2', 'bob');
		CREATE TABLE e (payload text PRIMARY KEY, doc jsonb);
		INSERT INTO e VALUES ('e1', '{"l":["m1","m\"2"]}'), ('e2', '{"l":["m1","<&>\u2028", 1e400, 1.10, {"a":"m1"}, null, "m1"], "k":["m1"], "o":["m1"]}'),
			('e3', '{"l":["m1"]}'), ('e4', '{"l":"m1"}'), ('e5', '{"l":["m1","m1"],"k":[]}'), ('e6', '["m1"]'), ('f', '{"l":["m\"2"]}')`,
		tables.Place{
			Name: "entities", File: "f", Table: "e", ID: []string{"payload"},
			Document: &tables.Document{Column: "doc", Keys: map[string][]string{"user_id": {"user"}}, Links: []string{"l", "k"}, LinksTo: "things"},
		}, pgPlace("t", "id").Places[0])
	if err != nil {
		t.Fatal(err)
	}
	if r, err := s.Erase(t.Context(), ids("m1")); err != nil || string(r) != "e" {
		t.Errorf("receipt %s, error %v", r, err)
	}
	var left, wrong int
	err = db.QueryRowx(`SELECT count(*), count(*) FILTER (WHERE doc NOT IN ('{"l":["m\"2"]}', '{"l":"m1"}', '["m1"]',
		'{"l":["<&>\u2028", 1e400, 1.10, {"a":"m1"}, null], "k":[], "o":["m1"]}')) FROM e`).Scan(&left, &wrong)
	if err != nil || left != 5 || wrong > 0 {
		t.Errorf("%d rows left, %d of them wrong, error %v; want 5 as they were, but for the links", left, wrong, err)
	}

	// Of a link that goes with its row nothing is left to be taken out.
	db.MustExec(`INSERT INTO e VALUES ('g', '{"l":["m9"]}')`)
	if r, err := s.Erase(t.Context(), append(ids("m9"), store.ID{Place: "entities", Key: "g"})); err != nil || string(r) != "ae" {
		t.Errorf("receipt %s, error %v, want the entity alone erased", r, err)
	}
}
