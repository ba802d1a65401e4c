package main

import (
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"
)

// walk passes on what each statement of a file does to texts.
func (f *flow) walk(file *ast.File) {
	var in []any // the functions around
	var nodes []ast.Node
	ast.Inspect(file, func(n ast.Node) bool {
		if n == nil {
			switch nodes[len(nodes)-1].(type) {
			case *ast.FuncDecl, *ast.FuncLit:
				in = in[:len(in)-1]
			}
			nodes = nodes[:len(nodes)-1]
			return true
		}
		nodes = append(nodes, n)
		switch n := n.(type) {
		case *ast.FuncDecl:
			in = append(in, f.info.Defs[n.Name])
		case *ast.FuncLit:
			in = append(in, n)
		case *ast.ReturnStmt:
			f.returns(in[len(in)-1], n)
		case *ast.AssignStmt:
			f.assign(n.Lhs, n.Rhs)
		case *ast.ValueSpec:
			names := make([]ast.Expr, len(n.Names))
			for i, id := range n.Names {
				names[i] = id
			}
			f.assign(names, n.Values)
		case *ast.RangeStmt:
			f.ranges(n)
		case *ast.CallExpr:
			f.call(n)
		case *ast.CompositeLit:
			f.class(n)
		}
		return true
	})
}

func (f *flow) assign(to, from []ast.Expr) {
	for i, l := range to {
		switch {
		case len(from) == len(to):
			f.put(l, f.class(from[i]), from[i].Pos())
		case len(from) == 1:
			p := f.class(from[0])
			if call, ok := ast.Unparen(from[0]).(*ast.CallExpr); ok {
				p = f.results(call, i)
			}
			f.put(l, p, from[0].Pos())
		}
	}
}

// put raises what an expression stands for: a variable, a field, or the
// container of an element.
func (f *flow) put(e ast.Expr, p purity, at token.Pos) {
	f.raise(f.root(e), p, at)
}

func (f *flow) root(e ast.Expr) any {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		if v, ok := f.object(e).(*types.Var); ok {
			return v
		}
	case *ast.SelectorExpr:
		if v, ok := f.object(e.Sel).(*types.Var); ok {
			return v
		}
	case *ast.IndexExpr:
		return f.root(e.X)
	case *ast.SliceExpr:
		return f.root(e.X)
	case *ast.StarExpr:
		return f.root(e.X)
	case *ast.UnaryExpr:
		return f.root(e.X)
	}
	return nil
}

// keys is how bad the keys of a map are, if it is a literal.
func (f *flow) keys(e ast.Expr) purity {
	lit, ok := e.(*ast.CompositeLit)
	if !ok {
		return dirty
	}
	worst := clean
	for _, x := range lit.Elts {
		if kv, ok := x.(*ast.KeyValueExpr); ok {
			worst = max(worst, f.class(kv.Key))
		}
	}
	return worst
}

func (f *flow) object(id *ast.Ident) types.Object {
	if o := f.info.Defs[id]; o != nil {
		return o
	}
	return f.info.Uses[id]
}

func (f *flow) ranges(n *ast.RangeStmt) {
	p := f.class(n.X)
	t := f.info.Types[n.X].Type
	if t == nil {
		return
	}
	switch t := t.Underlying().(type) {
	case *types.Signature, *types.Chan:
		p = dirty
	case *types.Basic:
		if t.Kind() == types.Invalid {
			p = dirty
		}
	}
	if n.Value != nil {
		f.put(n.Value, p, n.X.Pos())
	}
	if _, ok := t.Underlying().(*types.Map); ok {
		p = f.keys(n.X)
	}
	if n.Key != nil {
		f.put(n.Key, p, n.X.Pos())
	}
}

func (f *flow) returns(fn any, n *ast.ReturnStmt) {
	var results *types.Tuple
	switch fn := fn.(type) {
	case *types.Func:
		results = fn.Signature().Results()
	case *ast.FuncLit:
		results = f.signature(fn).Results()
	}
	for i := range results.Len() {
		p := f.of[results.At(i)]
		switch call, _ := ast.Unparen(first(n.Results)).(*ast.CallExpr); {
		case len(n.Results) == results.Len():
			p = f.class(n.Results[i])
		case call != nil:
			p = f.results(call, i)
		}
		f.raise(result{fn, i}, p, n.Pos())
	}
}

