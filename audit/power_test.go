package audit_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/keyfile"

	"github.com/jmoiron/sqlx"
)

// The environment of the child that writes until its power is cut.
const (
	powerDir  = "LETHE_POWER_DIR"  // where it writes
	powerSync = "LETHE_POWER_SYNC" // how durably: FULL, or NORMAL for the control
	powerCuts = "LETHE_POWER_CUTS" // how many cuts the test makes; 3 if not given
)

// TestNoReleasedHeadIsLostToAPowerCut writes a log to a file system on a loop
// device, copies the device's image at some moment, which has only what had
// reached the disk, and opens the log from the copy: every head that had been
// given away has to be there. The control commits with synchronous=NORMAL, and
// has to lose something, or else the test could not fail.
func TestNoReleasedHeadIsLostToAPowerCut(t *testing.T) {
	cuts := 3
	if n, err := strconv.Atoi(os.Getenv(powerCuts)); err == nil {
		cuts = n
	}
	disk := newDisk(t)
	released, lost := 0, 0
	for range cuts {
		r, l := disk.cut(t, "FULL")
		released, lost = released+r, lost+l
	}
	if released < cuts || lost > 0 {
		t.Errorf("%d cuts: of %d released heads %d were lost", cuts, released, lost)
	}
	control := 0
	for n := 0; n < 4*cuts && control == 0; n++ {
		_, l := disk.cut(t, "NORMAL")
		control += l
	}
	if control == 0 {
		t.Error("no cut lost anything of the control: the test cannot fail")
	}
	t.Logf("%d cuts: %d released heads, %d lost; the control lost %d commits", cuts, released, lost, control)
}

// A disk is a file system whose power can be cut.
type disk struct{ image, mount string }

func newDisk(t *testing.T) *disk {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("POWER CUTS NOT TESTED: mounting a loop device needs root")
	}
	d := &disk{image: filepath.Join(t.TempDir(), "disk.img"), mount: t.TempDir()}
	f, err := os.Create(d.image)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(96<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", d.image).CombinedOutput(); err != nil {
		t.Skipf("POWER CUTS NOT TESTED: mkfs.ext4: %v %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", d.image, d.mount).CombinedOutput(); err != nil {
		t.Skipf("POWER CUTS NOT TESTED: no loop device can be mounted here: %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", d.mount).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v %s", err, out)
		}
	})
	return d
}

// cut lets a child write for a while, cuts its power, and returns how many
// commits it had been told of and how many of those are gone.
func (d *disk) cut(t *testing.T, sync string) (released, lost int) {
	t.Helper()
	dir, err := os.MkdirTemp(d.mount, "log-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	child := exec.Command(os.Args[0], "-test.run=^TestPowerChild$", "-test.count=1")
	child.Env = append(os.Environ(), powerDir+"="+dir, powerSync+"="+sync)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	}()
	lines := bufio.NewScanner(out)
	until := time.Now().Add(300 * time.Millisecond)
	for lines.Scan() && (released < 5 || time.Now().Before(until)) {
		if n, ok := strings.CutPrefix(lines.Text(), "released "); ok {
			if released, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
		}
	}
	after := filepath.Join(t.TempDir(), "after.img")
	if b, err := exec.Command("cp", "--sparse=always", d.image, after).CombinedOutput(); err != nil {
		t.Fatalf("copy the image: %v %s", err, b)
	}
	return released, max(0, released-d.survived(t, after, filepath.Base(dir), sync))
}

// survived starts the machine again and returns how many commits are there.
func (d *disk) survived(t *testing.T, image, name, sync string) int {
	t.Helper()
	mount := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop", image, mount).CombinedOutput(); err != nil {
		t.Fatalf("mount after the cut: %v %s", err, out)
	}
	defer func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("unmount after the cut: %v %s", err, out)
		}
	}()
	dir := filepath.Join(mount, name)
	db := connect(t, filepath.Join(dir, "ledger.db"), "FULL", 1)
	defer db.Close()
	if sync == "NORMAL" {
		var n int
		if err := db.Get(&n, `SELECT coalesce(max(n), 0) FROM control`); err != nil {
			return 0
		}
		return n
	}
	return sound(t, dir, db)
}

// sound checks the whole log and returns its size.
func sound(t *testing.T, dir string, db *sqlx.DB) int {
	t.Helper()
	key, err := keyfile.Open(filepath.Join(dir, "log.key"), "")
	if err != nil {
		t.Fatal(err)
	}
	l, err := audit.Open(t.Context(), db, audit.Options{Verifier: key.Verifier, Origin: key.Origin})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Check(t.Context())
	if err != nil {
		t.Error(err)
	}
	return int(r.Size)
}

// TestPowerChild is not a test: it is what the power is taken from.
func TestPowerChild(t *testing.T) {
	dir := os.Getenv(powerDir)
	if dir == "" {
		return
	}
	l := &ledger{path: filepath.Join(dir, "ledger.db")}
	l.write = connect(t, l.path, os.Getenv(powerSync), 1)
	commit := controlled
	if os.Getenv(powerSync) == "FULL" {
		l.read = connect(t, l.path, "FULL", 1)
		var err error
		if l.key, err = keyfile.Open(filepath.Join(dir, "log.key"), "log.example/lethe"); err != nil {
			t.Fatal(err)
		}
		if err := audit.Migrate(t.Context(), l.write); err != nil {
			t.Fatal(err)
		}
		if l.Log, err = l.open(t.Context()); err != nil {
			t.Fatal(err)
		}
		commit = func(l *ledger, n int) error {
			_, err := l.add(entry(n))
			return err
		}
	} else if _, err := l.write.Exec(`CREATE TABLE control (n INTEGER PRIMARY KEY)`); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		if err := commit(l, n); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("released %d\n", n)
	}
}

func controlled(l *ledger, n int) error {
	_, err := l.write.Exec(`INSERT INTO control VALUES (?)`, n)
	return err
}
