package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// A purity is what a text is made of, from clean to worst.
type purity int

const (
	clean purity = iota // constants of the program
	named               // names that the data map or the live schema gives
	dirty               // anything: a request's values, what a database answered, what nobody here can tell
)

// A flow follows texts through the source of our packages: through variables,
// parameters, results and fields, each of which is as bad as the worst that is
// put into it anywhere. What comes from elsewhere is dirty: what a generic
// function of the standard library returns has no type here, and no fields.
type flow struct {
	tree    fs.FS
	fset    *token.FileSet
	info    *types.Info
	pkgs    map[string]*types.Package // by folder
	files   []*ast.File
	of      map[any]purity // *types.Var, result
	why     map[any]token.Pos
	called  map[types.Object]bool         // called directly, and nothing else
	lits    map[types.Object]*ast.FuncLit // of local variables that are called directly, and nothing else
	names   map[types.Object]bool         // fields of the data map: never worse than named
	values  map[types.Object]map[any]bool // the functions that a parameter can be
	changed bool
}

// A result is the i-th of a function.
type result struct {
	fn any // *types.Func or *ast.FuncLit
	i  int
}

// followTexts loads every package of the tree and follows its texts.
func followTexts(tree fs.FS) (*flow, error) {
	f := &flow{
		tree: tree, fset: token.NewFileSet(), pkgs: map[string]*types.Package{},
		of: map[any]purity{}, why: map[any]token.Pos{}, called: map[types.Object]bool{}, lits: map[types.Object]*ast.FuncLit{}, names: map[types.Object]bool{}, values: map[types.Object]map[any]bool{},
		info: &types.Info{
			Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{}, Uses: map[*ast.Ident]types.Object{},
			Selections: map[*ast.SelectorExpr]*types.Selection{}, Implicits: map[ast.Node]types.Object{},
		},
	}
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if err := skipDir(tree, name); err != nil {
			return err
		}
		_, err = f.load(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	f.begin()
	for f.changed = true; f.changed; {
		f.changed = false
		for _, file := range f.files {
			f.walk(file)
		}
	}
	return f, nil
}

// Import implements types.Importer. Packages from elsewhere are empty: what
// they return is nobody's here.
func (f *flow) Import(name string) (*types.Package, error) {
	if dir, ours := strings.CutPrefix(name, "lethe/"); ours {
		return f.load(dir)
	}
	base := path.Base(name)
	if strings.HasPrefix(base, "v") && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(name))
	}
	p := types.NewPackage(name, strings.TrimPrefix(base, "go-"))
	p.MarkComplete()
	return p, nil
}

func (f *flow) load(dir string) (*types.Package, error) {
	if p, ok := f.pkgs[dir]; ok {
		return p, nil
	}
	names, err := fs.Glob(f.tree, path.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range names {
		text, err := fs.ReadFile(f.tree, name)
		if err != nil {
			return nil, err
		}
		built := build.Default
		built.OpenFile = f.open
		if ok, err := built.MatchFile(dir, path.Base(name)); err != nil || !ok || strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(f.fset, name, text, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	c := types.Config{Importer: f, FakeImportC: true, Error: func(error) {}} // errors: what the empty packages lack
	p, _ := c.Check("lethe/"+dir, f.fset, files, f.info)
	f.pkgs[dir] = p
	f.files = append(f.files, files...)
	return p, nil
}

// raise makes an object at least as bad as p.
func (f *flow) raise(o any, p purity, at token.Pos) {
	if v, ok := o.(*types.Var); ok {
		o = v.Origin()
		if f.names[v.Origin()] {
			p = min(p, named)
		}
	}
	if o != nil && f.of[o] < p {
		f.of[o], f.changed, f.why[o] = p, true, at
	}
}

// begin says what is bad from the start: parameters of functions that anyone
// may call, and fields that are filled from a file, a request or a database.
func (f *flow) begin() {
	calls := map[*ast.Ident]bool{}
	for _, file := range f.files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if id := calledName(n); id != nil {
					calls[id] = true
				}
			case *ast.AssignStmt:
				id, _ := n.Lhs[0].(*ast.Ident)
				if lit, ok := n.Rhs[0].(*ast.FuncLit); ok && id != nil && f.info.Defs[id] != nil {
					f.lits[f.info.Defs[id]] = lit
				}
			}
			return true
		})
	}
	for id, o := range f.info.Uses {
		if f.lits[o] != nil && !calls[id] {
			delete(f.lits, o)
		}
		fn, ok := o.(*types.Func)
		if !ok {
			continue
		}
		was, seen := f.called[fn.Origin()]
		f.called[fn.Origin()] = calls[id] && (was || !seen)
	}
	for _, o := range f.info.Defs {
		switch o := o.(type) {
		case *types.Func:
			params := o.Signature().Params()
			for i := range params.Len() {
				if o.Exported() || !f.called[o] {
					f.raise(params.At(i), dirty, o.Pos())
				}
			}
		case *types.TypeName:
			f.beginType(o)
		}
	}
	local := map[*ast.FuncLit]bool{}
	for _, lit := range f.lits {
		local[lit] = true
	}
	for e := range f.info.Types {
		if lit, ok := e.(*ast.FuncLit); ok && !local[lit] {
			params := f.signature(lit).Params()
			for i := range params.Len() {
				f.raise(params.At(i), dirty, lit.Pos())
			}
		}
	}
}

// requested and mapped are the types whose texts are what a request brings, and
// what the data map and the live schema say.
func requested() []string {
	return []string{"store.Selector", "store.ID", "store.Field", "store.Value"}
}

func mapped() []string {
	return []string{
		"tables.Map", "tables.File", "tables.Place", "tables.Member", "tables.Column", "tables.Document", "tables.Ties", "tables.Redaction",
		"tables.liveTable", "tables.liveColumn", "tables.pgColumn", "tables.pgLeaf",
	}
}

func (f *flow) beginType(o *types.TypeName) {
	s, ok := o.Type().Underlying().(*types.Struct)
	if !ok || o.Pkg() == nil {
		return
	}
	name := o.Pkg().Name() + "." + o.Name()
	for i := range s.NumFields() {
		switch {
		case slices.Contains(mapped(), name):
			f.names[s.Field(i)] = true
			f.raise(s.Field(i), named, o.Pos())
		case slices.Contains(requested(), name), s.Tag(i) != "":
			f.raise(s.Field(i), dirty, o.Pos())
		}
	}
}

// calledName is the identifier of what is called.
func calledName(call *ast.CallExpr) *ast.Ident {
	fun := ast.Unparen(call.Fun)
	if x, ok := fun.(*ast.IndexExpr); ok {
		fun = x.X
	}
	switch fun := fun.(type) {
	case *ast.Ident:
		return fun
	case *ast.SelectorExpr:
		return fun.Sel
	}
	return nil
}

func (f *flow) at(p token.Pos) string {
	pos := f.fset.Position(p)
	return fmt.Sprintf("%s:%d", pos.Filename, pos.Line)
}

func (f *flow) signature(lit *ast.FuncLit) *types.Signature {
	s, _ := f.info.Types[lit].Type.(*types.Signature)
	return s
}
