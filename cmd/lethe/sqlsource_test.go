package main

import (
	"fmt"
	"go/ast"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// sqlArgument says which argument of a call is SQL, -1 if none is: of methods of
// database/sql, sqlx and the drivers, and of sqlx's functions of the same names.
func sqlArgument(name, pkg string) int {
	context := strings.HasSuffix(name, "Context")
	var at int
	switch strings.TrimSuffix(name, "Context") {
	case "Query", "QueryRow", "Queryx", "QueryRowx", "Exec", "MustExec", "Prepare", "Preparex", "PrepareNamed", "NamedExec", "NamedQuery":
		at = 0
	case "Get", "Select":
		at = 1
	default:
		return -1
	}
	if context {
		at++
	}
	if pkg == "github.com/jmoiron/sqlx" {
		at++
	}
	return at
}

// exceptions are functions whose SQL is not made of constants, each with the
// reason why it may be so.
func exceptions() map[string]string {
	return map[string]string{
		"audit/grant.go Grant": "GRANT binds no parameters: the role is an identifier that was checked and quoted, the schema is quoted by the server",
		"audit/tx.go add":      "no SQL: the argument of a prepared statement",
	}
}

// sqlBreaches returns every call whose SQL is not made of constants of the
// program. In store/tables it may also hold quoted names of the data map.
func sqlBreaches(tree fs.FS) (breaches []string, calls int, err error) {
	f, err := followTexts(tree)
	if err != nil {
		return nil, 0, err
	}
	for _, file := range f.files {
		for _, d := range file.Decls {
			decl, _ := d.(*ast.FuncDecl)
			ast.Inspect(d, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || f.function(call) != nil {
					return true
				}
				name, pkg := f.external(call)
				at := sqlArgument(name, pkg)
				if at < 0 || len(call.Args) <= at || strings.HasPrefix(pkg, "net") {
					return true
				}
				sql := call.Args[at]
				if id, ok := sql.(*ast.Ident); ok && id.Name == "ctx" {
					return true // of another Exec
				}
				calls++
				if f.class(sql) > clean {
					where := f.fset.Position(sql.Pos())
					in := where.Filename
					if decl != nil {
						in += " " + decl.Name.Name
					}
					breaches = append(breaches, fmt.Sprintf("%s: SQL in line %d is not made of constants: %s", in, where.Line, f.origin(sql)))
				}
				return true
			})
		}
	}
	slices.Sort(breaches)
	return breaches, calls, nil
}

// origin says where the variables of an expression became what they are.
func (f *flow) origin(e ast.Expr) string {
	var from []string
	ast.Inspect(e, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			if o := f.object(id); o != nil && f.of[o] > clean {
				from = append(from, id.Name+" from "+f.at(f.why[o]))
			}
		}
		return true
	})
	return strings.Join(from, ", ")
}

func (f *flow) open(name string) (io.ReadCloser, error) { return f.tree.Open(filepath.ToSlash(name)) }

func TestSQLIsMadeOfConstantsAndQuotedNamesOfTheMap(t *testing.T) {
	breaches, calls, err := sqlBreaches(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if calls < 150 {
		t.Errorf("%d calls with SQL seen: the walk has lost its way", calls)
	}
	unused := exceptions()
	for _, b := range breaches {
		in, _, _ := strings.Cut(b, ": ")
		if exceptions()[in] == "" {
			t.Error(b)
		}
		delete(unused, in)
	}
	for in := range unused {
		t.Errorf("%s: is an exception that nobody needs", in)
	}
}

// planted is the source of store and store/tables with one more file.
func planted(t *testing.T, name, text string) fstest.MapFS {
	t.Helper()
	tree := fstest.MapFS{name: {Data: []byte(text)}}
	for _, dir := range []string{"store", "store/tables"} {
		files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tree[dir+"/"+filepath.Base(file)] = &fstest.MapFile{Data: b}
		}
	}
	return tree
}

