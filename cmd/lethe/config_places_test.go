package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/store/tables"
)

const tablesConfig = `strict: true
stores:
  - name: app
    kind: tables
    driver: sqlite3
    file: app.db
    places:
      - {table: chat_messages, id: message_id, match: {user_id: customer_id, run_id: meta->session->id, metadata: meta}, created: created_at, expires: expires_at}
      - {table: attachments, id: [message_id, n], parent: {table: chat_messages, column: message_id}}
      - {table: "Attachment Pages", name: pages, id: page, parent: {table: attachments, column: [message_id, n]}}
    waived: {audit_trail: "legal obligation, art17-3-b", "orders.note": "codes"}
    purge: "02:00-05:00"
    backups_until: 30d
    replicas_until: 1h
`

func TestTablesConfigBecomesADataMap(t *testing.T) {
	path := writeConfig(t, tablesConfig)
	c, err := Load(path, Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	s := c.Stores[0]
	if want := filepath.Join(filepath.Dir(path), "app.db"); s.File != want || !c.Strict || len(s.exclusions()) != 2 {
		t.Errorf("file %s, strict %v, %d exclusions", s.File, c.Strict, len(s.exclusions()))
	}
	m := s.dataMap(s.File)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	top, page := m.Places[0], m.Places[2]
	if run := top.Match["run_id"]; run.Column != "meta" || !slices.Equal(run.Path, []string{"session", "id"}) || top.Match["user_id"].Column != "customer_id" {
		t.Errorf("match %+v", top.Match)
	}
	if top.Metadata.Column != "meta" || top.Created.Column != "created_at" || top.Expires.Column != "expires_at" || !top.Explicit {
		t.Errorf("place %+v", top)
	}
	if page.Name != "pages" || page.Table != "Attachment Pages" || page.With != "attachments" || !slices.Equal(page.By, []string{"message_id", "n"}) || page.Explicit {
		t.Errorf("place %+v", page)
	}
	if !slices.Equal(m.Waived, []tables.Waiver{{Table: "audit_trail", Reason: "legal obligation, art17-3-b"}, {Table: "orders.note", Reason: "codes"}}) {
		t.Errorf("waived %v", m.Waived)
	}
}

func TestSharedRowsAreConfigured(t *testing.T) {
	c, err := Load(writeConfig(t, `stores: [{name: a, kind: tables, driver: sqlite3, file: f, places: [
		{table: letters, id: i, match: {user_id: [sender, recipient], run_id: r}, shared: redact, redact: {body: ~, title: "removed"}},
		{table: calls, id: i, match: {user_id: [a, b]}}]}]`), Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	m := c.Stores[0].dataMap("f")
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	ties := m.Places[0].Ties
	if ties.Key != "user_id" || !slices.Equal(ties.Columns, []string{"sender", "recipient"}) || ties.Shared != tables.Redact || m.Places[1].Ties.Shared != tables.Refuse {
		t.Errorf("ties %+v, %+v", ties, m.Places[1].Ties)
	}
	if r := ties.Redact; r[0].Column != "body" || r[0].To != nil || *r[1].To != "removed" || m.Places[0].Match["run_id"].Column != "r" || m.Places[0].Explicit {
		t.Errorf("redactions %+v of %+v", r, m.Places[0])
	}
}

func TestIDsOfARequestNeverMeanSeveralTablesUnlessSaid(t *testing.T) {
	explicit := func(first string) (got []bool) {
		text := "stores: [{name: a, kind: tables, driver: sqlite3, file: a.db, places: [{table: a, id: i, match: {user_id: u}" + first + "}, {table: b, id: i, match: {user_id: u}}]}]\n"
		c, err := Load(writeConfig(t, text), Overrides{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range c.Stores[0].dataMap("").Places {
			got = append(got, p.Explicit)
		}
		return got
	}
	if got := explicit(""); got[0] || got[1] {
		t.Errorf("two places: explicit %v, want none", got)
	}
	if got := explicit(", explicit: true"); !got[0] || got[1] {
		t.Errorf("one of two: explicit %v", got)
	}
}

func TestTablesConfigFaultsSayWhereAndWhat(t *testing.T) {
	place := func(text string) string { return "driver: sqlite3, file: f, places: [" + text + "]" }
	const top = "{table: a, id: i, match: {user_id: u}}"
	for want, text := range map[string]string{
		"lethe.yaml:1:42: stores[0].driver: must be sqlite3 or postgres":  "driver: oracle, places: [" + top + "]",
		"stores[0].file: must be the path of the database file":           "driver: sqlite3, places: [" + top + "]",
		"lethe.yaml:1:57: stores[0].file: must be the path":               "driver: sqlite3, file: a, dsn_file: b, places: [" + top + "]",
		"stores[0].file: is for driver sqlite3 alone":                     "driver: postgres, file: a, dsn_file: b, places: [" + top + "]",
		"stores[0].dsn_file: must be the path":                            "driver: postgres, places: [" + top + "]",
		"stores[0].purge: must be off, rewrite, or rewrite with a window": "driver: postgres, dsn_file: d, purge: \"02:00-03:00\", places: [" + top + "]",
		"stores[0].places: must list":                                     "driver: sqlite3, file: a",
		"stores[0].vectors: is not for tables":                            place(top) + ", vectors: v",
		"stores[0].places[0].tabel: is not a key":                         place("{tabel: a}"),
		"match.userid: is not a key":                                      place("{table: a, id: i, match: {userid: u}}"),
		"stores[0].places[0].table: must be the name of a table":          place("{id: i, match: {user_id: u}}"),
		"stores[0].places[0].id: must be the column":                      place("{table: a, match: {user_id: u}}"),
		"places[0].id: must be the name of a column, or a list":           place("{table: a, id: 5, match: {user_id: u}}"),
		"lethe.yaml:1:69: stores[0].places[0]: needs match":               place("{table: a, id: i}"),
		"places[1].parent: cannot be given beside match":                  place(top + ", {table: b, id: i, match: {user_id: u}, parent: {table: a, column: c}}"),
		"places[0].match: must name at least one":                         place("{table: a, id: i, match: {}}"),
		"places[1].table: is the table of another place":                  place(top + "," + top),
		"places[1].name: is the name of another place":                    place(top + ", {table: b, name: a, id: i, match: {user_id: u}}"),
		"places[0].table: cannot name the place in certificates":          place("{table: A, id: i, match: {user_id: u}}"),
		"places[0].parent.table: must be the table of another place":      place("{table: a, id: i, parent: {table: b, column: c}}"),
		"places[0].parent.table: is the place's own table":                place("{table: a, id: i, parent: {table: a, column: c}}"),
		"places[0].parent.column: must be the column":                     place("{table: a, id: i, parent: {table: b}}, {table: b, id: i, match: {user_id: u}}"),
		"places[1].parent.column: must have as many columns as":           place("{table: a, id: [i, j], match: {user_id: u}}, {table: b, id: i, parent: {table: a, column: c}}"),
		"places[0].parent.table: leads back to this place":                place("{table: a, id: i, parent: {table: b, column: c}}, {table: b, id: i, parent: {table: a, column: c}}"),
		"places[1].explicit: is for places with match":                    place(top + ", {table: b, id: i, explicit: true, parent: {table: a, column: c}}"),
		"match.user_id: must be one column, or a list of two":             place("{table: a, id: i, match: {user_id: [u]}}"),
		"match.user_id: must be one column: one key":                      place("{table: a, id: i, match: {user_id: [u, v], run_id: [a, b]}}"),
		"match.user_id: must be columns of lower-case":                    place("{table: a, id: i, match: {user_id: [u, V]}}"),
		"match.metadata: must be one column":                              place("{table: a, id: i, match: {user_id: u, metadata: [u, v]}}"),
		"created: must be one column":                                     place("{table: a, id: i, match: {user_id: u}, created: [u, v]}"),
		"shared: is for places whose match has a list":                    place("{table: a, id: i, match: {user_id: u}, shared: delete}"),
		"shared: must be refuse, delete, unlink or redact":                place("{table: a, id: i, match: {user_id: [u, v]}, shared: keep}"),
		"redact: must list the columns":                                   place("{table: a, id: i, match: {user_id: [u, v]}, shared: redact}"),
		"redact: must list":                                               place("{table: a, id: i, match: {user_id: [u, v]}, redact: {b: ~}}"),
		"redact.b: must be a text, or ~":                                  place("{table: a, id: i, match: {user_id: [u, v]}, shared: redact, redact: {b: 5}}"),
		"stores[0].waived.a: must say why":                                place(top) + ", waived: {a: ~}",
		"waived.'a.b': must say why":                                      place(top) + ", waived: {a.b: \" \"}",
		"lethe.yaml:1:122: stores[0].waived.'a': is mapped as a place":    place(top) + ", waived: {a: because}",
		"stores[0].waived: must be a mapping":                             place(top) + ", waived: [a]",
	} {
		_, err := Load(writeConfig(t, "stores: [{name: a, kind: tables, "+text+"}]\n"), Overrides{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\nerror %v\n want %q", text, err, want)
		}
	}
	for _, member := range []string{"meta->>user", "meta->'user'", "$.user", "meta->", "->user", "meta.user", "a b", "lower(u)", "meta -> user", "meta->0", `"u"`, "a--b->"} {
		_, err := Load(writeConfig(t, "stores: [{name: a, kind: tables, "+place("{table: a, id: i, match: {user_id: '"+strings.ReplaceAll(member, "'", "''")+"'}}")+"}]\n"), Overrides{})
		if err == nil || !strings.Contains(err.Error(), "match.user_id: must be a column, or column->name->name") {
			t.Errorf("member %s: error %v", member, err)
		}
	}
	_, err := Load(writeConfig(t, "stores: [{name: a, kind: mem0-sqlite, vectors: v, entities: none, history: none, driver: sqlite3}]\n"), Overrides{})
	if err == nil || !strings.Contains(err.Error(), "stores[0].driver: is for tables alone") {
		t.Errorf("driver of mem0: error %v", err)
	}
}
