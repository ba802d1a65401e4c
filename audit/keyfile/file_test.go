package keyfile_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

const origin = "log.example/lethe"

func newFile(t testing.TB) keyfile.File {
	t.Helper()
	return keyfile.File{Path: filepath.Join(t.TempDir(), "log.key")}
}

// open is Open where it must not fail.
func open(t testing.TB, f keyfile.File, origin string) *keyfile.Key {
	t.Helper()
	k, err := f.Open(origin)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// beside lists what stands in the folder, by the suffixes to the key's name.
func beside(t testing.TB, f keyfile.File) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimPrefix(e.Name(), filepath.Base(f.Path)))
	}
	return names
}

func retiredName(verifier string) string {
	return ".retired-" + strings.Split(verifier, "+")[1] + ".pub"
}

func TestAKeyIsMadeOnceAndReadAgain(t *testing.T) {
	f := newFile(t)
	k := open(t, f, "")
	if !strings.HasPrefix(k.Origin, "lethe.local/") || len(k.Origin) != len("lethe.local/")+8 {
		t.Errorf("origin %q", k.Origin)
	}
	for name, want := range map[string]fs.FileMode{f.Path: 0o600, f.Path + ".pub": 0o644} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
	if got := read(t, f.Path+".pub"); got != k.Verifier+"\n" {
		t.Errorf("public key file %q, want %q", got, k.Verifier)
	}
	if got := beside(t, f); !slices.Equal(got, []string{"", ".pub"}) {
		t.Errorf("files %q", got)
	}
	again, err := keyfile.Open(f.Path, k.Origin)
	if err != nil || again.Verifier != k.Verifier || again.Origin != k.Origin {
		t.Errorf("again: %v, %v", again, err)
	}
}

func TestAKeyIsOneOfTheNoteFormat(t *testing.T) {
	f := newFile(t)
	private, verifier, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.Path, private+"\n")
	k := open(t, f, origin)
	if k.Verifier != verifier {
		t.Errorf("verifier key %s, want %s", k.Verifier, verifier)
	}
	other := newFile(t)
	made := open(t, other, origin)
	theirs, err := note.NewSigner(strings.TrimSpace(read(t, other.Path)))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := proof.NewSigner(made.Origin, made.Signer)
	if err != nil {
		t.Fatal(err)
	}
	a, errA := ours.Sign([]byte("text\n"))
	b, errB := theirs.Sign([]byte("text\n"))
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("signatures differ: %v, %v", errA, errB)
	}
}

func TestAKeyThatIsNotSafeIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(f keyfile.File) error{
		"another origin":        func(f keyfile.File) error { return reopen(f, "log.example/other") },
		"readable by the group": func(f keyfile.File) error { return os.Chmod(f.Path, 0o640) },
		"readable by others":    func(f keyfile.File) error { return os.Chmod(f.Path, 0o604) },
		"writable by the group": func(f keyfile.File) error { return os.Chmod(f.Path, 0o620) },
		"a folder":              func(f keyfile.File) error { return errors.Join(os.Remove(f.Path), os.Mkdir(f.Path, 0o700)) },
		"empty":                 func(f keyfile.File) error { return os.WriteFile(f.Path, nil, 0o600) },
		"large":                 func(f keyfile.File) error { return os.WriteFile(f.Path, bytes.Repeat([]byte("\n"), 5000), 0o600) },
		"another public half":   func(f keyfile.File) error { return os.WriteFile(f.Path+".pub", []byte("other\n"), 0o600) },
		"lost":                  func(f keyfile.File) error { return os.Remove(f.Path) },
		"lost, with a next key": func(f keyfile.File) error {
			_, err := f.MakeNext("")
			return errors.Join(err, os.Remove(f.Path), os.Remove(f.Path+".pub"))
		},
		"retired": func(f keyfile.File) error {
			text, err := os.ReadFile(f.Path)
			_, err2 := f.MakeNext("")
			err3 := f.Promote()
			return errors.Join(err, err2, err3, os.Remove(f.Path+".pub"), os.WriteFile(f.Path, text, 0o600))
		},
	} {
		f := newFile(t)
		open(t, f, origin)
		if err := spoil(f); err != nil && name != "another origin" {
			t.Fatalf("%s: %v", name, err)
		} else if err == nil && name == "another origin" {
			t.Errorf("%s: opened", name)
			continue
		}
		before := beside(t, f)
		k, err := f.Open("")
		if (err == nil) != (name == "another origin") {
			t.Errorf("%s: Open = %v, %v", name, k, err)
		}
		if name == "large" && !strings.Contains(err.Error(), "small file") {
			t.Errorf("%s: it was read: %v", name, err)
		}
		if after := beside(t, f); !slices.Equal(before, after) {
			t.Errorf("%s: files %q, before %q", name, after, before)
		}
	}
	if k, err := newFile(t).Open("has space"); err == nil {
		t.Errorf("made a key for an origin that no entry may have: %v", k)
	}
}

