package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// floors is the law of the house: which of our packages each may import.
// Imports run downward only, and a package that is not here has no floor yet.
func floors() map[string][]string {
	return map[string][]string{
		"store":           {},
		"store/tables":    {"store"},
		"store/mem0":      {"store", "store/tables"},
		"store/storetest": {"store"},

		"store/mem0/web":     {"store"},
		"store/mem0/webtest": {},

		"audit/proof":     {},
		"audit/keyfile":   {"audit/proof"},
		"audit/fault":     {},
		"audit":           {"audit/proof", "audit/fault"},
		"audit/audittest": {},

		"audit/durable": {"audit/fault"},
		"audit/witness": {"audit/proof", "audit/durable"},
		"audit/stamp":   {"audit/proof"},
		"audit/anchor":  {"audit/durable"},

		"jobs":         {"store", "audit", "audit/proof", "audit/fault"},
		"jobs/keyring": {"jobs", "audit/fault"},
		"jobs/ledger":  {"jobs", "jobs/keyring", "store", "audit", "audit/proof", "audit/fault"},
		"jobs/queue":   {"jobs", "audit/fault"},

		"jobs/queue/queuetest": {},

		"jobs/webhook": {"jobs", "audit/fault"},
		"jobs/trace":   {"jobs"},

		"jobs/trace/tracetest": {},

		"jobs/api":         {"jobs", "store", "audit/fault"},
		"jobs/api/apitest": {},

		"jobs/api/mem0": {"jobs", "jobs/api", "store"},
		"jobs/console":  {"jobs", "store"},

		"worker": {"jobs", "store", "audit", "audit/proof", "audit/fault"},

		"deploy/grafana/board": {},
		"deploy/grafana":       {"deploy/grafana/board"},

		"cmd/lethe-verify": {"audit/proof"},
		"cmd/lethe":        {"worker", "jobs", "jobs/*", "jobs/api/mem0", "store", "store/*", "store/mem0/*", "audit", "audit/*"},
		"cmd/torture":      {"worker", "jobs", "jobs/*", "store", "store/*", "store/mem0/*", "store/mem0/*", "audit", "audit/*"},
	}
}

// A guest is an import from outside and the packages that may have it in.
type guest struct {
	name   string
	banned func(pkg, imported string) bool
}

func guests() []guest {
	under := func(p, dir string) bool { return p == dir || strings.HasPrefix(p, dir+"/") }
	return []guest{
		{"asynq may be imported in jobs/queue alone", func(pkg, imp string) bool {
			return under(imp, "github.com/hibiken/asynq") && pkg != "jobs/queue"
		}},
		{"opentelemetry may be imported in jobs/trace alone", func(pkg, imp string) bool {
			return under(imp, "go.opentelemetry.io") && !under(pkg, "jobs/trace")
		}},
		{"prometheus may not be imported by store, audit or the verifier", func(pkg, imp string) bool {
			return under(imp, "github.com/prometheus") && (under(pkg, "store") || under(pkg, "audit") || pkg == "cmd/lethe-verify")
		}},
		{"what strangers check may import only the standard library without cgo, database and network, and x/mod", func(pkg, imp string) bool {
			std := !strings.Contains(strings.Split(imp, "/")[0], ".")
			refused := imp == "C" || under(imp, "database/sql") || under(imp, "net") || under(imp, "plugin")
			return pkg == "audit/proof" && !under(imp, "lethe") && (refused || !std && !under(imp, "golang.org/x/mod"))
		}},
		{"the verifier may not import cgo, a database or the network", func(pkg, imp string) bool {
			return pkg == "cmd/lethe-verify" && (imp == "C" || under(imp, "database/sql") || under(imp, "net") || under(imp, "crypto/tls"))
		}},
	}
}

const maxFileLines = 400

// inspect returns every breach of the law in the tree.
func inspect(tree fs.FS) ([]string, error) {
	var breaches []string
	documented := make(map[string]bool)
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(tree, name)
		case path.Ext(name) != ".go":
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
			breaches = append(breaches, fmt.Sprintf("%s: %d lines, %d at most", name, n, maxFileLines))
		}
		if strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		pkg := path.Dir(name)
		documented[pkg] = documented[pkg] || file.Doc != nil
		breaches = append(breaches, inspectFile(name, pkg, file)...)
		return nil
	})
	for pkg, ok := range documented {
		if !ok {
			breaches = append(breaches, pkg+": package has no doc comment")
		}
	}
	slices.Sort(breaches)
	return breaches, err
}

// skipDir leaves out what is not the main module's source.
func skipDir(tree fs.FS, name string) error {
	base := path.Base(name)
	if name != "." && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin") {
		return fs.SkipDir
	}
	if _, err := fs.Stat(tree, path.Join(name, "go.mod")); name != "." && err == nil {
		return fs.SkipDir
	}
	return nil
}

