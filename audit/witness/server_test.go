package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"lethe/audit/proof"
	"lethe/audit/witness"
)

// Every row starts from a witness that has cosigned size 40 of the log.
func TestEveryAnswerIsThatOfTheSpecification(t *testing.T) {
	log, fork, other := newTree(t, 1, 100, noFork), newTree(t, 1, 100, 30), newTree(t, 2, 100, noFork)
	stranger := newTree(t, 1, 10, noFork)
	stranger.name = "log.example/stranger"
	path, _ := log.prove(t.Context(), 40, 64)
	extended := log.sign(proof.FormatHead(origin, 64, log.root(64)) + "extension line\nand another\n")
	unknown := string(other.head(64))
	unknown = string(log.head(64)) + unknown[strings.LastIndex(unknown, "\n\n")+2:]
	for _, tt := range []struct {
		name   string
		body   []byte
		status int
		answer string
	}{
		{"grown, with a proof", log.ask(40, 64), 200, ""},
		{"the same head again", log.ask(40, 40), 200, ""},
		{"extension lines", body(40, path, extended), 200, ""},
		{"signatures of unknown keys are ignored", body(40, path, []byte(unknown)), 200, ""},

		{"the log's lines in another order", body(40, path, swapped(log.head(64))), 200, ""},
		{"a line of another name with the key's hash", body(40, path, replace(log.head(64), "\n\n— "+origin, "\n\n— another "+line(log.head(63))+"\n— "+origin)), 200, ""},

		{"unknown origin", stranger.ask(0, 5), 404, ""},
		{"another key", other.ask(40, 64), 403, ""},
		{"a signature over another head", body(40, path, replace(log.head(64), "\n64\n", "\n65\n")), 403, ""},
		{"old size larger than the checkpoint's", body(64, nil, log.head(63)), 400, ""},

		{"old size too small", log.ask(39, 64), 409, "40\n"},
		{"old size zero, to hear the size", log.ask(0, 64), 409, "40\n"},
		{"old size too large", log.ask(41, 64), 409, "40\n"},
		{"a smaller head", log.ask(20, 20), 409, "40\n"},
		{"another root, and the old size wrong as well", fork.ask(0, 40), 409, "40\n"},

		{"another root for the same size", fork.ask(40, 40), 422, ""},
		{"a fork before the remembered size", fork.ask(40, 64), 422, ""},
		{"a proof that is short", body(40, path[1:], log.head(64)), 422, ""},
		{"a proof that is long", body(40, append(path[:len(path):len(path)], path[0]), log.head(64)), 422, ""},
		{"no proof", body(40, nil, log.head(64)), 422, ""},
		{"a proof where there is nothing to prove", body(40, path, log.head(40)), 422, ""},

		{"63 lines of proof are read", body(40, make(tlog.TreeProof, 63), log.head(64)), 422, ""},
		{"64 lines of proof", body(40, make(tlog.TreeProof, 64), log.head(64)), 400, ""},
		{"nothing", nil, 400, ""},
		{"old size with a leading zero", replace(log.ask(40, 64), "old 40", "old 040"), 400, ""},
		{"old size with a sign", replace(log.ask(40, 64), "old 40", "old +40"), 400, ""},
		{"old size with two spaces", replace(log.ask(40, 64), "old 40", "old  40"), 400, ""},
		{"old size negative", replace(log.ask(40, 64), "old 40", "old -40"), 400, ""},
		{"old size beyond all trees", replace(log.ask(40, 64), "old 40", "old 9223372036854775807"), 400, ""},
		{"no old size", replace(log.ask(40, 64), "old 40\n", ""), 400, ""},
		{"CRLF after the old size", replace(log.ask(40, 64), "old 40\n", "old 40\r\n"), 400, ""},
		{"CRLF everywhere", bytes.ReplaceAll(log.ask(40, 64), []byte("\n"), []byte("\r\n")), 400, ""},
		{"CRLF in the checkpoint", body(40, path, replace(log.head(64), "\n64\n", "\r\n64\n")), 400, ""},
		{"a proof line with stray bits", replace(log.ask(40, 64), path[0].String(), path[0].String()[:42]+"9="), 400, ""},
		{"a short proof line", replace(log.ask(40, 64), path[0].String(), "AAAA"), 400, ""},
		{"no empty line", replace(log.ask(40, 64), "\n\n"+origin, "\n"+origin), 400, ""},
		{"no signature", []byte("old 40\n\n" + proof.FormatHead(origin, 64, log.root(64))), 400, ""},
		{"the last line does not end", bytes.TrimSuffix(log.ask(40, 64), []byte("\n")), 400, ""},
		{"size with a leading zero", body(40, path, log.sign(strings.Replace(proof.FormatHead(origin, 64, log.root(64)), "64", "064", 1))), 400, ""},
		{"size beyond all trees", body(40, path, log.sign(proof.FormatHead(origin, 1<<62, log.root(64)))), 400, ""},
		{"an empty extension line", body(40, path, log.sign(proof.FormatHead(origin, 64, log.root(64))+"\nx\n")), 400, ""},
		{"a long checkpoint", body(40, path, log.sign(proof.FormatHead(origin, 64, log.root(64))+strings.Repeat("x", 32<<10)+"\n")), 400, ""},
		{"too long", body(40, path, append(log.head(64), bytes.Repeat([]byte("— x AAAA\n"), 8000)...)), 413, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // mostly it waits for the disk
			s := open(t, options(t, log.verifyKey()))
			url := serve(t, s)
			if status, _, text := post(t, url, log.ask(0, 40)); status != 200 {
				t.Fatalf("size 40: status %d, %s", status, text)
			}
			_, before := get(t, url+"/checkpoint/"+stateName(origin))
			status, kind, text := post(t, url, tt.body)
			if status != tt.status || tt.answer != "" && text != tt.answer {
				t.Fatalf("status %d, %q, want %d, %q", status, text, tt.status, tt.answer)
			}
			if (kind == "text/x.tlog.size") != (status == 409) {
				t.Errorf("status %d with content type %q", status, kind)
			}
			_, after := get(t, url+"/checkpoint/"+stateName(origin))
			if status != 200 {
				if after != before {
					t.Error("a refused request changed what is kept")
				}
				return
			}
			head := tt.body[bytes.Index(tt.body, []byte("\n\n"))+2:]
			signed := string(head[:bytes.LastIndex(head, []byte("\n\n"))+2])
			for what, full := range map[string]string{"answer": signed + text, "GET": after} {
				n, err := note.Open([]byte(full), note.VerifierList(keyOf(t, s), log.verifyKey()))
				if what == "GET" && strings.Count(full, "— ") != 3 {
					t.Errorf("GET: want the log's two lines and the witness's:\n%s", full)
				}
				if err != nil || n.Text+"\n" != signed || n.Sigs[len(n.Sigs)-1].Name != "witness.example/w1" {
					t.Errorf("%s does not verify: %v\n%s", what, err, full)
				}
			}
		})
	}
}

