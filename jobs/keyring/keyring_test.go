package keyring_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"lethe/jobs"
	"lethe/jobs/keyring"
)

func open(t *testing.T) (*keyring.Keyring, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	k, err := keyring.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return k, dir
}

func create(t *testing.T, k *keyring.Keyring) string {
	t.Helper()
	id := uuid.NewString()
	if err := k.Create(id); err != nil {
		t.Fatal(err)
	}
	return id
}

func TestNobodyElseCanReadAKey(t *testing.T) {
	k, dir := open(t)
	create(t, k)
	files := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if e.IsDir() {
			want = 0o700
		} else {
			files++
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %#o, want %#o", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files != 3 {
		t.Errorf("%d files, want the secret and two keys and nothing left over", files)
	}
}

func TestAFolderThatOthersCanReadIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o750, 0o705, 0o710, 0o770} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := keyring.Open(dir); err == nil || !strings.Contains(err.Error(), "chmod 700") {
			t.Errorf("mode %#o: err = %v, want one that says what to do", mode, err)
		}
	}
}

// The folder may be a mount of its own in a place that is not ours to write.
func TestNothingIsWrittenOutsideTheFolder(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "keys")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(parent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyring.Open(dir); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(parent)
	if err != nil {
		t.Fatal(err)
	}
	if !before.ModTime().Equal(after.ModTime()) {
		t.Error("a file came and went in the parent folder while the secret was made")
	}
}

func TestTheSecretOutlivesTheProcess(t *testing.T) {
	k, dir := open(t)
	again, err := keyring.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Secret(), again.Secret()) || len(k.Secret()) != keyring.KeySize {
		t.Error("the second Open found another secret")
	}
}

func TestCreatingTwiceFailsAndLeavesTheFirst(t *testing.T) {
	k, _ := open(t)
	id := create(t, k)
	seal, subject := keys(t, k, id)
	if bytes.Equal(seal, subject) {
		t.Error("both keys are the same")
	}
	if err := k.Create(id); !errors.Is(err, fs.ErrExist) {
		t.Errorf("err = %v, want fs.ErrExist", err)
	}
	if again, other := keys(t, k, id); !bytes.Equal(seal, again) || !bytes.Equal(subject, other) {
		t.Error("the second Create changed a key")
	}
}

func keys(t *testing.T, k *keyring.Keyring, id string) (seal, subject []byte) {
	t.Helper()
	seal, err1 := k.Seal(id)
	subject, err2 := k.Subject(id)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	return seal, subject
}

func TestDestroyingOverwritesAndIsIdempotent(t *testing.T) {
	k, dir := open(t)
	id, other := create(t, k), create(t, k)
	for _, d := range []struct {
		folder  string
		destroy func(string) error
		read    func(string) ([]byte, error)
	}{{"seal", k.DestroySeal, k.Seal}, {"subject", k.DestroySubject, k.Subject}} {
		link := filepath.Join(t.TempDir(), "link") // sees what is written to the removed file
		if err := os.Link(filepath.Join(dir, d.folder, id), link); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := d.destroy(id); err != nil {
				t.Errorf("%s: %v", d.folder, err)
			}
		}
		if _, err := d.read(id); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("%s: err = %v, want ErrGone", d.folder, err)
		}
		left, err := os.ReadFile(link)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(left, make([]byte, keyring.KeySize)) {
			t.Errorf("%s: the key's bytes are still in the file", d.folder)
		}
		if _, err := d.read(other); err != nil {
			t.Errorf("%s: the other request's key: %v", d.folder, err)
		}
	}
}

func TestSealedNamesWhoStillHasASealKey(t *testing.T) {
	k, _ := open(t)
	first, second := create(t, k), create(t, k)
	if err := k.DestroySeal(first); err != nil {
		t.Fatal(err)
	}
	got, err := k.Sealed()
	if err != nil || len(got) != 1 || got[0] != second {
		t.Errorf("got %v, %v; want [%s]", got, err, second)
	}
}

func TestAnIDCannotNameAnotherFile(t *testing.T) {
	k, dir := open(t)
	for _, id := range []string{"", ".", "..", "../secret", "../../etc/passwd", "/etc/passwd", "secret", "a/b", uuid.NewString() + "/../../secret", uuid.NewString() + "\x00"} {
		if err := k.Create(id); err == nil {
			t.Errorf("Create(%q) made something", id)
		}
		if _, err := k.Seal(id); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("Seal(%q): err = %v, want ErrGone", id, err)
		}
		if _, err := k.Subject(id); !errors.Is(err, jobs.ErrGone) {
			t.Errorf("Subject(%q): err = %v, want ErrGone", id, err)
		}
		if err := errors.Join(k.DestroySeal(id), k.DestroySubject(id)); err == nil {
			t.Errorf("Destroy(%q) says that it did", id)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "secret")); err != nil {
		t.Errorf("the secret: %v", err)
	}
}

func TestADamagedKeyIsNotUsed(t *testing.T) {
	k, dir := open(t)
	id := create(t, k)
	if err := os.Truncate(filepath.Join(dir, "seal", id), 31); err != nil {
		t.Fatal(err)
	}
	if key, err := k.Seal(id); err == nil || errors.Is(err, jobs.ErrGone) {
		t.Errorf("got %d bytes, err = %v; want an error other than ErrGone", len(key), err)
	}
}
