package main

import (
	"fmt"
	"io"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigBytes bounds the configuration file, which is read whole.
const maxConfigBytes = 1 << 20

// A document is a parsed configuration file. The zero document is one that was
// not given.
type document struct {
	path string
	file *ast.File
}

func readDocument(path string) (document, error) {
	text, err := readSmallFile(path, maxConfigBytes)
	if err != nil {
		return document{}, fmt.Errorf("read configuration: %w", err)
	}
	d := document{path: path}
	err = tame(func() (err error) {
		d.file, err = parser.ParseBytes(text, 0)
		return err
	})
	if err != nil {
		return document{}, d.locate(err)
	}
	if len(d.file.Docs) > 1 {
		return document{}, &fault{path: path, text: "must hold one YAML document, not several"}
	}
	for _, doc := range d.file.Docs {
		var v aliasFinder
		ast.Walk(&v, doc)
		if v.found != nil {
			f := faultAt(v.found, "anchors and aliases are not accepted: write the value out")
			f.path = path
			return document{}, f
		}
	}
	return d, nil
}

// readSmallFile reads a whole file, or refuses it if it is larger than limit.
func readSmallFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	return text, nil
}

// An aliasFinder stops at the first anchor, alias or merge key. They are the
// way to make a small file huge, and to put one secret in two places.
type aliasFinder struct{ found ast.Node }

func (a *aliasFinder) Visit(n ast.Node) ast.Visitor {
	switch n.(type) {
	case *ast.AliasNode, *ast.AnchorNode, *ast.MergeKeyNode:
		if a.found == nil {
			a.found = n
		}
	}
	return a
}

// decode fills c. Keys are matched exactly; none may be unknown or repeated.
func (d document) decode(c *Config) error {
	for _, doc := range d.file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType {
			continue
		}
		if err := tame(func() error { return yaml.NodeToValue(doc.Body, c, yaml.Strict()) }); err != nil {
			return d.locate(err)
		}
	}
	return nil
}

// tame has the YAML library do something. It panics on some texts, such as a tag (a
// lone "!") before a number; what it says then may quote the file.
func tame(do func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = &fault{text: "is not YAML that can be read: write it without tags (!)"}
		}
	}()
	return do()
}
