package proof_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

func TestEveryEntryOfEverySizeVerifies(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	keys := parseKeys(t, vkey)
	l := newTree(t, 300)
	for n := 1; n <= 300; n++ {
		checkpoint := l.checkpoint(t, n, signer)
		step := max(1, n/3) // TestEveryPairUpTo300 has every path
		if n <= 40 && !raceEnabled {
			step = 1
		}
		for i := 0; i < n; i += step {
			path, err := tlog.ProveRecord(int64(n), int64(i), l)
			if err != nil {
				t.Fatal(err)
			}
			c := proof.Certificate{Entry: l.bodies[i], Index: int64(i), Path: path, Checkpoint: checkpoint}
			r, err := proof.Verify(c.Text(), keys)
			if err != nil {
				t.Fatalf("entry %d of %d: %v", i, n, err)
			}
			if r.Index != int64(i) || r.Head.Size != int64(n) || !bytes.Equal(r.EntryText(), l.bodies[i]) {
				t.Fatalf("entry %d of %d: got %d of %d", i, n, r.Index, r.Head.Size)
			}
		}
	}
}

func TestEveryBitOfACertificateCounts(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	keys := parseKeys(t, vkey)
	for _, at := range []struct{ idx, size int }{{3, 300}, {0, 1}} {
		text := newTree(t, at.size).certificate(t, at.idx, at.size, signer).Text()
		if _, err := proof.Verify(text, keys); err != nil {
			t.Fatal(err)
		}
		flips, puts := 0, "\x00\r\n =A0"
		for i := range text {
			if raceEnabled { // of each byte one bit, and one more byte
				puts = "\x00\r\n =A0"[i%7 : i%7+1]
			}
			for bit := range 8 {
				if raceEnabled && bit != i%8 {
					continue
				}
				flips++
				forged := bytes.Clone(text)
				forged[i] ^= 1 << bit
				if _, err := proof.Verify(forged, keys); !errors.Is(err, proof.ErrNotVerified) {
					t.Errorf("byte %d (%q) with bit %d flipped: err = %v", i, text[i], bit, err)
				}
			}
			if _, err := proof.Verify(append(bytes.Clone(text[:i]), text[i+1:]...), keys); !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("byte %d (%q) left out: err = %v", i, text[i], err)
			}
			for _, b := range []byte(puts) {
				forged := append(append(bytes.Clone(text[:i]), b), text[i:]...)
				if _, err := proof.Verify(forged, keys); !bytes.Equal(forged, text) && !errors.Is(err, proof.ErrNotVerified) {
					t.Errorf("%q put in at %d: err = %v", b, i, err)
				}
			}
		}
		t.Logf("%d bits flipped, all refused", flips)
	}
}

