package tables

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Check implements store.Checker. It reports every table, column and trigger
// of every file.
func (s *Store) Check(ctx context.Context) ([]store.Finding, error) {
	var findings []store.Finding
	for i, f := range s.files {
		more, err := s.checkFile(ctx, f, schemaName(i, f))
		if err != nil {
			return nil, fmt.Errorf("check: file %s: %w", f.Name, err)
		}
		findings = append(findings, more...)
	}
	return findings, nil
}

func (s *Store) checkFile(ctx context.Context, f File, schema string) ([]store.Finding, error) {
	l, err := inspect(ctx, s.readers, schema)
	if err != nil {
		return nil, err
	}
	sights, err := sightsOf(ctx, s.readers, l, schema)
	if err != nil {
		return nil, err
	}
	c := coverage{waived: s.m.Waived, same: strings.EqualFold, unfound: "no exact index finds it: it is read whole when others have written, and its keys are kept in memory"}
	if len(s.files) > 1 || len(s.m.Elsewhere) > 0 {
		c.prefix = f.Name + "."
	}
	for _, p := range s.m.Places {
		if p.File == f.Name {
			c.places = append(c.places, p)
		}
	}
	findings := c.findings(sights)
	for _, p := range c.places {
		t, ok := l.table(p.Table)
		if !ok {
			findings = append(findings, missing(p, c.prefix))
			continue
		}
		if text := s.m.problem(p, t); text != "" {
			i := slices.IndexFunc(findings, func(f store.Finding) bool { return f.Table == c.prefix+p.Table })
			findings[i].Problem = fmt.Sprintf("%s, found %s", text, t)
		}
	}
	return findings, nil
}

// missing reports a table that the map wants and the file has not.
func missing(p Place, prefix string) store.Finding {
	f := store.Finding{Place: p.Name, Table: prefix + p.Table}
	if p.Optional {
		f.Waived = "not there, which is allowed"
	} else {
		f.Problem = "missing"
	}
	return f
}

// sightsOf looks at all that a file has. Each question is one statement for the
// whole file.
func sightsOf(ctx context.Context, q sqlx.QueryerContext, l liveFile, schema string) ([]sight, error) {
	var (
		kinds, triggers []pair
		refers          []reference
	)
	for _, ask := range []struct {
		into any
		sql  string
	}{
		{&kinds, `SELECT name AS a, type AS b FROM pragma_table_list WHERE schema = ?1`},
		{&refers, `SELECT m.name AS tbl, f."from" AS col, f."table" AS ref, f.on_delete AS action
			FROM pragma_table_list m, pragma_foreign_key_list(m.name, ?1) f WHERE m.schema = ?1 AND m.type = 'table' AND f.seq = 0`},
	} {
		if err := sqlx.SelectContext(ctx, q, ask.into, ask.sql, strings.Trim(schema, `"`)); err != nil {
			return nil, coded(err)
		}
	}
	if err := sqlx.SelectContext(ctx, q, &triggers, "SELECT tbl_name AS a, name AS b FROM "+schema+".sqlite_master WHERE type = 'trigger'"); err != nil {
		return nil, coded(err)
	}
	var sights []sight
	reads := newDDL()
	for _, t := range l.tables {
		if t.Type == "trigger" {
			continue
		}
		seen := sight{name: t.Name, columns: reads.columns(t), triggers: seconds(triggers, t.Name), finds: t.finds}
		for _, r := range refers {
			if r.Table == t.Name {
				seen.refers = append(seen.refers, r)
			}
		}
		seen.specially(seconds(kinds, t.Name), kinds)
		sights = append(sights, seen)
	}
	return sights, nil
}

// A pair is a table's name and something of it.
type pair struct {
	A string `db:"a"`
	B string `db:"b"`
}

// seconds are the second parts of those pairs whose first one is the table.
func seconds(pairs []pair, table string) (of []string) {
	for _, p := range pairs {
		if strings.EqualFold(p.A, table) {
			of = append(of, p.B)
		}
	}
	return of
}

