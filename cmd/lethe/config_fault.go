package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A fault is one thing wrong in the configuration. It never holds a value.
type fault struct {
	path         string // of the file, or "" if the fault is not in one
	line, column int
	text         string
}

func (f *fault) Error() string {
	switch {
	case f.path == "":
		return f.text
	case f.line == 0:
		return f.path + ": " + f.text
	}
	return fmt.Sprintf("%s:%d:%d: %s", f.path, f.line, f.column, f.text)
}

// Unwrap makes a fault a matter of usage, exit status 2.
func (f *fault) Unwrap() error { return errUsage }

// faultAt returns a fault at node, for document.decode to complete.
func faultAt(node ast.Node, text string) *fault {
	f := &fault{text: prefixed(node.GetPath()) + text}
	if t := node.GetToken(); t != nil && t.Position != nil {
		f.line, f.column = t.Position.Line, t.Position.Column
	}
	return f
}

// locate turns an error of the YAML library into a fault. The library's own
// text would show an excerpt, and with it perhaps a password.
func (d document) locate(err error) error {
	var own *fault
	if errors.As(err, &own) {
		own.path = d.path
		return own
	}
	f := &fault{path: d.path, text: "is not valid YAML"}
	var known yaml.Error
	if !errors.As(err, &known) {
		return f
	}
	t := known.GetToken()
	if t != nil && t.Position != nil {
		f.line, f.column = t.Position.Line, t.Position.Column
	}
	f.text = explain(known)
	if d.file != nil {
		v := tokenFinder{token: t}
		ast.Walk(&v, d.file.Docs[0])
		f.text = v.field + f.text
	}
	return f
}

// A tokenFinder looks for the value that starts with token, to name its field.
type tokenFinder struct {
	token *token.Token
	field string // with a colon and a space, or empty
}

func (v *tokenFinder) Visit(n ast.Node) ast.Visitor {
	_, pair := n.(*ast.MappingValueNode)
	if !pair && v.field == "" && n.GetToken() == v.token {
		v.field = prefixed(n.GetPath())
	}
	return v
}

// prefixed returns a path as a prefix of an error. Where a key does not look like one
// it may be a value, or a password, that stands where no key was meant: then the
// path ends before it, and the line says where it is.
func prefixed(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	if i := strings.IndexFunc(path, ofNoKey); i >= 0 {
		path = path[:max(0, strings.LastIndexAny(path[:i], ".["))]
	}
	if path == "" {
		return ""
	}
	return path + ": "
}

// ofNoKey reports whether no key of ours has r, nor a path of such keys.
func ofNoKey(r rune) bool {
	word := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !word && !strings.ContainsRune("_-.[]'", r)
}

// repeated is a text of the file in a message of the library, with the space
// before it. One character is left, such as one that is reserved.
var repeated = regexp.MustCompile(` ?"(?:[^"\\]|\\.){2,}"`)

// explain words an error of the YAML library without the value it is about.
func explain(err yaml.Error) string {
	var (
		unknown *yaml.UnknownFieldError
		syntax  *yaml.SyntaxError
	)
	switch {
	case errors.As(err, &unknown):
		return "is not a key that lethe knows"
	case errors.As(err, &syntax):
		return "syntax: " + repeated.ReplaceAllStringFunc(syntax.Message, func(text string) string {
			if strings.HasPrefix(syntax.Message, "mapping key ") && strings.IndexFunc(strings.Trim(text, ` "`), ofNoKey) < 0 {
				return text
			}
			return ""
		})
	}
	return "value is of the wrong type"
}

// at returns where the value at a YAML path such as "stores[0].kind" stands,
// or the nearest value around it.
func (d document) at(field, text string) error {
	f := &fault{path: d.path, text: field + ": " + text}
	if d.file == nil {
		return &fault{text: field + ": " + text}
	}
	for p := field; p != ""; p = p[:max(0, strings.LastIndexAny(p, ".["))] {
		path, err := yaml.PathString("$." + p)
		if err != nil {
			continue
		}
		if node, err := path.FilterFile(d.file); err == nil && node != nil && node.GetToken() != nil {
			pos := node.GetToken().Position
			f.line, f.column = pos.Line, pos.Column
			break
		}
	}
	return f
}

// has reports whether the file has the top-level key.
func (d document) has(key string) bool {
	path, err := yaml.PathString("$." + key)
	if d.file == nil || err != nil {
		return false
	}
	node, err := path.FilterFile(d.file)
	return err == nil && node != nil
}
