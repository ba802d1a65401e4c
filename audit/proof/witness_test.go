package proof_test

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// A witnessed log: three witnesses of which two must have seen it.
func twoOfThree(t testing.TB) (*proof.Policy, []note.Signer) {
	t.Helper()
	_, vkey := newKey(t, 1, origin)
	var b strings.Builder
	b.WriteString("log " + vkey + "\n")
	var ws []note.Signer
	for i, name := range []string{"north", "south", "east"} {
		w, key := newWitness(t, byte(100+i), "witness.example/"+name, noon+proof.Time(10-i))
		b.WriteString("witness " + name + " " + key + "\n")
		ws = append(ws, w)
	}
	return parsePolicy(t, b.String()+"group all-of-them 2 north south east\nquorum all-of-them\n"), ws
}

func TestWitnessesOfAHeadAreKnown(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	stranger, _ := newWitness(t, 120, "witness.example/stranger", noon)
	l := newTree(t, 10)
	c := l.certificate(t, 3, 10, signer, newClock(t, 1, noon+1), ws[0], stranger, ws[1])
	r, err := proof.Verify(c.Text(), policy)
	if err != nil {
		t.Fatal(err)
	}
	h := r.Head
	if len(h.Witnesses) != 2 || h.Witnesses[0].Name != "south" || h.Witnesses[1].Name != "north" ||
		proof.At(h.Witnesses[0].At) != noon+9 || proof.At(h.Witnesses[1].At) != noon+10 || h.Witnesses[1].Key.Name() != "witness.example/north" {
		t.Errorf("witnesses %+v", h.Witnesses)
	}
	if proof.At(h.At) != noon+1 || len(h.Others) != 1 || h.Others[0] != "witness.example/stranger" {
		t.Errorf("log says %s, others %v", h.At, h.Others)
	}
	if met, missing := r.Witnessed(); !met || missing != "" {
		t.Errorf("met %v, missing %q", met, missing)
	}
	// With the log's key alone nothing is known of them.
	if r, err = proof.Verify(c.Text(), parseKeys(t, vkey)); err != nil || len(r.Head.Witnesses) != 0 || len(r.Head.Others) != 3 {
		t.Errorf("%+v, %v", r, err)
	}
	if met, _ := r.Witnessed(); !met {
		t.Error("a policy that asks for no witnesses is not met")
	}
}

func TestTooFewWitnessesAreNoRefusal(t *testing.T) {
	signer, _ := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	stranger, _ := newWitness(t, 120, "witness.example/north", noon)
	l := newTree(t, 10)
	for name, signers := range map[string][]note.Signer{
		"none":                      {signer},
		"the log itself":            {signer, newClock(t, 1, noon)},
		"one":                       {signer, ws[2]},
		"one and another's of name": {signer, ws[2], stranger},
	} {
		r, err := proof.Verify(l.certificate(t, 3, 10, signers...).Text(), policy)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if met, missing := r.Witnessed(); met || !strings.HasPrefix(missing, "all-of-them (has ") {
			t.Errorf("%s: met %v, missing %q", name, met, missing)
		}
	}
}

func TestAWrongCosignatureRefusesTheHead(t *testing.T) {
	signer, _ := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	l := newTree(t, 10)
	good := l.checkpoint(t, 10, signer, ws[0], ws[1], ws[2])
	if _, err := proof.OpenHead(good, policy); err != nil {
		t.Fatal(err)
	}
	// The cosignature of another head, under a quorum that would be met without.
	other := l.checkpoint(t, 9, signer, ws[2])
	lines := bytes.SplitAfter(good, []byte("\n"))
	lines[len(lines)-2] = lastLine(other)
	moved := bytes.Join(lines, nil)
	// Another time than the one that was signed.
	later, _ := newWitness(t, 102, "witness.example/east", noon+1000)
	retimed := append(bytes.Clone(lastLine(l.checkpoint(t, 10, signer, later))[:41]), lastLine(good)[41:]...)
	lines[len(lines)-2] = retimed
	for name, text := range map[string][]byte{
		"another head's":        moved,
		"another time":          bytes.Join(lines, nil),
		"twice":                 append(bytes.Clone(good), lastLine(good)...),
		"without the log's own": l.witnessedOnly(t, 10, ws...),
	} {
		if h, err := proof.OpenHead(text, policy); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("%s: %+v, %v, want ErrNotVerified", name, h, err)
		}
	}
}

// witnessedOnly is a head that only witnesses have signed.
func (l *tree) witnessedOnly(t testing.TB, size int, ws ...note.Signer) []byte {
	t.Helper()
	signer, _ := newKey(t, 1, origin)
	text, _, _ := strings.Cut(string(l.checkpoint(t, size, signer)), "\n\n")
	return sign(t, text+"\n", ws...)
}

