package api_test

import (
	"encoding/hex"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/audit/proof"
	"lethe/jobs/api"
)

// parse returns the files of a package of the house that are no tests.
func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// constants returns the string constants of a package that pick takes, by name.
func constants(t *testing.T, dir string, pick func(name, typ string) bool) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, f := range parse(t, dir) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.CONST {
				continue
			}
			for _, spec := range g.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || len(v.Values) != 1 {
					continue
				}
				typ, _ := v.Type.(*ast.Ident)
				lit, isText := v.Values[0].(*ast.BasicLit)
				if typ == nil {
					typ = &ast.Ident{}
				}
				if isText && lit.Kind == token.STRING && pick(v.Names[0].Name, typ.Name) {
					found[v.Names[0].Name], _ = strconv.Unquote(lit.Value)
				}
			}
		}
	}
	return found
}

// TestEnumerationsAreThoseOfTheCode: wherever the document lists what may stand
// somewhere, it is what the code has constants for, no more and no less.
func TestEnumerationsAreThoseOfTheCode(t *testing.T) {
	const s = "/components/schemas/"
	typed := func(dir, typ string) map[string]string {
		return constants(t, dir, func(_, is string) bool { return is == typ })
	}
	named := func(dir, prefix string, except ...string) map[string]string {
		return constants(t, dir, func(name, is string) bool {
			return is == "" && strings.HasPrefix(name, prefix) && !slices.Contains(except, name)
		})
	}
	statuses, roles := typed("jobs", "Status"), typed("jobs", "Role")
	list := func(i string) string { return "/paths/~1v1~1requests/get/parameters/" + i + "/schema" }
	refusals := named("jobs", "Refused")
	refusals[""] = "" // of a sweep that could be run
	want := map[string]map[string]string{
		s + "Sweep/properties/state":            typed("jobs", "SweepState"),
		s + "Sweep/properties/reason":           refusals,
		s + "Request/properties/status":         statuses,
		s + "Accepted/properties/status":        statuses,
		list("0") + "/items":                    statuses,
		list("1"):                               typed("jobs", "Due"),
		s + "Request/properties/origin":         named("jobs", "Origin"),
		s + "Accepted/properties/origin":        named("jobs", "Origin"),
		s + "StoreProgress/properties/stage":    typed("jobs", "Stage"),
		s + "StoreProgress/properties/evidence": typed("store", "Evidence"),
		s + "Excess/properties/code":            named("jobs", "Beyond"),
		s + "Hold/properties/state":             typed("jobs", "HoldState"),
		s + "Token/properties/role":             roles,
		s + "NewToken/properties/role":          roles,
		s + "StoreState/properties/state":       named("jobs/api", "Store"),
		s + "Finding/properties/level":          named("jobs/api", "Level"),
		s + "Checkup/properties/level":          named("jobs/api", "Level"),
		"/paths/~1v1~1tokens/post/requestBody/content/application~1json/schema/properties/role": roles,
		"/paths/~1v1~1requests~1{id}~1certificate/get/parameters/1/schema":                      {"": "newest"},
		"/paths/~1v1~1requests~1{id}~1receipt/get/parameters/1/schema":                          {"": "newest"},
	}
	enums := document(t).Enums()
	delete(enums, s+"Problem/properties/code") // see below
	for at, values := range enums {
		var code []string
		for _, v := range want[at] {
			code = append(code, v)
		}
		slices.Sort(code)
		slices.Sort(values)
		if diff := cmp.Diff(code, values); diff != "" {
			t.Errorf("%s (-code +document):\n%s", at, diff)
		}
		delete(want, at)
	}
	for at := range want {
		t.Errorf("%s is no enumeration", at)
	}
}

// TestEveryCodeOfAProblemIsDocumented reads the source for codes that a Problem or
// a jobs.NotNow is made with.
func TestEveryCodeOfAProblemIsDocumented(t *testing.T) {
	codes := constants(t, "jobs/api", func(name, _ string) bool { return strings.HasPrefix(strings.ToLower(name), "code") })
	made := map[string]bool{}
	note := func(e ast.Expr) {
		switch e := e.(type) {
		case *ast.BasicLit:
			if text, err := strconv.Unquote(e.Value); err == nil && text != "" {
				made[text] = true
			}
		case *ast.Ident:
			if v, ok := codes[e.Name]; ok {
				made[v] = true
			}
		}
	}
	for _, dir := range []string{"jobs", "jobs/ledger", "jobs/api"} {
		for _, f := range parse(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					return n.Name.Name != "told" // the list itself
				case *ast.CallExpr:
					if name, ok := n.Fun.(*ast.Ident); ok && name.Name == "problem" && len(n.Args) == 3 {
						note(n.Args[1])
					}
				case *ast.CompositeLit:
					if name, ok := n.Type.(*ast.Ident); ok && name.Name == "NotNow" {
						note(n.Elts[0])
					}
				case *ast.KeyValueExpr:
					if name, ok := n.Key.(*ast.Ident); ok && name.Name == "Code" && dir != "jobs" {
						note(n.Value)
					}
				}
				return true
			})
		}
	}
	for _, code := range api.AnswerCodes() {
		made[code] = true
	}
	for code := range made {
		if !slices.Contains(document(t).Enums()["/components/schemas/Problem/properties/code"], code) {
			t.Errorf("%s is not documented", code)
		}
	}
	for _, code := range document(t).Enums()["/components/schemas/Problem/properties/code"] {
		if !made[code] {
			t.Errorf("%s is documented, and nobody answers it", code)
		}
	}
}

// TestFilesThatAreShownVerify: what the document shows of receipts, certificates
// and memory proofs is not made up.
func TestFilesThatAreShownVerify(t *testing.T) {
	file := func(name string) []byte {
		b, err := os.ReadFile("examples/" + name + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	keys, err := proof.ParseKeys(file("keys"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"receipt", "certificate"} {
		if _, err := proof.Verify(file(name), keys); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := proof.OpenHead(file("checkpoint"), keys); err != nil {
		t.Errorf("checkpoint: %v", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(file("subject-key"))))
	if err != nil {
		t.Fatal(err)
	}
	verify := func(certificate []byte) (*proof.Result, error) { return proof.Verify(certificate, keys) }
	for memory, proves := range map[string]bool{"432f76d3-88f4-485b-b261-2658c2010e4a": true, "432f76d3-88f4-485b-b261-2658c2010e4b": false} {
		if _, outcome, err := proof.VerifyMemory(file("memory-proof"), verify, key, memory); (err == nil) != proves || proves && !strings.Contains(outcome, "erased") {
			t.Errorf("memory proof of %s: %q, %v", memory, outcome, err)
		}
	}
}