func TestNoTextOfARequestCanBePlantedInSQL(t *testing.T) {
	const head = "package tables\nimport (\"context\"; \"fmt\"; \"strings\"; \"slices\"; \"lethe/store\"; \"github.com/jmoiron/sqlx\")\n" +
		"func (s *Store) bad(ctx context.Context, sel store.Selector, ids []store.ID, p *part, db *sqlx.DB) {\n"
	bad := map[string]string{
		"a field":          `texts(ctx, s.readers, "SELECT '"+sel.UserID+"'")`,
		"as a literal":     `texts(ctx, s.readers, "SELECT "+literal(sel.UserID))`,
		"a key, quoted":    `for _, id := range ids { exec(ctx, nil, "DELETE FROM t WHERE id = "+quote(id.Key)) }`,
		"an ID as text":    `texts(ctx, s.readers, "SELECT "+ids[0].String())`,
		"in a builder":     `var b strings.Builder; for _, f := range sel.Identity() { fmt.Fprintf(&b, "%s = 1 AND ", f.Value) }; texts(ctx, s.readers, b.String())`,
		"written":          `var b strings.Builder; b.WriteString(sel.RunID); db.Exec(b.String())`,
		"a value":          `for _, k := range sel.MetadataKeys() { db.ExecContext(ctx, fmt.Sprintf("SELECT %s", sel.Metadata[k].Literal())) }`,
		"in a condition":   `var c condition; c.and("x = " + sel.AgentID); db.Get(nil, "SELECT 1 WHERE "+c.sql)`,
		"in a list":        `all := []string{"1"}; all = append(all, sel.IDs...); db.Select(nil, "SELECT "+strings.Join(slices.Clone(all), ","))`,
		"by a closure":     `f := func(s string) string { return "x" + s }; db.Query(f(sel.UserID))`,
		"by a parameter":   `s.bad2(ctx, sel.UserID)`,
		"a bare name":      `texts(ctx, s.readers, "SELECT 1 FROM "+p.Table)`,
		"a bare column":    `for _, c := range p.ID { texts(ctx, s.readers, "SELECT "+c+" FROM t") }`,
		"what was read":    `keys, _ := texts(ctx, s.readers, "SELECT x FROM t"); texts(ctx, s.readers, "SELECT "+quote(keys[0]))`,
		"read into a text": `var x string; db.GetContext(ctx, &x, "SELECT 1"); db.MustExec("SELECT " + x)`,
		"by sqlx":          `sqlx.GetContext(ctx, db, nil, "SELECT "+sel.UserID)`,
		"prepared":         `db.PrepareContext(ctx, "SELECT "+sel.UserID)`,
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text = head + text + "\n}\nfunc (s *Store) bad2(ctx context.Context, who string) { texts(ctx, s.readers, \"SELECT \"+who) }\n"
			if breaches, _, err := sqlBreaches(planted(t, "store/tables/bad.go", text)); err != nil || len(breaches) == 0 {
				t.Errorf("not seen, error %v", err)
			}
		})
	}
	good := head + `var c condition
		c.and("x = ?", sel.UserID)
		table := "t"
		if len(sel.IDs) > 1 { table = quote(p.Table) }
		texts(ctx, s.readers, "SELECT "+quote(p.ID[0])+" FROM "+table+" WHERE "+c.sql, c.args...)
		query, args, _ := sqlx.In("SELECT 1 WHERE x IN (?)", sel.IDs)
		db.SelectContext(ctx, nil, db.Rebind(query), args...)
		db.Exec("INSERT INTO t VALUES (?"+strings.Repeat(", ?", len(ids))+")", ids)
		db.Exec(fmt.Sprintf("SELECT %d", len(ids)))
	}`
	breaches, _, err := sqlBreaches(planted(t, "store/tables/good.go", good))
	breaches = slices.DeleteFunc(breaches, func(b string) bool {
		in, _, _ := strings.Cut(b, ": ")
		return exceptions()[in] != ""
	})
	if err != nil || len(breaches) > 0 {
		t.Errorf("sound SQL: %v, error %v", breaches, err)
	}
}

func TestSQLElsewhereHasNothingButConstants(t *testing.T) {
	for name, text := range map[string]string{
		"a parameter":    `func Bad(db *sqlx.DB, who string) { db.Exec("SELECT " + who) }`,
		"a field":        "type T struct { Who string `json:\"who\"` }\nfunc bad(db *sqlx.DB, t T) { db.Exec(\"SELECT \" + t.Who) }",
		"the world":      `func bad(db *sqlx.DB) { db.Exec("SELECT " + os.Getenv("X")) }`,
		"a format":       `func bad(db *sqlx.DB, r *http.Request) { db.Exec(fmt.Sprintf("SELECT %s", r.URL.Path)) }`,
		"an embedded DB": `type tx struct { *sqlx.Tx }` + "\n" + `func (t tx) Bad(who string) { t.MustExec(who) }`,
		"a map's key":    `func bad(db *sqlx.DB, m map[string]int) { for k := range m { db.Exec(k) } }`,
		"a quoted name":  `func quote(s string) string { return s }` + "\n" + `func Bad(db *sqlx.DB, who string) { db.Exec(quote(who)) }`,
	} {
		tree := fstest.MapFS{"jobs/bad.go": {Data: []byte("package jobs\nimport (\"os\"; \"fmt\"; \"net/http\"; \"github.com/jmoiron/sqlx\")\n" + text)}}
		if breaches, calls, err := sqlBreaches(tree); err != nil || len(breaches) != 1 || calls != 1 {
			t.Errorf("%s: %v in %d calls, error %v, want one breach", name, breaches, calls, err)
		}
	}
}
