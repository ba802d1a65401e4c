package tables_test

import (
	"testing"

	"lethe/audit/audittest"
	"lethe/store/tables"
)

// Links that others delete are not kept for ever.
func TestPostgresKeepsNoMoreLinksInMemoryThanThereAre(t *testing.T) {
	t.Parallel()
	dsn := audittest.Schema(t)
	db := pgDB(t, dsn)
	db.MustExec(`CREATE TABLE t (id text PRIMARY KEY, owner text); CREATE TABLE e (id text PRIMARY KEY, doc jsonb)`)
	m := pgPlace("t", "id")
	m.Places = append(m.Places, tables.Place{
		Name: "entities", File: "f", Table: "e", ID: []string{"id"},
		Document: &tables.Document{Column: "doc", Keys: map[string][]string{"user_id": {"owner"}}, Links: []string{"links"}, LinksTo: "things"},
	})
	s := openPg(t, dsn, m)
	const each = tables.StaleLinks / 2
	for round := range 8 {
		db.MustExec(`DELETE FROM e`)
		db.MustExec(`INSERT INTO e SELECT 'e', jsonb_build_object('links', jsonb_agg($1::text || i)) FROM generate_series(1, $2::int) i`, string(rune('a'+round)), each)
		if _, err := s.Erase(t.Context(), ids("nobody")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Remaining(t.Context(), ids("nobody")); err != nil {
			t.Fatal(err)
		}
	}
	erase, remaining := s.LinksKept()
	if erase > 5*each || remaining > 5*each {
		t.Errorf("%d and %d links kept of %d that there are", erase, remaining, each)
	}
	if r, err := s.Erase(t.Context(), ids("h7")); err != nil || string(r) != "e" {
		t.Errorf("receipt %s, error %v", r, err)
	}
	if left, err := s.Remaining(t.Context(), ids("h7", "h8")); err != nil || len(left) != 1 {
		t.Errorf("%d remaining, error %v; want the other one", len(left), err)
	}
}
