//go:build torture

package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// faultPoints returns the names of all fault points in the sources, sorted, so
// that one that is added is tried from then on.
func faultPoints() ([]string, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	var names []string
	tree := os.DirFS(root)
	for _, top := range []string{"audit", "cmd/lethe", "jobs", "store", "worker"} {
		err := fs.WalkDir(tree, top, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := fs.ReadFile(tree, path)
			if err != nil {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if name := pointOf(n); name != "" {
					names = append(names, name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func moduleRoot() (string, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	return strings.TrimSpace(string(root)), err
}

// pointOf returns the name of the fault point that a call is, or "".
func pointOf(n ast.Node) string {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return ""
	}
	from, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Point", "Error", "Among"}, from.Sel.Name) {
		return ""
	}
	pkg, ok := from.X.(*ast.Ident)
	lit, isLit := call.Args[0].(*ast.BasicLit)
	if !ok || !isLit || pkg.Name != "fault" && pkg.Name != "lab" {
		return ""
	}
	name, _ := strconv.Unquote(lit.Value)
	return name
}