// become remembers that a parameter can be a function.
func (f *flow) become(param *types.Var, e ast.Expr) {
	var fn any
	switch e := ast.Unparen(e).(type) {
	case *ast.FuncLit:
		fn = e
	case *ast.Ident:
		fn, _ = f.info.Uses[e].(*types.Func)
	case *ast.SelectorExpr:
		fn, _ = f.info.Uses[e.Sel].(*types.Func)
	}
	if fn == nil || fn == (*types.Func)(nil) || f.values[param][fn] {
		return
	}
	if f.values[param] == nil {
		f.values[param] = map[any]bool{}
	}
	f.values[param][fn], f.changed = true, true
}

func first(all []ast.Expr) ast.Expr {
	if len(all) == 0 {
		return nil
	}
	return all[0]
}

// call passes arguments on to parameters, and to what a call writes into.
func (f *flow) call(n *ast.CallExpr) {
	if _, sig := f.callee(n); sig != nil {
		params := sig.Params()
		for i, a := range n.Args {
			if k := min(i, params.Len()-1); k >= 0 {
				f.raise(params.At(k), f.class(a), a.Pos())
				f.become(params.At(k), a)
			}
		}
		return
	}
	name, pkg := f.external(n)
	writes := pkg == "fmt" && strings.HasPrefix(name, "Fprint")
	if sel, ok := n.Fun.(*ast.SelectorExpr); ok && strings.HasPrefix(name, "Write") {
		f.put(sel.X, f.worst(n.Args), n.Pos())
	}
	for i, a := range n.Args {
		to, ok := ast.Unparen(a).(*ast.UnaryExpr)
		switch {
		case writes && i == 0:
			f.put(a, f.worst(n.Args[1:]), n.Pos())
		case ok && to.Op == token.AND: // filled by someone else
			f.put(to.X, dirty, a.Pos())
			f.fill(f.info.Types[to.X].Type, a.Pos())
		}
	}
}

// fill makes dirty what is read into a value of a type, but for live schemas,
// whose texts are names.
func (f *flow) fill(t types.Type, at token.Pos) {
	switch u := t.(type) {
	case *types.Slice:
		f.fill(u.Elem(), at)
	case *types.Pointer:
		f.fill(u.Elem(), at)
	case *types.Named:
		if o := u.Obj(); o.Pkg() == nil || slices.Contains(mapped(), o.Pkg().Name()+"."+o.Name()) {
			return
		}
		f.fill(u.Underlying(), at)
	case *types.Struct:
		for i := range u.NumFields() {
			f.raise(u.Field(i), dirty, at)
		}
	}
}

// class is how bad a text is, or the worst text in a list.
func (f *flow) class(e ast.Expr) purity {
	t := f.info.Types[e]
	if t.Value != nil {
		return clean
	}
	if t.Type != nil {
		if b, ok := t.Type.Underlying().(*types.Basic); ok && b.Info()&types.IsString == 0 && b.Kind() != types.Invalid {
			return clean // a number or a truth
		}
	}
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return f.ofObject(e)
	case *ast.SelectorExpr:
		return f.ofObject(e.Sel)
	case *ast.BinaryExpr:
		return max(f.class(e.X), f.class(e.Y))
	case *ast.StarExpr:
		return f.class(e.X)
	case *ast.UnaryExpr:
		return f.class(e.X)
	case *ast.IndexExpr:
		return f.class(e.X)
	case *ast.SliceExpr:
		return f.class(e.X)
	case *ast.TypeAssertExpr:
		return f.class(e.X)
	case *ast.CompositeLit:
		return f.literal(e)
	case *ast.CallExpr:
		return f.results(e, 0)
	case *ast.FuncLit, *ast.ArrayType, *ast.MapType:
		return clean
	}
	return dirty
}

func (f *flow) ofObject(id *ast.Ident) purity {
	switch o := f.object(id).(type) {
	case *types.Var:
		return f.of[o.Origin()]
	case *types.Const, *types.Nil, *types.Func:
		return clean
	}
	return dirty
}

// literal puts values into fields, and is the worst of a list's.
func (f *flow) literal(e *ast.CompositeLit) purity {
	worst := clean
	s, isStruct := types.Type(nil), false
	if t := f.info.Types[e].Type; t != nil {
		s = t.Underlying()
		if p, ok := s.(*types.Pointer); ok {
			s = p.Elem().Underlying()
		}
		_, isStruct = s.(*types.Struct)
	}
	for i, x := range e.Elts {
		key, value := ast.Expr(nil), x
		if kv, ok := x.(*ast.KeyValueExpr); ok {
			key, value = kv.Key, kv.Value
		}
		switch id, _ := key.(*ast.Ident); {
		case isStruct && id != nil:
			f.raise(f.object(id), f.class(value), value.Pos())
		case isStruct:
			f.raise(s.(*types.Struct).Field(i), f.class(value), value.Pos())
		default:
			worst = max(worst, f.class(value))
		}
	}
	return worst
}