func TestForgedCertificates(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	stranger, _ := newKey(t, 2, origin)
	elsewhere, elsewhereKey := newKey(t, 1, "log.example/other")
	keys := parseKeys(t, vkey)
	l := newTree(t, 300)
	good := l.certificate(t, 3, 300, signer)
	other := l.certificate(t, 4, 300, signer)
	replace := func(old, by string) func(*proof.Certificate) []byte {
		return func(c *proof.Certificate) []byte {
			text := c.Text()
			if !bytes.Contains(text, []byte(old)) {
				t.Fatalf("no %q", old)
			}
			return bytes.Replace(text, []byte(old), []byte(by), 1)
		}
	}
	change := func(f func(*proof.Certificate)) func(*proof.Certificate) []byte {
		return func(c *proof.Certificate) []byte { f(c); return c.Text() }
	}
	logged := func(body []byte) func(*proof.Certificate) []byte { // by an insider with the key
		return func(*proof.Certificate) []byte {
			var l tree
			l.append(t, body)
			return l.certificate(t, 0, 1, signer).Text()
		}
	}
	rows := map[string]func(*proof.Certificate) []byte{
		"count edited": change(func(c *proof.Certificate) {
			c.Entry = bytes.Replace(c.Entry, []byte(`"erased":2478`), []byte(`"erased":2479`), 1)
		}),
		"entry spliced":      change(func(c *proof.Certificate) { c.Entry = other.Entry }),
		"another proof":      change(func(c *proof.Certificate) { c.Path = other.Path }),
		"another checkpoint": change(func(c *proof.Certificate) { c.Checkpoint = l.checkpoint(t, 299, signer) }),
		"index plus one":     change(func(c *proof.Certificate) { c.Index++ }),
		"index minus one":    change(func(c *proof.Certificate) { c.Index-- }),
		"index beyond tree":  change(func(c *proof.Certificate) { c.Index = 300 }),
		"index negative":     change(func(c *proof.Certificate) { c.Index = -1 }),
		"hash dropped":       change(func(c *proof.Certificate) { c.Path = c.Path[1:] }),
		"hash added":         change(func(c *proof.Certificate) { c.Path = append(c.Path, tlog.Hash{}) }),
		"path without end":   change(func(c *proof.Certificate) { c.Path = make(tlog.RecordProof, 100) }),
		"size edited":        replace("\n300\n", "\n301\n"),
		"stranger's key":     change(func(c *proof.Certificate) { c.Checkpoint = l.checkpoint(t, 300, stranger) }),
		"same key, other origin": change(func(c *proof.Certificate) {
			c.Checkpoint = sign(t, strings.Replace(headText(t, l, 300), origin, "log.example/other", 1), signer)
		}),
		"made for another log":   change(func(c *proof.Certificate) { c.Checkpoint = l.checkpoint(t, 300, elsewhere) }),
		"interior node as entry": change(func(c *proof.Certificate) { c.Entry = append(l.hashes[6][:], l.hashes[6][:]...) }),
		"extension line":         change(func(c *proof.Certificate) { c.Checkpoint = sign(t, headText(t, l, 300)+"ext\n", signer) }),
		"CRLF":                   func(c *proof.Certificate) []byte { return bytes.ReplaceAll(c.Text(), []byte("\n"), []byte("\r\n")) },
		"CR in base64":           replace("\nindex", "\r\nindex"),
		"leading zero of index":  replace("index 3\n", "index 03\n"),
		"plus sign of index":     replace("index 3\n", "index +3\n"),
		"leading zero of size": change(func(c *proof.Certificate) {
			c.Checkpoint = sign(t, strings.Replace(headText(t, l, 300), "\n300\n", "\n0300\n", 1), signer)
		}),
		"padding bits in proof":    padding(good.Path[0].String()),
		"padding bits in root":     padding(strings.Split(headText(t, l, 300), "\n")[2]),
		"padding bits of signer":   padding(strings.TrimSpace(strings.Split(string(good.Checkpoint), " ")[2])),
		"trailing newline":         func(c *proof.Certificate) []byte { return append(c.Text(), '\n') },
		"trailing bytes":           func(c *proof.Certificate) []byte { return append(c.Text(), "x"...) },
		"no final newline":         func(c *proof.Certificate) []byte { return bytes.TrimSuffix(c.Text(), []byte("\n")) },
		"no extra line":            change(func(c *proof.Certificate) { c.Entry = nil }),
		"no signature":             change(func(c *proof.Certificate) { c.Checkpoint = []byte(headText(t, l, 300) + "\n") }),
		"empty":                    func(*proof.Certificate) []byte { return nil },
		"header only":              func(*proof.Certificate) []byte { return []byte("c2sp.org/tlog-proof@v1\n") },
		"other version":            replace("@v1", "@v2"),
		"signature line twice":     func(c *proof.Certificate) []byte { return append(c.Text(), lastLine(c.Checkpoint)...) },
		"unknown line not base64":  func(c *proof.Certificate) []byte { return append(c.Text(), "— w.example/w !!!!\n"...) },
		"unknown line CR":          func(c *proof.Certificate) []byte { return append(c.Text(), "— w.example/w AAAAAAAA\r\n"...) },
		"unknown line escape code": func(c *proof.Certificate) []byte { return append(c.Text(), "— w\x1b[2J AAAAAAAA\n"...) },
		"unknown line stray bits":  func(c *proof.Certificate) []byte { return append(c.Text(), "— w.example/w AAAAAAB=\n"...) },
		"double key, logged":       logged(bytes.Replace(good.Entry, []byte(`"held":2`), []byte(`"held":2,"held":2`), 1)),
		"remaining, logged":        logged(bytes.Replace(good.Entry, []byte(`"remaining":0`), []byte(`"remaining":7`), 1)),
		"other origin, logged":     logged(bytes.Replace(good.Entry, []byte(origin), []byte("log.example/other"), 1)),
		"not an entry, logged":     logged([]byte("hello")),
	}
	for name, forge := range rows {
		c := good
		c.Path = append(tlog.RecordProof(nil), good.Path...)
		forged := forge(&c)
		for _, k := range []string{vkey, vkey + "\n" + elsewhereKey} {
			if r, err := proof.Verify(forged, parseKeys(t, k)); !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("%s: result %v, err = %v, want ErrNotVerified", name, r, err)
			}
		}
	}
	r, err := proof.Verify(good.Text(), keys)
	if err != nil {
		t.Fatalf("the genuine one: %v", err)
	}
	if met, _ := r.Witnessed(); !met {
		t.Error("the genuine one has too few witnesses, though none are asked for")
	}
	// A quorum asked for and none there is the one that is not forged, but is
	// not enough.
	policy, _ := twoOfThree(t)
	if r, err = proof.Verify(good.Text(), policy); err != nil {
		t.Fatalf("without witnesses: %v", err)
	}
	if met, missing := r.Witnessed(); met || missing == "" {
		t.Error("without witnesses: the quorum is met")
	}
	t.Logf("%d forgeries", len(rows))
}