func TestKeyRotationWindow(t *testing.T) {
	old, oldKey := newKey(t, 1, origin)
	next, nextKey := newKey(t, 2, origin)
	w, wKey := newWitness(t, 100, "witness.example/w", noon)
	label := oldKey[:strings.LastIndex(oldKey, "+")]
	logs := "log " + oldKey + "\n#lethe:until " + label + " 5\nlog " + nextKey + "\nwitness w " + wKey + "\n"
	none, witnessed := parsePolicy(t, logs+"quorum none\n"), parsePolicy(t, logs+"quorum w\n")
	l := newTree(t, 10)
	for _, row := range []struct {
		name    string
		size    int
		signers []note.Signer
		sound   bool // under either policy
		seen    bool // under the one with a witness
	}{
		{"old key, below its bound", 4, []note.Signer{old}, true, false},
		{"old key, at its bound", 5, []note.Signer{old}, true, false},
		{"old key, at its bound, seen", 5, []note.Signer{old, w}, true, true},
		{"old key, above its bound", 6, []note.Signer{old}, false, false},
		{"old key, above its bound, seen", 6, []note.Signer{old, w}, false, false},
		{"both keys, within the bound", 5, []note.Signer{old, next}, true, false},
		{"both keys, above the bound", 6, []note.Signer{old, next}, true, false},
		{"new key", 10, []note.Signer{next, w}, true, true},
	} {
		text := l.certificate(t, 3, row.size, row.signers...).Text()
		for _, p := range []*proof.Policy{none, witnessed} {
			r, err := proof.Verify(text, p)
			if row.sound != (err == nil) || err != nil && !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("%s: err = %v", row.name, err)
			}
			if err != nil {
				continue
			}
			if met, _ := r.Witnessed(); met != (row.seen || p == none) {
				t.Errorf("%s: met %v", row.name, met)
			}
			if row.size > 5 && r.Head.KeyID != next.KeyHash() {
				t.Errorf("%s: key %08x, want the new one", row.name, r.Head.KeyID)
			}
		}
	}
}

func TestReportsKeepTimesApart(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	l := newTree(t, 10)
	const operator, logs = "operator says 2026-11-22T12:00:00Z", "log says 2026-11-22T12:00:01Z, which is the operator's word too"
	for _, row := range []struct {
		name      string
		policy    *proof.Policy
		signers   []note.Signer
		has, lack []string
	}{
		{
			"no witnesses asked for", parseKeys(t, vkey),
			[]note.Signer{signer, ws[0]},
			[]string{operator, "no independent time", "unchecked  signatures of witness.example/north", "could show others a different history", "none asked for, none checked"},
			[]string{"log says", "no later than", "quorum "},
		},
		{
			"too few", policy,
			[]note.Signer{signer, newClock(t, 1, noon+1), ws[0]},
			[]string{operator, logs, "witnessed no later than 2026-11-22T12:00:10Z by north", "NOT met: all-of-them (has 1 of 3, needs 2; missing south, east)", "north saw the log with it by 2026-11-22T12:00:10Z, which is fewer than your policy asks for"},
			[]string{"no independent time", "different history"},
		},
		{
			"none of those asked for", policy,
			[]note.Signer{signer},
			[]string{operator, "no independent time", "quorum     NOT met: all-of-them (has 0 of 3", "could show others a different history"},
			[]string{"log says", "saw the log"},
		},
		{
			"enough", policy,
			[]note.Signer{signer, newClock(t, 1, noon+1), ws[0], ws[1]},
			[]string{
				operator, logs, "witnessed no later than 2026-11-22T12:00:09Z by south\n", "witnessed no later than 2026-11-22T12:00:10Z by north\n",
				"witnesses  south: witness.example/south, key ", "quorum     met: all-of-them", "and south and north saw the log with it by 2026-11-22T12:00:10Z; not that",
			},
			[]string{"no independent time", "different history", "NOT met", "fewer"},
		},
	} {
		r, err := proof.Verify(l.certificate(t, 3, 10, row.signers...).Text(), row.policy)
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		text := r.String()
		for _, s := range row.has {
			if !strings.Contains(text, s) {
				t.Errorf("%s: no %q in\n%s", row.name, s, text)
			}
		}
		for _, s := range row.lack {
			if strings.Contains(text, s) {
				t.Errorf("%s: %q in\n%s", row.name, s, text)
			}
		}
		if n := strings.Count(text, "  proves "); n != 1 || !strings.Contains(text, "not that no copy exists elsewhere") {
			t.Errorf("%s: %d lines on what it proves\n%s", row.name, n, text)
		}
	}
}

func TestNamesInPoliciesCannotUpsetATerminal(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	w, wKey := newWitness(t, 100, "witness.example/w", noon)
	_, xKey := newWitness(t, 101, "witness.example/x", noon)
	l := newTree(t, 10)
	text := l.certificate(t, 3, 10, signer, w).Text()
	for _, evil := range []string{"\u009b2J", "\u202e", "\xff", "\ue000"} {
		policy := parsePolicy(t, "log "+vkey+"\nwitness "+evil+" "+wKey+"\nwitness "+evil+"x "+xKey+"\nquorum "+evil+"x\n")
		r, err := proof.Verify(text, policy)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range r.String() {
			if c != '\n' && (c < ' ' || c > '~') {
				t.Fatalf("%q in\n%q", c, r)
			}
		}
	}
}

func TestTheGoldenWitnessedCertificateIsMet(t *testing.T) {
	signer, _ := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	text := newTree(t, 41).certificate(t, 3, 41, signer, newClock(t, 1, noon+1), ws[0], ws[1]).Text()
	for file, made := range map[string][]byte{"testdata/witnessed.tlog-proof": text, "testdata/policy": policy.Text()} {
		if os.Getenv("UPDATE_GOLDEN") != "" {
			write(t, file, made)
		}
		if golden, err := os.ReadFile(file); err != nil || !bytes.Equal(golden, made) {
			t.Errorf("%s: the format has changed, %v:\n%s", file, err, made)
		}
	}
	golden, err := os.ReadFile("testdata/policy")
	if err != nil {
		t.Fatal(err)
	}
	r, err := proof.Verify(text, parsePolicy(t, string(golden)))
	if err != nil {
		t.Fatal(err)
	}
	if met, missing := r.Witnessed(); !met {
		t.Error(missing)
	}
}