// line is the base64 of the first signature.
func line(head []byte) string {
	_, sigs, _ := strings.Cut(string(head), "\n\n— "+origin+" ")
	b64, _, _ := strings.Cut(sigs, "\n")
	return b64
}

// swapped has the two signature lines in the other order.
func swapped(head []byte) []byte {
	text, sigs, _ := strings.Cut(string(head), "\n\n")
	lines := strings.SplitAfter(sigs, "\n")
	return []byte(text + "\n\n" + lines[1] + lines[0])
}

func replace(text []byte, old, with string) []byte {
	if !bytes.Contains(text, []byte(old)) {
		panic("the text does not have " + old)
	}
	return bytes.Replace(text, []byte(old), []byte(with), 1)
}

func TestAnEmptyLogCanBeCosignedAndGrow(t *testing.T) {
	log := newTree(t, 1, 8, noFork)
	url := serve(t, open(t, options(t, log.verifyKey())))
	for _, tt := range []struct {
		what   string
		body   []byte
		status int
	}{
		{"size 0 with a root of its own", body(0, nil, log.sign(proof.FormatHead(origin, 0, log.root(3)))), 422},
		{"size 3 with the root of nothing", body(0, nil, log.sign(proof.FormatHead(origin, 3, log.root(0)))), 422},
		{"from nothing, with a proof", body(0, make(tlog.TreeProof, 1), log.head(3)), 422},
		{"size 0", log.ask(0, 0), 200},
		{"size 0 again", log.ask(0, 0), 200},
		{"size 8", log.ask(0, 8), 200},
		{"size 0 after that", log.ask(0, 0), 409},
	} {
		if status, _, text := post(t, url, tt.body); status != tt.status {
			t.Errorf("%s: status %d, %s, want %d", tt.what, status, text, tt.status)
		}
	}
}

