//go:build !torture

package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// asksTheLab reports whether a call is one of audit/fault's, or of what store/mem0/web
// has in its place.
func asksTheLab(call *ast.CallExpr) bool {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name == "bug"
	case *ast.SelectorExpr:
		pkg, ok := f.X.(*ast.Ident)
		return ok && (pkg.Name == "fault" || pkg.Name == "lab") && f.Sel.Name != "Pace" // which has no name
	}
	return false
}

// faultNames returns the names of all fault points and planted bugs in the
// tree's sources, the lab's own left out.
func faultNames(t *testing.T, tree fs.FS) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return skipDir(tree, name)
		case path.Ext(name) != ".go", strings.HasSuffix(name, "_test.go"), strings.HasPrefix(name, "cmd/torture/"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if !asksTheLab(call) || len(call.Args) == 0 {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Errorf("%s: the name of a fault point is not written out", name)
				return true
			}
			point, err := strconv.Unquote(lit.Value)
			if err != nil || !strings.Contains(point, "/") {
				t.Errorf("%s: a fault point is called %s: want floor/what-happens", name, lit.Value)
			}
			names[point] = true
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestAReleasedBinaryHasNoFaultPoints: this test is in a binary that has all of
// the service in it, and was built without the tag.
func TestAReleasedBinaryHasNoFaultPoints(t *testing.T) {
	t.Parallel()
	names := faultNames(t, os.DirFS("../.."))
	if len(names) < 30 {
		t.Fatalf("only %d fault points found in the sources", len(names))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(binary, []byte("lethe_reconciler_requeued_total")) {
		t.Fatal("the service is not in this binary: nothing would be found")
	}
	for name := range names {
		if bytes.Contains(binary, []byte(name)) {
			t.Errorf("the fault point %s is in the binary", name)
		}
	}
	reads := strings.Join([]string{"LETHE", "FAULT", "HITS"}, "_") // not as it would stand in this binary
	if bytes.Contains(binary, []byte(reads)) {
		t.Errorf("what reads %s is in the binary", reads)
	}
}
