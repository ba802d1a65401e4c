package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// vkeys returns verifier keys of witnesses W1, W2 and so on, and of one log.
func vkeys(t testing.TB, n int) (log string, witnesses []string) {
	t.Helper()
	_, log = newKey(t, 1, origin)
	for i := range n {
		_, w := newWitness(t, byte(100+i), fmt.Sprintf("witness.example/w%d", i+1), noon)
		witnesses = append(witnesses, w)
	}
	return log, witnesses
}

// example is the policy that C2SP tlog-policy shows, with keys filled in.
func example(t testing.TB) string {
	t.Helper()
	log, w := vkeys(t, 6)
	return "log " + log + `

witness X1 ` + w[0] + `
witness X2 ` + w[1] + `
witness X3 ` + w[2] + `
group X-witnesses 2 X1 X2 X3

witness Y1 ` + w[3] + `
witness Y2 ` + w[4] + `
witness Y3 ` + w[5] + `
group Y-witnesses any Y1 Y2 Y3

group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
`
}

func seen(names ...string) []proof.Witnessed {
	var all []proof.Witnessed
	for _, n := range names {
		all = append(all, proof.Witnessed{Name: n})
	}
	return all
}

func TestTheQuorumOfTheSpecsExample(t *testing.T) {
	p := parsePolicy(t, example(t))
	for _, row := range []struct {
		seen    string
		met     bool
		missing string
	}{
		{"X1 X2 Y1", true, ""},
		{"Y3 X3 X1", true, ""},
		{"X1 X2 X3 Y1 Y2 Y3", true, ""},
		{"X1 X2 X3", false, "X-and-Y (has 1 of 2, needs 2; missing Y-witnesses (has 0 of 3, needs 1; missing Y1, Y2, Y3))"},
		{"X1 Y1 Y2 Y3", false, "X-and-Y (has 1 of 2, needs 2; missing X-witnesses (has 1 of 3, needs 2; missing X2, X3))"},
		{"X1 X1 Y1", false, "X-and-Y (has 1 of 2, needs 2; missing X-witnesses (has 1 of 3, needs 2; missing X2, X3))"},
		{"X-and-Y", false, "X-and-Y (has 0 of 2, needs 2; missing X-witnesses (has 0 of 3, needs 2; missing X1, X2, X3), Y-witnesses (has 0 of 3, needs 1; missing Y1, Y2, Y3))"},
	} {
		if met, missing := p.Quorum(seen(strings.Fields(row.seen)...)); met != row.met || missing != row.missing {
			t.Errorf("%s: met %v, missing %q\nwant %v, %q", row.seen, met, missing, row.met, row.missing)
		}
	}
	if got := len(p.Witnesses()); got != 6 || p.Witnesses()[3].Name != "Y1" || len(p.Logs()) != 1 {
		t.Errorf("%d witnesses", got)
	}
}

