package durable_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"lethe/audit/durable"
)

func TestAFileIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "head")
	for _, text := range []string{"one", "a longer second", "3"} {
		if err := durable.Replace(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Fatalf("got %q, %v, want %q", got, err, text)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v, want 0644", info.Mode(), err)
	}
	wantOnly(t, dir, "head")
}

func TestOfTwoThatCreateAFileOneDoes(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "key")
	var wg sync.WaitGroup
	made := make(chan string, 8)
	for _, text := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
		wg.Go(func() {
			switch err := durable.Create(path, []byte(text), 0o600); {
			case err == nil:
				made <- text
			case !errors.Is(err, fs.ErrExist):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(made)
	got, err := os.ReadFile(path)
	if want := <-made; err != nil || string(got) != want || len(made) != 0 {
		t.Errorf("the file has %q, %v; it was made with %q, and %d more times", got, err, want, len(made))
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	wantOnly(t, dir, "key")
}

func TestAFailureLeavesTheOldFileAndNoOther(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "below"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := durable.Replace(path, []byte("x"), 0o600); err == nil || errors.Is(err, durable.ErrUnsure) {
		t.Errorf("replace a folder: %v, want an error that is sure", err)
	}
	wantOnly(t, dir, "taken")
	if err := durable.Replace(filepath.Join(dir, "none", "x"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in a missing folder: %v, want fs.ErrNotExist", err)
	}
}

func TestSweepRemovesWhatACrashLeft(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{".lethe-tmp-123", "head", ".other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Sweep(dir); err != nil {
		t.Fatal(err)
	}
	wantOnly(t, dir, ".other", "head")
}

func wantOnly(t *testing.T, dir string, names ...string) {
	t.Helper()
	var got []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if err != nil || len(got) != len(names) {
		t.Fatalf("the folder holds %q, %v, want %q", got, err, names)
	}
	for i := range names {
		if got[i] != names[i] {
			t.Errorf("the folder holds %q, want %q", got, names)
		}
	}
}

func TestAFileThatIsFilledAppearsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "copy")
	fill := func(text string, fails error) func(string) error {
		return func(tmp string) error {
			if info, err := os.Stat(tmp); err != nil || info.Mode() != 0o600 || filepath.Dir(tmp) != dir {
				t.Errorf("given %s: %v, %v", tmp, info, err)
			}
			if _, err := os.Stat(path); text == "one" && err == nil {
				t.Error("the file is there before it is whole")
			}
			return errors.Join(os.WriteFile(tmp, []byte(text), 0o600), os.WriteFile(tmp+"-journal", nil, 0o600), fails)
		}
	}
	if err := durable.Fill(path, false, 0o600, fill("one", errors.New("no space"))); err == nil {
		t.Error("a fill that failed is no error")
	}
	wantOnly(t, dir)
	if err := durable.Fill(path, false, 0o600, fill("one", nil)); err != nil {
		t.Error(err)
	}
	if err := durable.Fill(path, false, 0o600, fill("two", nil)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	if err := durable.Fill(path, true, 0o600, fill("three", errors.New("no space"))); err == nil {
		t.Error("a fill that failed is no error")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "one" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := durable.Fill(path, true, 0o640, fill("four", nil)); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "four" {
		t.Errorf("got %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	wantOnly(t, dir, "copy")
}
