package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// How long a comparison of secrets takes must say nothing of them. So none is
// compared with == or in SQL: a token is looked up by its SHA-256, of which whoever
// guesses learns nothing, and what else is secret goes through crypto/subtle or
// crypto/hmac. A test with a clock would prove less.
func TestSecretsAreNotComparedByteByByte(t *testing.T) {
	secret := regexp.MustCompile(`(?i)^(token|secret|password|bearer|mac|hmac|sum|signature|cookie|nonce)$`)
	seen := 0
	for _, dir := range []string{"../../jobs", "../../jobs/api", "../../jobs/console", "../../jobs/ledger", "../../jobs/webhook", "../../jobs/keyring"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			set := token.NewFileSet()
			file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			ast.Inspect(file, func(n ast.Node) bool {
				b, ok := n.(*ast.BinaryExpr)
				if ok && (b.Op == token.EQL || b.Op == token.NEQ) && (secret.MatchString(lastName(b.X)) && !plainly(b.Y) || secret.MatchString(lastName(b.Y)) && !plainly(b.X)) {
					t.Errorf("%s compares a secret with %s", set.Position(b.Pos()), b.Op)
				}
				return true
			})
		}
	}
	if seen < 50 {
		t.Errorf("only %d files were read", seen)
	}
	text, err := os.ReadFile("../../jobs/ledger/token.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "WHERE hash = ?") || !strings.Contains(string(text), "sha256.Sum256([]byte(") || regexp.MustCompile(`(?i)WHERE (secret|token) = `).Match(text) {
		t.Error("a token is not looked up by its SHA-256")
	}
	text, err = os.ReadFile("../../jobs/console/visit.go")
	if err != nil || !strings.Contains(string(text), "subtle.ConstantTimeCompare(") {
		t.Errorf("the tokens of forms are not compared by crypto/subtle: %v", err)
	}
}

// lastName is the last part of a.b.c.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

// plainly reports whether e is a constant text or nil, to ask whether there is a
// secret at all.
func plainly(e ast.Expr) bool {
	lit, isLit := e.(*ast.BasicLit)
	return isLit && lit.Value == `""` || lastName(e) == "nil"
}