// specially says what is peculiar to some kinds of tables.
func (t *sight) specially(kind []string, kinds []pair) {
	if len(kind) > 0 && kind[0] != "table" {
		t.kind = kind[0]
	}
	switch {
	case t.kind == "view":
		t.harmless = "a view holds nothing itself"
	case t.kind == "virtual":
		t.kind = "virtual table"
		t.keeps = "a virtual table keeps copies of texts, an index of full text for one, and erasing rows elsewhere may leave them: " +
			"let triggers of the application follow deletions, then waive it; or map what it indexes and rebuild it"
	case t.kind == "shadow":
		t.kind = "shadow table"
		for _, k := range kinds {
			if k.B == "virtual" && strings.HasPrefix(t.name, k.A+"_") && len(k.A) > len(t.of) {
				t.of = k.A
			}
		}
		t.keeps = "holds what the virtual table " + t.of + " indexes: see there"
	case t.name == "sqlite_sequence":
		t.harmless = "the last row number of each table"
	case t.name == "sqlite_stat1":
		t.harmless = "row counts"
	case t.name == "sqlite_stat3", t.name == "sqlite_stat4":
		t.keeps = "keeps samples of indexed values until the next ANALYZE: run ANALYZE after erasures, and waive it"
	}
}

// A ddl reads what stands only in the text of a table.
type ddl struct {
	collation *regexp.Regexp // of a definition
	name      *regexp.Regexp // that a definition begins with, in one of five ways to quote it

	// harmless matches the declared types of columns that are meant for numbers
	// and times. All others may hold texts, documents or vectors.
	harmless *regexp.Regexp
}

func newDDL() ddl {
	return ddl{
		collation: regexp.MustCompile("(?i)\\bCOLLATE\\s+[\"'`\\[]?(\\w+)"),
		name:      regexp.MustCompile("(?s)^(?:\\s|--[^\n]*\n|/\\*.*?\\*/)*(?:\"((?:[^\"]|\"\")*)\"|`([^`]*)`|\\[([^\\]]*)\\]|'([^']*)'|([^\\s(]+))"),
		harmless: regexp.MustCompile(`(?i)^(unsigned +)?(big +|tiny|small|medium|big)?` +
			`(int|integer|int2|int4|int8|serial|bigserial|real|double|double precision|float|numeric|decimal|number|money|bool|boolean|bit|` +
			`date|datetime|time|timestamp|timestamptz|year)( *\([0-9, ]*\))?( +unsigned)?( +with(out)? time zone)?$`),
	}
}

// columns are a table's columns, with what their definitions say.
func (d ddl) columns(t liveTable) []sightColumn {
	definitions := d.definitions(t.SQL)
	columns := make([]sightColumn, len(t.columns))
	for i, c := range t.columns {
		collation := d.collation.FindStringSubmatch(definitions[strings.ToLower(c.Name)])
		columns[i] = sightColumn{
			name: c.Name, text: !d.harmless.MatchString(strings.TrimSpace(c.Type)),
			folds: collation != nil && !strings.EqualFold(collation[1], "BINARY"),
		}
	}
	return columns
}

// definitions are the texts of a CREATE TABLE between its commas, by the name
// that each begins with, in lower case.
func (d ddl) definitions(sql string) map[string]string {
	found := map[string]string{}
	depth, from, quoted := 0, 0, byte(0)
	add := func(text string) {
		name := d.name.FindStringSubmatch(text)
		if name != nil {
			found[strings.ToLower(strings.ReplaceAll(strings.Join(name[1:], ""), `""`, `"`))] = text
		}
	}
	for i := range len(sql) {
		switch b := sql[i]; {
		case quoted != 0:
			if b == quoted {
				quoted = 0
			}
		case b == '"', b == '\'', b == '`':
			quoted = b
		case b == '[':
			quoted = ']'
		case b == '(':
			if depth++; depth == 1 {
				from = i + 1
			}
		case b == ')', b == ',' && depth == 1:
			if depth == 1 {
				add(sql[from:i])
				from = i + 1
			}
			if b == ')' {
				depth--
			}
		}
	}
	return found
}
