package keyfile_test

import (
	"crypto/ed25519"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"lethe/audit/keyfile"
	"lethe/audit/proof"
)

// check compares what there is with what there should be: the key in force,
// the next key ("" for none) and the retired ones.
func check(t *testing.T, f keyfile.File, key, next string, retired ...string) {
	t.Helper()
	k := open(t, f, "")
	n, err := f.Next()
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Retired()
	if err != nil {
		t.Fatal(err)
	}
	if k.Verifier != key || read(t, f.Path+".pub") != key+"\n" {
		t.Errorf("key in force %s, beside it %s, want %s", k.Verifier, read(t, f.Path+".pub"), key)
	}
	if next == "" && n != nil || next != "" && (n == nil || n.Verifier != next) {
		t.Errorf("next key %v, want %q", n, next)
	}
	slices.Sort(got)
	slices.Sort(retired)
	if !slices.Equal(got, retired) {
		t.Errorf("retired keys %q, want %q", got, retired)
	}
	want := []string{"", ".pub"}
	if next != "" {
		want = append(want, ".next")
	}
	for _, r := range retired {
		want = append(want, retiredName(r))
	}
	slices.Sort(want)
	if files := beside(t, f); !slices.Equal(files, want) {
		t.Errorf("files %q, want %q", files, want)
	}
}

func makeNext(t testing.TB, f keyfile.File) *keyfile.Key {
	t.Helper()
	k, err := f.MakeNext("")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestARotation(t *testing.T) {
	f := newFile(t)
	var retired []string
	old := open(t, f, origin)
	for range 3 {
		check(t, f, old.Verifier, "", retired...)
		if err := f.Promote(); err != nil { // nothing to end
			t.Fatal(err)
		}
		next := makeNext(t, f)
		if next.Origin != origin || next.Verifier == old.Verifier {
			t.Fatalf("next key %v after %v", next, old)
		}
		if again := makeNext(t, f); again.Verifier != next.Verifier {
			t.Errorf("next key %s, then %s", next.Verifier, again.Verifier)
		}
		check(t, f, old.Verifier, next.Verifier, retired...)
		destroyed := watch(t, f.Path)
		for range 2 {
			if err := f.Promote(); err != nil {
				t.Fatal(err)
			}
		}
		destroyed()
		retired, old = append(retired, old.Verifier), next
		check(t, f, old.Verifier, "", retired...)
	}
}

// watch returns a function that makes sure that what a file held is
// overwritten on disk, under whatever name.
func watch(t testing.TB, path string) func() {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return func() {
		t.Helper()
		b := make([]byte, 5000)
		n, _ := file.ReadAt(b, 0)
		if n == 0 || strings.Trim(string(b[:n]), "\x00") != "" {
			t.Errorf("the file still holds %d bytes of a key", n)
		}
	}
}

func TestASuccessionRetiresAllKeysOfTheOldOrigin(t *testing.T) {
	f := newFile(t)
	old := open(t, f, origin)
	next := makeNext(t, f)
	gone, nextGone := watch(t, f.Path), watch(t, f.Path+".next")
	k, err := f.Replace("log.example/second", "")
	if err != nil || k.Origin != "log.example/second" {
		t.Fatalf("Replace = %v, %v", k, err)
	}
	gone()
	nextGone()
	check(t, f, k.Verifier, "", old.Verifier, next.Verifier)
	again, err := f.Replace("log.example/second", "")
	if err != nil || again.Verifier != k.Verifier {
		t.Errorf("again: %v, %v, want %v", again, err, k)
	}
	third, err := f.Replace("", "")
	if err != nil || !strings.HasPrefix(third.Origin, "lethe.local/") {
		t.Fatalf("Replace = %v, %v", third, err)
	}
	check(t, f, third.Verifier, "", old.Verifier, next.Verifier, k.Verifier)
	if _, err := f.Replace("has space", ""); err == nil {
		t.Error("a key for an origin that no entry may have")
	}
	check(t, f, third.Verifier, "", old.Verifier, next.Verifier, k.Verifier)
}

func TestNothingIsRotatedWithoutAKey(t *testing.T) {
	f := newFile(t)
	_, err := f.MakeNext("")
	_, err2 := f.Replace(origin, "")
	_, err3 := f.Next()
	for i, err := range []error{err, err2, err3, f.Promote()} {
		if err == nil {
			t.Errorf("call %d went well", i)
		}
	}
	if got := beside(t, f); len(got) != 0 {
		t.Errorf("files %q", got)
	}
}

func TestANextKeyThatIsNoneIsRefused(t *testing.T) {
	for name, text := range map[string]func(f keyfile.File) string{
		"the key itself":       func(f keyfile.File) string { return read(t, f.Path) },
		"one of another log":   func(keyfile.File) string { o := newFile(t); open(t, o, "log.example/other"); return read(t, o.Path) },
		"no key":               func(keyfile.File) string { return "key\n" },
		"one that was erased":  func(keyfile.File) string { return "\x00\x00\x00" },
		"a cosigner's key":     func(f keyfile.File) string { return "AGENT+KEY " + cosignerKey(t, f) + "\n" },
		"a key with more text": func(f keyfile.File) string { return read(t, f.Path) + "\n" },
	} {
		f := newFile(t)
		k := open(t, f, origin)
		write(t, f.Path+".next", text(f))
		_, err := f.Next()
		_, err2 := f.MakeNext("")
		if err == nil || err2 == nil || f.Promote() == nil {
			t.Errorf("%s: taken as the next key", name)
		}
		if again := open(t, f, origin); again.Verifier != k.Verifier {
			t.Errorf("%s: it came into force", name)
		}
	}
}

func TestRetiredKeysAreReadStrictly(t *testing.T) {
	f := newFile(t)
	k := open(t, f, origin)
	for name, text := range map[string]string{
		".retired-00000000.pub": k.Verifier + "\n",
		".retired-12345678.pub": "not a key\n",
	} {
		write(t, f.Path+name, text)
		if got, err := f.Retired(); err == nil {
			t.Errorf("%s: %q", name, got)
		}
		if err := os.Remove(f.Path + name); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := f.Retired(); err != nil || len(got) != 0 {
		t.Errorf("Retired = %q, %v", got, err)
	}
}

func TestAllWhoRotateAtOnceGetOneResult(t *testing.T) {
	f := newFile(t)
	old := open(t, f, origin)
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := map[string]bool{}
	for range 8 {
		wg.Go(func() {
			k, err := f.MakeNext("")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			next[k.Verifier] = true
		})
	}
	wg.Wait()
	if len(next) != 1 {
		t.Fatalf("%d next keys, want 1", len(next))
	}
	for i := range 16 {
		wg.Go(func() {
			if i%2 == 0 {
				if err := f.Promote(); err != nil {
					t.Error(err)
				}
			}
			k, err := f.Open(origin)
			if err != nil || !next[k.Verifier] && k.Verifier != old.Verifier || i%2 == 0 && !next[k.Verifier] {
				t.Errorf("Open = %v, %v", k, err)
			}
		})
	}
	wg.Wait()
	for n := range next {
		check(t, f, n, "", old.Verifier)
	}
}

func cosignerKey(t testing.TB, f keyfile.File) string {
	t.Helper()
	k := open(t, f, "")
	return proof.CosignerKey(k.Origin, k.Signer.Public().(ed25519.PublicKey))
}
