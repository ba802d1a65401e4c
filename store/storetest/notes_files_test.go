package storetest_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lethe/store"
	"lethe/store/storetest"
)

func (n Notes) keys(ctx context.Context) (keys []string, err error) {
	files, err := os.ReadDir(n.Dir)
	for _, f := range files {
		key, err := hex.DecodeString(f.Name())
		if err != nil {
			return nil, errors.New("a file of the folder is no note")
		}
		keys = append(keys, string(key))
	}
	return keys, errors.Join(err, ctx.Err())
}

func few(n int) error {
	if n > store.MaxBatch {
		return fmt.Errorf("%w: more than %d ids at once", store.ErrRefused, store.MaxBatch)
	}
	return nil
}

func known(ids []store.ID) error {
	if slices.ContainsFunc(ids, func(id store.ID) bool { return id.Place != "memories" || id.Key == "" }) {
		return fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
	}
	return few(len(ids))
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// notesFixture writes notes as their application does.
type notesFixture struct{ Notes }

func (f notesFixture) Store() store.Store { return f.Notes }

func (f notesFixture) Add(_ context.Context, records ...storetest.Record) error {
	for _, r := range records {
		if r.AgentID+r.AppID+r.RunID != "" {
			return errors.ErrUnsupported
		}
		note := Note{Owner: r.UserID, Text: r.Text, Metadata: map[string]string{}}
		for k, v := range r.Metadata {
			note.Metadata[k] = string(v.Kind()) + v.Literal()
		}
		text, err := json.Marshal(note)
		if err := errors.Join(err, os.WriteFile(f.path(r.ID), text, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

func (notesFixture) AddHistory(context.Context, string, string) error { return errors.ErrUnsupported }

func (f notesFixture) Rows(ctx context.Context) (map[string]string, error) {
	keys, err := f.keys(ctx)
	rows := map[string]string{}
	for _, key := range keys {
		text, readErr := os.ReadFile(f.path(key))
		rows[key], err = string(text), errors.Join(err, readErr)
	}
	return rows, err
}

func (f notesFixture) Bytes(ctx context.Context) ([]byte, error) {
	rows, err := f.Rows(ctx)
	return []byte(fmt.Sprint(rows)), err
}

func TestTheExampleOfTheReadmeKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture { return notesFixture{Notes{t.TempDir()}} })
}

func TestTheReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("notes_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(example), "// Notes keeps")
	if !strings.Contains(string(readme), "// Notes keeps"+body) {
		t.Error("README.md does not show store/storetest/notes_test.go from its first type to its end")
	}
}