// The race of the specification: a smaller head must not take the place of a
// larger one that was checked at the same time.
func TestConcurrentHeadsNeverRollBack(t *testing.T) {
	log := newTree(t, 1, 60, noFork)
	s := open(t, options(t, log.verifyKey()))
	for round := range int64(19) {
		old := 3 * round
		status := make([]int, 6)
		var wg sync.WaitGroup
		for i := range status {
			wg.Go(func() { _, status[i] = s.Answer(log.ask(old, old+1+int64(i%3))) })
		}
		wg.Wait()
		_, code := s.Answer(log.ask(old+3, old+3)) // what is kept, if all went to the largest
		for n := old + 1; code == 409 && n < old+3; n++ {
			_, code = s.Answer(log.ask(n, old+3))
		}
		if ok := strings.Count(fmt.Sprint(status), "200"); code != 200 || ok == 0 {
			t.Fatalf("round %d: statuses %v, then %d", round, status, code)
		}
		// Two may be cosigned only if the second was asked from the first.
		if ok := strings.Count(fmt.Sprint(status), "200"); ok > 1 {
			t.Fatalf("round %d: %d heads were cosigned from one old size", round, ok)
		}
	}
}

func TestAContradictionIsKeptAsEvidence(t *testing.T) {
	first, second := newTree(t, 1, 50, noFork), newTree(t, 1, 50, 30)
	for name, row := range map[string]struct {
		log, fork *tree
		old       int64
	}{
		"with the right old size": {first, second, 40}, "with another": {first, second, 0}, "the other way round": {second, first, 40},
	} {
		t.Run(name, func(t *testing.T) {
			log, fork, old := row.log, row.fork, row.old
			o := options(t, log.verifyKey())
			s := open(t, o)
			s.Answer(log.ask(0, 40))
			s.Answer(body(40, nil, newTree(t, 2, 50, 30).head(40))) // anybody can write that
			path := filepath.Join(o.State, stateName(origin)+".contradiction")
			if _, err := os.Stat(path); err == nil {
				t.Fatal("a head that the log has not signed is kept as evidence")
			}
			s.Answer(fork.ask(old, 40))
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			heads, err := proof.VerifyEvidence(text, proof.NewPolicy(proof.LogKey{Key: log.verifyKey(), Until: proof.Unbounded}))
			if err != nil || heads[0].Size != 40 || heads[1].Size != 40 || heads[0].Root == heads[1].Root {
				t.Errorf("%v: want evidence of two heads of one size and two roots:\n%s", err, text)
			}
			s.Answer(newTree(t, 1, 50, 20).ask(old, 40))
			if again, _ := os.ReadFile(path); !bytes.Equal(again, text) {
				t.Error("a second contradiction took the place of the first")
			}
		})
	}
}