func headText(t *testing.T, l *tree, size int) string {
	t.Helper()
	root, err := tlog.TreeHash(int64(size), l)
	if err != nil {
		t.Fatal(err)
	}
	return proof.FormatHead(origin, int64(size), root)
}

func lastLine(text []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	return lines[len(lines)-2]
}

// padding returns b64 spelled with stray bits, which lax decoders ignore.
func padding(b64 string) func(*proof.Certificate) []byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	return func(c *proof.Certificate) []byte {
		i := len(strings.TrimRight(b64, "=")) - 1
		stray := b64[:i] + string(alphabet[strings.IndexByte(alphabet, b64[i])^1]) + b64[i+1:]
		a, _ := base64.StdEncoding.DecodeString(b64)
		b, _ := base64.StdEncoding.DecodeString(stray)
		if !bytes.Equal(a, b) || !bytes.Contains(c.Text(), []byte(b64)) {
			panic("the test is wrong about " + b64)
		}
		return bytes.Replace(c.Text(), []byte(b64), []byte(stray), 1)
	}
}

func TestWitnessedCertificatesVerify(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	w1, w1key := newKey(t, 2, "witness.example/w1")
	w2, _ := newKey(t, 3, "witness.example/w2")
	l := newTree(t, 10)
	text := l.certificate(t, 3, 10, signer, w1, w2).Text()
	r, err := proof.Verify(text, parseKeys(t, vkey))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(r.Head.Others, " "); got != "witness.example/w1 witness.example/w2" {
		t.Errorf("others = %q", got)
	}
	if _, err := proof.Verify(text, parseKeys(t, w1key)); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("with the witness's key alone: err = %v, want ErrNotVerified", err)
	}
	if _, err := proof.Verify(text, parseKeys(t, w1key, vkey, vkey)); err != nil {
		t.Errorf("with both keys: %v", err)
	}
}

