package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"lethe/audit/proof"
)

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// in runs what must not wait for anybody.
func in(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for ever")
	}
}

func TestEvidenceIsSavedBesideWhateverHasItsName(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l := newTree(t, 20)
	e := evidence(t, parseKeys(t, vkey), l.fork(t, 5, 20), l, 11, 20, signer)
	dir := t.TempDir()
	const name = "fork-log.example-lethe-11"
	pipe(t, filepath.Join(dir, name+".evidence"))
	if err := os.Symlink("/dev/zero", filepath.Join(dir, name+"-2.evidence")); err != nil {
		t.Fatal(err)
	}
	elsewhere := write(t, filepath.Join(dir, "elsewhere"), e.Text())
	if err := os.Symlink(elsewhere, filepath.Join(dir, name+"-3.evidence")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, name+"-4.evidence"), 0o755); err != nil {
		t.Fatal(err)
	}
	in(t, func() {
		if path, err := e.Save(dir); err != nil || path != filepath.Join(dir, name+"-5.evidence") {
			t.Errorf("%s, %v", path, err)
		}
	})
}

func TestALogInAFolderCannotHoldUpOrFlood(t *testing.T) {
	d := layOut(t)
	tile := filepath.Join(d.dir, "log", "tile", "0", "000.p", "40")
	for name, spoil := range map[string]func(path string){
		"pipe":   func(path string) { pipe(t, path) },
		"folder": func(path string) { _ = os.Mkdir(path, 0o755) },
		"flood":  func(path string) { _ = os.Symlink("/dev/zero", path) },
		"long":   func(path string) { _ = os.WriteFile(path, make([]byte, proof.MaxLogFile+1), 0o600) },
	} {
		for _, path := range []string{tile, filepath.Join(d.dir, "log", "checkpoint")} {
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			spoil(path)
			in(t, func() {
				status, out := d.run(t, "plain.tlog-proof --key log.pub --log log")
				if status != proof.ExitError || !strings.Contains(out, "ERROR") {
					t.Errorf("%s at %s: status %d\n%s", name, filepath.Base(path), status, out)
				}
			})
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, before)
		}
	}
}