func TestALogMayHaveTwoKeysWhileItRotates(t *testing.T) {
	log := newTree(t, 1, 20, noFork)
	next := newTree(t, 2, 20, noFork)
	o := options(t, log.verifyKey(), next.verifyKey())
	s := open(t, o)
	for _, tt := range []struct {
		log    *tree
		old, n int64
	}{{log, 0, 5}, {next, 5, 10}, {log, 10, 15}} {
		if _, status := s.Answer(tt.log.ask(tt.old, tt.n)); status != 200 {
			t.Errorf("size %d: status %d", tt.n, status)
		}
	}
	s.Close()
	o.Logs = []proof.VerifyKey{next.verifyKey()} // and then one; the head kept has the other's signature
	s = open(t, o)
	if _, status := s.Answer(next.ask(15, 20)); status != 200 {
		t.Errorf("after the rotation: status %d", status)
	}
	s.Close()
	o.Logs = nil // and then none: it is still published, and not cosigned
	s = open(t, o)
	if _, status := s.Answer(next.ask(20, 20)); status != 404 {
		t.Errorf("no longer configured: status %d, want 404", status)
	}
	if status, text := get(t, serve(t, s)+"/checkpoint/"+stateName(origin)); status != 200 || !strings.HasPrefix(text, origin+"\n20\n") {
		t.Errorf("no longer configured: GET %d, %q", status, text)
	}
}

func TestWhatAWitnessIsNot(t *testing.T) {
	log := newTree(t, 1, 1, noFork)
	o := options(t, log.verifyKey().Clock())
	if _, err := witness.Open(o); err == nil {
		t.Error("a key that cosigns was taken for a log's")
	}
	o = options(t)
	for seed := range byte(17) {
		o.Logs = append(o.Logs, newTree(t, seed, 1, noFork).verifyKey())
	}
	if _, err := witness.Open(o); err == nil {
		t.Error("17 keys of one log were taken")
	}
	o = options(t)
	s := open(t, o)
	s.Close()
	text, err := os.ReadFile(o.Key)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	own, _ := proof.ParseVerifyKey(proof.VerifierKey(signer.Name(), publicOf(t, s.Key())))
	o.Logs = []proof.VerifyKey{own}
	if _, err := witness.Open(o); err == nil {
		t.Error("a log with the witness's own key was taken")
	}
}

func publicOf(t *testing.T, key string) ed25519.PublicKey {
	t.Helper()
	return decode(t, strings.SplitN(key, "+", 3)[2])[1:] // base64 has plus signs of its own
}

// The longest head that is taken can be read again after a restart.
func TestTheLongestHeadIsReadAgain(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	o := options(t, log.verifyKey())
	s := open(t, o)
	head := proof.FormatHead(origin, 5, log.root(5))
	long := log.sign(head + strings.Repeat("x", 32<<10-len(log.sign(head))-1) + "\n")
	if _, status := s.Answer(body(0, nil, long)); status != 200 || len(long) != 32<<10 {
		t.Fatalf("%d bytes: status %d", len(long), status)
	}
	s.Close()
	open(t, o)
}

func TestMonitorsReadWhatIsKept(t *testing.T) {
	log := newTree(t, 1, 5, noFork)
	s := open(t, options(t, log.verifyKey()))
	url := serve(t, s)
	if status, text := get(t, url+"/key"); status != 200 || text != s.Key()+"\n" {
		t.Errorf("GET /key: %d, %q", status, text)
	}
	for _, name := range []string{stateName(origin), stateName("unknown"), "..%2fwitness", "witness"} {
		if status, text := get(t, url+"/checkpoint/"+name); status != 404 {
			t.Errorf("GET /checkpoint/%s: %d, %q, want 404", name, status, text)
		}
	}
	resp, err := http.Get(url + "/add-checkpoint")
	if err != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET /add-checkpoint: %v, %v, want 405", resp, err)
	}
}
