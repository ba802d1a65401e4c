package proof_test

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lethe/audit/proof"

	"pgregory.net/rapid"
)

// A node is a witness, without members, or a group of a policy made at random.
type node struct {
	name    string
	atLeast int
	members []*node
}

// sees is the definition of C2SP tlog-policy, word for word: a witness by
// itself, a group if at least k of its n members do.
func (n *node) sees(who []string) bool {
	if n.members == nil {
		return slices.Contains(who, n.name)
	}
	k := 0
	for _, m := range n.members {
		if m.sees(who) {
			k++
		}
	}
	return k >= n.atLeast
}

// randomPolicy draws a policy, its quorum, nil for none, and its witnesses.
func randomPolicy(t *rapid.T, keys []string) (text string, quorum *node, witnesses []string) {
	var b strings.Builder
	blank := rapid.SampledFrom([]string{" ", "\t", "  ", " \t "})
	line := func(items ...string) {
		b.WriteString(rapid.SampledFrom([]string{"", " ", "\t", "\n", "# a comment\n"}).Draw(t, "before"))
		b.WriteString(strings.Join(items, blank.Draw(t, "between")) + rapid.SampledFrom([]string{"\n", " \n"}).Draw(t, "after"))
	}
	var all, free []*node
	for i := range rapid.IntRange(0, 8).Draw(t, "witnesses") {
		n := &node{name: fmt.Sprintf("w%d", i)}
		line("witness", n.name, keys[i])
		all, free, witnesses = append(all, n), append(free, n), append(witnesses, n.name)
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "groups") {
		if len(free) == 0 {
			break
		}
		g := &node{name: fmt.Sprintf("g%d", i)}
		for range rapid.IntRange(1, len(free)).Draw(t, "members") {
			j := rapid.IntRange(0, len(free)-1).Draw(t, "member")
			g.members = append(g.members, free[j])
			free = slices.Delete(free, j, j+1)
		}
		g.atLeast = rapid.IntRange(1, len(g.members)).Draw(t, "k")
		k := strconv.Itoa(g.atLeast)
		if g.atLeast == 1 && rapid.Bool().Draw(t, "any") {
			k = "any"
		} else if g.atLeast == len(g.members) && rapid.Bool().Draw(t, "all") {
			k = "all"
		}
		items := []string{"group", g.name, k}
		for _, m := range g.members {
			items = append(items, m.name)
		}
		line(items...)
		all, free = append(all, g), append(free, g)
	}
	if len(all) == 0 || rapid.IntRange(0, 9).Draw(t, "none") == 0 {
		line("quorum", "none")
		return b.String(), nil, witnesses
	}
	quorum = rapid.SampledFrom(all).Draw(t, "quorum")
	line("quorum", quorum.name)
	return b.String(), quorum, witnesses
}

func TestQuorumsAreThoseOfTheSpec(t *testing.T) {
	_, keys := vkeys(t, 8)
	met, unmet := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		text, quorum, witnesses := randomPolicy(t, keys)
		p, err := proof.ParsePolicy([]byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		again, err := proof.ParsePolicy(p.Text())
		if err != nil || !bytes.Equal(again.Text(), p.Text()) {
			t.Fatalf("%v in\n%s", err, p)
		}
		var who []string
		for _, w := range witnesses {
			if rapid.Bool().Draw(t, "seen") {
				who = append(who, w)
			}
		}
		want := quorum == nil || quorum.sees(who)
		for _, p := range []*proof.Policy{p, again} {
			if got, missing := p.Quorum(seen(who...)); got != want || got != (missing == "") {
				t.Fatalf("seen by %v: met %v (%s), want %v\n%s", who, got, missing, want, text)
			}
		}
		if p.AsksForWitnesses() != (quorum != nil) {
			t.Fatal("asks for witnesses, or not")
		}
		if want {
			met++
		} else {
			unmet++
		}
	})
	if met == 0 || unmet == 0 {
		t.Errorf("%d met, %d not: the test shows nothing", met, unmet)
	}
}

func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(example(f)))
	f.Add([]byte("quorum none\n"))
	log, w := vkeys(f, 2)
	f.Add([]byte("log " + log + " https://log.example/\n#lethe:until " + log[:strings.LastIndex(log, "+")] + " 7\nwitness a " + w[0] + "\nwitness b " + w[1] + " u\ngroup g 1 a b\nquorum g\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		_, _ = proof.ParseKeys(text) // does not panic
		p, err := proof.ParsePolicy(text)
		if err != nil {
			return
		}
		again, err := proof.ParsePolicy(p.Text())
		if err != nil || !bytes.Equal(again.Text(), p.Text()) {
			t.Fatalf("accepted %q, writes %q: %v", text, p.Text(), err)
		}
		a, _ := p.Quorum(nil)
		if b, _ := again.Quorum(nil); a != b || again.AsksForWitnesses() != p.AsksForWitnesses() {
			t.Fatalf("%q is met %v, %q %v", text, a, p.Text(), b)
		}
	})
}
