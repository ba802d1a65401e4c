//go:build unix

package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe waits for who writes to it, which may be for ever.
func TestAPipeInALogKeepsNobodyWaiting(t *testing.T) {
	d := layOut(t)
	for _, name := range []string{"checkpoint", "tile/0/000.p/40"} {
		pipe := filepath.Join(d.dir, "log", name)
		text, err := os.ReadFile(pipe)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(pipe); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		if status, out := d.run(t, "plain.tlog-proof --key log.pub --log log"); status != 1 || !strings.Contains(out, "not a regular file") {
			t.Errorf("%s: status %d\n%s", name, status, out)
		}
		if err := os.Remove(pipe); err != nil {
			t.Fatal(err)
		}
		write(t, pipe, text)
	}
}

func TestAPipeOfTheNameOfEvidenceIsPassedOver(t *testing.T) {
	d := layOut(t)
	if err := syscall.Mkfifo(filepath.Join(d.dir, "fork-log.example-lethe-30.evidence"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, out := d.run(t, "plain.tlog-proof split.tlog-proof --policy policy")
	if status != 30 || !strings.Contains(out, "fork-log.example-lethe-30-2.evidence") {
		t.Errorf("status %d\n%s", status, out)
	}
}