func TestTheGoldenCertificateVerifies(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	text := newTree(t, 41).certificate(t, 3, 41, signer).Text()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := errors.Join(os.WriteFile("testdata/alice.tlog-proof", text, 0o644), os.WriteFile("testdata/log.pub", []byte(vkey+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile("testdata/alice.tlog-proof")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, text) {
		t.Errorf("the format has changed:\n got %s\nwant %s", text, golden)
	}
	key, err := os.ReadFile("testdata/log.pub")
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(golden, parseKeys(t, string(key)))
	if err != nil {
		t.Fatal(err)
	}
	for selector, want := range map[string]bool{`{"user_id":"alice"}`: true, " {\n\"user_id\": \"alice\" }\n": true, `{"user_id":"bob"}`: false} {
		if got, err := r.Subject(subjectKey(), []byte(selector)); err != nil || got != want {
			t.Errorf("is about %s: %v, %v, want %v", selector, got, err, want)
		}
	}
	if got, err := r.Subject(make([]byte, 32), []byte(`{"user_id":"alice"}`)); err != nil || got {
		t.Errorf("with another key: %v, %v, want false", got, err)
	}
}

func TestReportsSayNoMoreThanTheEntry(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	report := func(e proof.Entry) string {
		var l tree
		l.append(t, encode(t, e))
		r, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, vkey))
		if err != nil {
			t.Fatal(err)
		}
		return r.String()
	}
	verified := completed()
	verified.Stores[0].Evidence, verified.Stores[0].PurgedAt, verified.PurgedAt = proof.EvidenceVerified, 0, 0
	verified.Exclude(verified.Exclusions...)
	rows := []struct {
		name      string
		text      string
		has, lack []string
	}{
		{"purged", report(completed()), []string{"2478 of 2483", "3 were already absent", "NOT erased", "purged: the store's files rewritten", "nothing left but what is held", "12 rows that nothing ties", "backup of assistant until 2026-12-22", "held of assistant (IDs that", "entry 0 of 1", "no independent time", "not that no copy exists elsewhere"}, []string{"not purged"}},
		{"verified", report(verified), []string{"not purged: bytes may be left", "wal of assistant (free pages"}, []string{"purged: the store"}},
		{"cancelled", report(cancelled()), []string{"NOT a completed erasure", "3 of 10 erased", "1 of 2 batches done", "remaining: 5"}, []string{"verified", "purged"}},
		{"accepted", report(accepted()), []string{"NOT an erasure"}, []string{"verified", "erased "}},
		{"key", report(keyDestroyed()), []string{requestID}, []string{"erased"}},
	}
	for _, row := range rows {
		for _, s := range row.has {
			if !strings.Contains(row.text, s) {
				t.Errorf("%s: no %q in\n%s", row.name, s, row.text)
			}
		}
		for _, s := range row.lack {
			if strings.Contains(row.text, s) {
				t.Errorf("%s: %q in\n%s", row.name, s, row.text)
			}
		}
		lines := strings.Split(strings.TrimSpace(row.text), "\n")
		if !strings.Contains(lines[len(lines)-1], "not that no copy exists elsewhere") {
			t.Errorf("%s: the last line is %q", row.name, lines[len(lines)-1])
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	signer, vkey := newKey(f, 1, origin)
	w, _ := newKey(f, 2, "witness.example/w1")
	l := newTree(f, 9)
	f.Add(l.certificate(f, 3, 9, signer).Text())
	f.Add(l.certificate(f, 0, 1, signer, w).Text())
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra e30=\nindex 0\n\na\n1\n\n— a AAAAAAA=\n"))
	keys := parseKeys(f, vkey)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := proof.ParseCertificate(text)
		if err == nil && !bytes.Equal(c.Text(), text) {
			t.Fatalf("accepted %q, writes %q", text, c.Text())
		}
		if err != nil && !errors.Is(err, proof.ErrNotVerified) {
			t.Fatalf("err = %v, want ErrNotVerified", err)
		}
		if r, err := proof.Verify(text, keys); err == nil {
			_ = fmt.Sprint(r) // a report of whatever verifies does not panic
		}
	})
}