func reopen(f keyfile.File, origin string) error {
	_, err := f.Open(origin)
	return err
}

func TestAMissingPublicHalfIsPutBack(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		f := newFile(t)
		k := open(t, f, origin)
		if err := spoil(f.Path + ".pub"); err != nil {
			t.Fatal(err)
		}
		open(t, f, origin)
		if got := read(t, f.Path+".pub"); got != k.Verifier+"\n" {
			t.Errorf("%s: public key file %q, want %q", name, got, k.Verifier)
		}
	}
}

func TestAllWhoOpenAtOnceGetOneKey(t *testing.T) {
	f := newFile(t)
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := map[string]bool{}
	for range 16 {
		wg.Go(func() {
			k, err := keyfile.Open(f.Path, origin)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			got[k.Verifier] = true
		})
	}
	wg.Wait()
	if len(got) != 1 {
		t.Errorf("%d keys, want 1", len(got))
	}
}

// TestNoErrorAndNoPrintShowsThePrivateKey looks for any eight characters in a
// row of the private half, as base64 and as fmt prints bytes.
func TestNoErrorAndNoPrintShowsThePrivateKey(t *testing.T) {
	f := newFile(t)
	k := open(t, f, origin)
	text := strings.TrimSpace(read(t, f.Path))
	secret := text[strings.LastIndex(text, origin)+len(origin)+len("+12345678+"):]
	seed, err := base64.StdEncoding.DecodeString(secret)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for i := range text {
		for _, spoilt := range []string{text[:i], text[i:], text[:i] + "\x00" + text[i:], text[:i] + "+" + text[i:], "AGENT+KEY " + text[i:]} {
			write(t, f.Path, spoilt)
			_, err := f.Open("")
			_, err2 := f.MakeNext("")
			said = append(said, fmt.Sprint(err, err2, f.Promote()))
		}
	}
	write(t, f.Path, text+"\n")
	write(t, f.Path+".pub", "other\n")
	said = append(said, fmt.Sprint(reopen(f, "")), fmt.Sprint(reopen(f, "other")))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		said = append(said, fmt.Sprintf(verb, k), fmt.Sprintf(verb, *k), fmt.Sprintf(verb, k.Signer), fmt.Sprintf(verb, struct{ k keyfile.Key }{*k}))
	}
	b, err := json.Marshal(k)
	said = append(said, string(b), fmt.Sprint(err))
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).InfoContext(t.Context(), "key", slog.Any("key", k), slog.Any("signer", k.Signer))
	slog.New(slog.NewTextHandler(&logged, nil)).InfoContext(t.Context(), "key", slog.Any("key", *k), slog.Any("signer", k.Signer))
	all := strings.Join(append(said, logged.String()), "\n")
	for i := 4; i+8 <= len(secret); i++ { // the first characters are the type
		if strings.Contains(all, secret[i:i+8]) {
			t.Fatalf("it shows a part of the private key, from its character %d", i)
		}
	}
	for _, as := range []string{fmt.Sprintf("%d", seed[1:9]), fmt.Sprintf("%#v", seed[1:9]), fmt.Sprintf("%x", seed[1:9])} {
		if strings.Contains(all, strings.Trim(as, "[]byte{}")) {
			t.Fatal("it shows the bytes of the private key")
		}
	}
	if !strings.Contains(all, "not a signing key") || !strings.Contains(all, k.Verifier) {
		t.Error("the canary flew over nothing")
	}
}

func TestASignatureIsOverTheMessageItself(t *testing.T) {
	k := open(t, newFile(t), origin)
	sig, err := k.Signer.Sign(rand.Reader, []byte("text"), crypto.Hash(0))
	if err != nil || !ed25519.Verify(k.Signer.Public().(ed25519.PublicKey), []byte("text"), sig) {
		t.Errorf("signature %x, %v", sig, err)
	}
}

func FuzzAKeyHasOneSpelling(f *testing.F) {
	private, verifier, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{private, "AGENT+KEY " + verifier, private + "\n", verifier, "AGENT+KEY " + private, strings.ToUpper(private), ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if again, err := keyfile.Spelling(text); err == nil && again != text {
			t.Errorf("%q is read, but written %q", text, again)
		}
	})
}
