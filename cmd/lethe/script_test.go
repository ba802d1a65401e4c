package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"
	"github.com/rogpeppe/go-internal/testscript"

	"lethe/audit/proof"
	"lethe/store/mem0"
)

// The scripts in testdata/script are what a user could type. They double as
// the manual of the command line.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lethe": main,
		"lethe-verify": func() { // as cmd/lethe-verify, but for how it fetches URLs
			os.Exit(proof.RunVerify("lethe-verify", os.Args[1:], publishedAt(context.Background()), os.Stdout, os.Stderr))
		},
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup:               setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"remember": remember,
			"ready":    ready,
			"alive":    alive,
			"spoil":    spoil,
			"holds":    holds,
			"keep":     keep,
			"sql":      sqlite,
		},
	})
}

// setUpScript gives each script an address of its own, and the golden
// certificate.
func setUpScript(env *testscript.Env) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	env.Setenv("ADDR", l.Addr().String())
	env.Setenv("LETHE_SERVER", "http://"+l.Addr().String())
	golden, err := filepath.Abs("../../audit/proof/testdata")
	if err != nil {
		return err
	}
	env.Setenv("GOLDEN", golden)
	return l.Close()
}

// remember DIR USER N writes N memories of USER, with "canary-USER" in their
// text, into the memory store in DIR, made if need be.
func remember(ts *testscript.TestScript, _ bool, args []string) {
	dir, user := ts.MkAbs(args[0]), args[1]
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.MkdirAll(dir, 0o700))
	config, err := mem0.CreateSQLite(context.Background(), dir)
	if errors.Is(err, fs.ErrExist) {
		config, err = mem0.SQLiteConfig{
			Vectors:  filepath.Join(dir, "vector_store.db"),
			Entities: filepath.Join(dir, "vector_store_entities.db"),
			History:  filepath.Join(dir, "memory.db"),
		}, nil
	}
	ts.Check(err)
	ts.Check(mem0.WriteSQLite(context.Background(), config, func(yield func(mem0.Memory) bool) {
		for i := range n {
			m := mem0.Memory{
				ID: user + "-" + strconv.Itoa(i), UserID: user, Text: "canary-" + user + " likes tea",
				Entities: []string{"canary-" + user + " tea"}, Metadata: map[string]any{"tier": i % 2}, Message: true,
			}
			if !yield(m) {
				return
			}
		}
	}))
}

// sqlite FILE STATEMENTS runs statements on a SQLite file, made if need be.
func sqlite(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sqlx.Open("sqlite3", ts.MkAbs(args[0])+"?_busy_timeout=10000")
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(errors.Join(err, db.Close()))
}

// ready waits until the server of the script takes requests.
func ready(ts *testscript.TestScript, _ bool, _ []string) { answers(ts, "/readyz") }

// alive waits until it serves at all.
func alive(ts *testscript.TestScript, _ bool, _ []string) { answers(ts, "/healthz") }

func answers(ts *testscript.TestScript, path string) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(ts.Getenv("LETHE_SERVER") + path)
		if err != nil {
			continue
		}
		answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("the server is not ready after 30 s")
}

// spoil FILE OLD NEW replaces a text in a file.
func spoil(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	text, err := os.ReadFile(path)
	ts.Check(err)
	spoilt := bytes.Replace(text, []byte(args[1]), []byte(args[2]), 1)
	if bytes.Equal(text, spoilt) {
		ts.Fatalf("%s does not have %q", args[0], args[1])
	}
	ts.Check(os.WriteFile(path, spoilt, 0o600))
}

// keep NAME puts the first line of the last standard output into a variable.
func keep(ts *testscript.TestScript, _ bool, args []string) {
	line, _, _ := strings.Cut(ts.ReadFile("stdout"), "\n")
	ts.Setenv(args[0], line)
}

// holds WORD DIR looks for a text in all bytes of all files below DIR.
func holds(ts *testscript.TestScript, neg bool, args []string) {
	found := ""
	ts.Check(filepath.WalkDir(ts.MkAbs(args[1]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if bytes.Contains(text, []byte(args[0])) {
			found = path
		}
		return err
	}))
	switch {
	case neg && found != "":
		ts.Fatalf("%s still holds %q", found, args[0])
	case !neg && found == "":
		ts.Fatalf("nothing in %s holds %q", args[1], args[0])
	}
}