func TestPoliciesThatAreAccepted(t *testing.T) {
	log, w := vkeys(t, 3)
	for name, text := range map[string]string{
		"none":                     "quorum none\n",
		"no logs":                  "witness a " + w[0] + "\nquorum a\n",
		"white space and comments": " \t\n\t# \xff\xfe\n  log\t " + log + " \t https://log.example/ü \n#\n#lethe is a river\nquorum\tnone\t\n",
		"URLs":                     "log " + log + " u\nwitness a " + w[0] + " \xe2\x84\xaa\nquorum a\n",
		"quorum before the log":    "quorum none\nlog " + log + "\n",
		"odd names":                "witness any " + w[0] + "\nwitness K " + w[1] + "\nwitness \xe2\x84\xaa " + w[2] + "\ngroup all any any\ngroup 2 2 all K\nquorum 2\n",
		"name of a keyword":        "witness # " + w[0] + "\nquorum #\n",
		"group that is not asked":  "witness a " + w[0] + "\ngroup g all a\nquorum none\n",
		"quorum within a group":    "witness a " + w[0] + "\ngroup g all a\nquorum a\n",
		"bound":                    "#lethe:until " + log[:strings.LastIndex(log, "+")] + " 7\nlog " + log + "\nquorum none\n",
		"bound of zero":            "log " + log + "\n \t#lethe:until\t" + log[:strings.LastIndex(log, "+")] + "  0 \nquorum none\n",
	} {
		p, err := proof.ParsePolicy([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		again, err := proof.ParsePolicy(p.Text())
		if err != nil || !bytes.Equal(again.Text(), p.Text()) || len(again.Logs()) != len(p.Logs()) {
			t.Errorf("%s: read again: %v\n%s\nwant\n%s", name, err, again, p)
		}
		for i, l := range p.Logs() {
			if got := again.Logs()[i]; got.Until != l.Until || got.URL != l.URL || got.Key.String() != l.Key.String() {
				t.Errorf("%s: log %d is %+v, want %+v", name, i, got, l)
			}
		}
	}
}

func TestPoliciesThatAreRefused(t *testing.T) {
	log, w := vkeys(t, 300)
	_, otherName := newKey(t, 1, "log.example/other")
	_, sameKey := newWitness(t, 100, "witness.example/alias", noon)
	_, ofLog := newWitness(t, 1, "witness.example/self", noon)
	label := log[:strings.LastIndex(log, "+")]
	// Type 0x06, as ML-DSA-44 keys have it.
	foreign := "witness.example/pq+00000000+Bg" + strings.Repeat("A", 1750)
	many := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i) + "\n")
		}
		return b.String() + "quorum none\n"
	}
	a := "witness a " + w[0] + "\n"
	for _, row := range []struct{ text, says string }{
		{"", "no quorum line"},
		{"log " + log + "\n", "no quorum line"},
		{"quorum none", "line 1: it does not end with a newline"},
		{"quorum none\n#", "line 2: it does not end with a newline"},
		{"quorum none\nquorum none\n", "line 2: a second quorum line"},
		{"quorum\n", "line 1: want quorum"},
		{"quorum none none\n", "line 1: want quorum"},
		{"quorum secret\n", "line 1: a name that is not defined above"},
		{"quorum a\n" + a, "line 1: a name that is not defined above"},
		{"Quorum none\n", "line 1: want log, witness, group or quorum"},
		{"quorum none\r\n", "line 1: a control character"},
		{"# \x7f\nquorum none\n", "line 1: a control character"},
		{"#\x00\nquorum none\n", "line 1: a control character"},
		{"\u00a0quorum none\n", "line 1: want log"}, // no white space of ours
		{"log\nquorum none\n", "line 1: want log"},
		{"log " + log + " u u\nquorum none\n", "line 1: want log"},
		{"log " + log[1:] + "\nquorum none\n", "line 1: not a verifier key"},
		{"log " + w[0] + "\nquorum none\n", "line 1: a witness's key"},
		{"log " + log + "\nlog " + log + "\nquorum none\n", "line 2: the key of a log above"},
		{"log " + log + "\nlog " + otherName + "\nquorum none\n", "line 2: the key of a log above"},
		{"witness a\nquorum none\n", "line 1: want witness"},
		{"witness a " + w[0] + " u u\nquorum none\n", "line 1: want witness"},
		{"witness a " + log + "\nquorum none\n", "line 1: a log's key"},
		{"witness a " + foreign + "\nquorum none\n", "line 1: a verifier key of a type that is not supported"},
		{"witness none " + w[0] + "\nquorum none\n", "line 1: a name that is taken"},
		{a + "witness a " + w[1] + "\nquorum none\n", "line 2: a name that is taken"},
		{a + "witness b " + w[0] + "\nquorum none\n", "line 2: the key of a witness above"},
		{a + "witness b " + sameKey + "\nquorum none\n", "line 2: the key of a witness above"},
		{"log " + log + "\nwitness a " + ofLog + "\nquorum a\n", "line 2: one key of a log and of a witness"},
		{"witness a " + ofLog + "\nlog " + log + "\nquorum a\n", "line 2: one key of a log and of a witness"},
		{a + "group g all\nquorum none\n", "line 2: want group"},
		{a + "group a all a\nquorum none\n", "line 2: a name that is taken"},
		{a + "group none all a\nquorum none\n", "line 2: a name that is taken"},
		{a + "group g all g\nquorum none\n", "line 2: a member that is not defined above"},
		{a + "group g all none\nquorum none\n", "line 2: a member that is not defined above"},
		{a + "group g all a a\nquorum none\n", "line 2: a member that is one already"},
		{a + "group g all a\ngroup h all a\nquorum none\n", "line 3: a member that is one already"},
		{a + "group g 0 a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g 2 a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g 01 a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g +1 a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g -1 a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g ALL a\nquorum none\n", "line 2: want all, any or a number"},
		{a + "group g 99999999999999999999 a\nquorum none\n", "line 2: want all, any or a number"},
		{"log " + log + "\n#lethe:until " + label + "\nquorum none\n", "line 2: want #lethe:until"},
		{"log " + log + "\n#lethe:untill " + label + " 7\nquorum none\n", "line 2: want #lethe:until"},
		{"log " + log + "\n# lethe:until " + label + " 7\nquorum none\n", "line 2: want #lethe:until"},
		{"log " + log + "\n## \tLethe:Until " + label + " 7\nquorum none\n", "line 2: want #lethe:until"},
		{"log " + log + "\n#lethe:until " + label + " 07\nquorum none\n", "line 2: a bound that is not a size"},
		{"log " + log + "\n#lethe:until " + label + " -1\nquorum none\n", "line 2: a bound that is not a size"},
		{"log " + log + "\n#lethe:until " + label + " 7\n#lethe:until " + label + " 7\nquorum none\n", "line 3: a second bound"},
		{"log " + log + "\n#lethe:until secret+00000000 7\nquorum none\n", "line 2: a bound of a key that is not there"},
		{many(257, func(i int) string {
			_, k := newKey(t, byte(i), fmt.Sprintf("log.example/%d", i))
			return "log " + k
		}), "line 257: more than 256 logs"},
		{many(257, func(i int) string { return fmt.Sprintf("witness w%d %s", i, w[i]) }), "line 257: more than 256 witnesses"},
		{strings.Repeat("#\n", 1<<20), "longer than"},
	} {
		_, err := proof.ParsePolicy([]byte(row.text))
		if err == nil || !strings.Contains(err.Error(), row.says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%.300q: err = %v, want %q", row.text, err, row.says)
		}
	}
}