func inspectFile(name, pkg string, file *ast.File) []string {
	var breaches []string
	say := func(format string, args ...any) {
		breaches = append(breaches, name+": "+fmt.Sprintf(format, args...))
	}
	if slices.Contains([]string{"util", "utils", "helper", "helpers", "types", "common", "base", "misc"}, file.Name.Name) {
		say("package %s: name it for what it does", file.Name.Name)
	}
	allowed, ok := floors()[pkg]
	if !ok {
		say("package %s has no floor: give it one in cmd/lethe/floors_test.go", pkg)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			say("import %s: %v", spec.Path.Value, err)
			continue
		}
		ours, isOurs := strings.CutPrefix(imported, "lethe/")
		if ok && isOurs && !slices.Contains(allowed, ours) && !slices.Contains(allowed, path.Dir(ours)+"/*") {
			say("%s may not import %s", pkg, imported)
		}
		for _, g := range guests() {
			if g.banned(pkg, imported) {
				say("imports %s: %s", imported, g.name)
			}
		}
	}
	return breaches
}

func TestTheHouseKeepsItsFloors(t *testing.T) {
	root := os.DirFS("../..")
	mod, err := fs.ReadFile(root, "go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(mod, []byte("module lethe\n")) {
		t.Error("go.mod: the module's path is not lethe")
	}
	breaches, err := inspect(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range breaches {
		t.Error(b)
	}
}

func TestABreachOfTheFloorsIsSeen(t *testing.T) {
	for _, tt := range []struct{ file, text, want string }{
		{"store/up.go", `import "lethe/jobs"`, "store/up.go: store may not import lethe/jobs"},
		{"audit/side.go", `import "lethe/store"`, "audit/side.go: audit may not import lethe/store"},
		{"jobs/up.go", `import "lethe/worker"`, "jobs may not import lethe/worker"},
		{"jobs/api/door.go", `import "lethe/jobs/ledger"`, "jobs/api may not import lethe/jobs/ledger"},
		{"worker/key.go", `import "lethe/audit/keyfile"`, "worker may not import lethe/audit/keyfile"},
		{"worker/adapter.go", `import "lethe/store/mem0"`, "worker may not import lethe/store/mem0"},
		{"worker/bell.go", `import "github.com/hibiken/asynq"`, "asynq may be imported in jobs/queue alone"},
		{"worker/span.go", `import "go.opentelemetry.io/otel/trace"`, "opentelemetry may be imported in jobs/trace alone"},
		{"store/tables/m.go", `import "github.com/prometheus/client_golang/prometheus"`, "prometheus may not"},
		{"audit/proof/db.go", `import "database/sql"`, "what strangers check"},
		{"audit/proof/net.go", `import "net/http"`, "what strangers check"},
		{"audit/proof/c.go", `import "C"`, "what strangers check"},
		{"audit/proof/guest.go", `import "github.com/google/uuid"`, "what strangers check"},
		{"cmd/lethe-verify/a.go", `import "lethe/audit"`, "cmd/lethe-verify may not import lethe/audit"},
		{"cmd/lethe-verify/c.go", `import "C"`, "the verifier may not"},
		{"cmd/lethe-verify/get.go", `import "net"`, "the verifier may not"},
		{"jobs/fifth/new.go", ``, "package jobs/fifth has no floor"},
		{"store/long.go", strings.Repeat("//\n", maxFileLines), "store/long.go: 402 lines"},
		{"jobs/long_test.go", strings.Repeat("//\n", maxFileLines), "jobs/long_test.go: 402 lines"},
	} {
		tree := fstest.MapFS{tt.file: {Data: []byte("// Package x is documented.\npackage x\n" + tt.text)}}
		breaches, err := inspect(tree)
		if err != nil || len(breaches) != 1 || !strings.Contains(breaches[0], tt.want) {
			t.Errorf("%s with %.60q: %v, %v\nwant one breach: %s", tt.file, tt.text, breaches, err, tt.want)
		}
	}
	breaches, err := inspect(fstest.MapFS{"jobs/utils.go": {Data: []byte("package utils\n")}})
	if err != nil || len(breaches) != 2 {
		t.Errorf("undocumented package utils: %v, %v, want two breaches", breaches, err)
	}
	sound := fstest.MapFS{
		"audit/proof/a.go":       {Data: []byte("// Package proof is sound.\npackage proof\nimport \"golang.org/x/mod/sumdb/note\"\nimport \"crypto/sha256\"")},
		".tools/x.go":            {Data: []byte("package utils")},
		"store/testdata/bad.go":  {Data: []byte("package utils")},
		"deploy/validate/go.mod": {Data: []byte("module lethe/validate")},
		"deploy/validate/x.go":   {Data: []byte("package utils")},
	}
	if breaches, err := inspect(sound); err != nil || len(breaches) != 0 {
		t.Errorf("a sound tree: %v, %v", breaches, err)
	}
}
