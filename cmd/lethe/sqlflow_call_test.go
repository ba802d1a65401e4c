package main

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// pure are functions from elsewhere whose texts are made of their arguments.
func pure(pkg, name string) bool {
	return slices.Contains([]string{"strings", "slices", "maps", "cmp", "strconv"}, pkg) || pkg == "fmt" && strings.HasPrefix(name, "Sprint") ||
		name == "String"
}

// results is how bad the i-th result of a call is.
func (f *flow) results(n *ast.CallExpr, i int) purity {
	if t := f.info.Types[n.Fun]; t.IsType() || t.IsBuiltin() {
		return f.worst(n.Args)
	}
	if body, sig := f.callee(n); sig != nil {
		if fn, ok := body.(*types.Func); ok && fn.Pkg().Name() == "tables" && (fn.Name() == "quote" || fn.Name() == "literal") && f.worst(n.Args) <= named {
			return clean
		}
		return f.of[result{body, i}]
	}
	if id := calledName(n); id != nil && len(f.values[f.info.Uses[id]]) > 0 {
		worst := f.ofObject(id)
		for fn := range f.values[f.info.Uses[id]] {
			worst = max(worst, f.of[result{fn, i}])
		}
		return worst
	}
	name, pkg := f.external(n)
	switch {
	case name == "Rebind": // writes placeholders in another way
		return f.class(n.Args[len(n.Args)-1])
	case name == "In" && pkg == "github.com/jmoiron/sqlx" && i == 0: // adds placeholders
		return f.class(n.Args[0])
	case !pure(pkg, name):
		return dirty
	}
	worst := f.worst(n.Args)
	if sel, ok := n.Fun.(*ast.SelectorExpr); ok && name == "String" {
		worst = max(worst, f.class(sel.X))
	}
	return worst
}

func (f *flow) worst(all []ast.Expr) purity {
	worst := clean
	for _, e := range all {
		worst = max(worst, f.class(e))
	}
	return worst
}

// callee is what a call runs, if its body is known: a function of ours, or a
// literal that a local variable holds.
func (f *flow) callee(n *ast.CallExpr) (any, *types.Signature) {
	if fn := f.function(n); fn != nil {
		return fn, fn.Signature()
	}
	if id, ok := n.Fun.(*ast.Ident); ok && f.lits[f.info.Uses[id]] != nil {
		lit := f.lits[f.info.Uses[id]]
		return lit, f.signature(lit)
	}
	return nil, nil
}

// function is the function of ours that is called, if it is one whose body is
// known: not a variable, and not a method of an interface.
func (f *flow) function(n *ast.CallExpr) *types.Func {
	id := calledName(n)
	if id == nil {
		return nil
	}
	fn, ok := f.info.Uses[id].(*types.Func)
	if !ok || fn.Pkg() == nil || !strings.HasPrefix(fn.Pkg().Path(), "lethe") {
		return nil
	}
	if r := fn.Signature().Recv(); r != nil && types.IsInterface(r.Type()) {
		return nil
	}
	return fn.Origin()
}

// external is what else is called: a name, and the package if it is one's.
func (f *flow) external(n *ast.CallExpr) (name, pkg string) {
	id := calledName(n)
	if id == nil {
		return "", ""
	}
	if sel, ok := n.Fun.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			if p, ok := f.info.Uses[x].(*types.PkgName); ok {
				pkg = p.Imported().Path()
			}
		}
	}
	return id.Name, pkg
}