func TestPoliciesMayBeLarge(t *testing.T) {
	_, w := vkeys(t, 100)
	var b, members strings.Builder
	for i, k := range w {
		fmt.Fprintf(&b, "witness w%d %s\n", i, k)
		fmt.Fprintf(&members, " w%d", i)
		if i > 0 {
			fmt.Fprintf(&b, "group g%d any w%d\n", i, i)
		}
	}
	p := parsePolicy(t, b.String()+"quorum g99\n")
	if met, _ := p.Quorum(seen("w99")); !met || len(p.Witnesses()) != 100 {
		t.Error("not met")
	}
}

func TestKeyFilesBoundKeysToo(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	label := vkey[:strings.LastIndex(vkey, "+")]
	l := newTree(t, 10)
	keys := parseKeys(t, "# retired", vkey, "#lethe:until "+label+" 5", "", vkey)
	for size, good := range map[int]bool{1: true, 5: true, 6: false, 10: false} {
		if _, err := proof.OpenHead(l.checkpoint(t, size, signer), keys); (err == nil) != good || err != nil && !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("size %d: err = %v", size, err)
		}
	}
	for _, text := range []string{
		"", "#lethe:until " + label + " 5", vkey + "\n#lethe:until " + label + " x", vkey + "\n#lethe:until other+00000000 5",
		vkey + "\n#lethe: until", vkey + "\n# lethe:until " + label + " 5", "secret", vkey + " https://secret.example/",
	} {
		if p, err := proof.ParseKeys([]byte(text)); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: got %v, %v", text, p, err)
		}
	}
}

// Key hashes have 32 bits, so two keys of one hash can be searched for. Nobody
// could tell whose signature a line is.
func TestKeysThatALineCannotTellApartAreRefused(t *testing.T) {
	key := func(n uint32) ed25519.PublicKey {
		return append(binary.BigEndian.AppendUint32(nil, n), make([]byte, 28)...)
	}
	logA, logB := proof.VerifierKey("log.example/c", key(10265)), proof.VerifierKey("log.example/c", key(22115))
	clock, w := proof.CosignerKey("log.example/c", key(72498)), proof.CosignerKey("log.example/c", key(188811))
	log := proof.VerifierKey("log.example/c", key(72498))
	if logA[:22] != logB[:22] || clock[:22] != w[:22] {
		t.Fatal("the test is wrong: the keys do not collide")
	}
	for _, text := range []string{
		"log " + logA + "\nlog " + logB + "\nquorum none\n",
		"witness a " + clock + "\nwitness b " + w + "\nquorum none\n",
		"log " + log + "\nwitness b " + w + "\nquorum none\n", // the log's clock
		"witness b " + w + "\nlog " + log + "\nquorum none\n",
	} {
		if _, err := proof.ParsePolicy([]byte(text)); err == nil || !strings.Contains(err.Error(), "line 2: two keys of one name and hash") {
			t.Errorf("err = %v in\n%s", err, text)
		}
	}
	if _, err := proof.ParseKeys([]byte(logA + "\n" + logB)); err == nil {
		t.Error("a list of both was accepted")
	}
}
