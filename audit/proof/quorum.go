package proof

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A Witnessed is the cosignature of a witness under a head: the witness has
// seen the head, and that it continues whatever the witness had seen before,
// no later than At by the witness's own clock.
type Witnessed struct {
	Name string // of the witness in the policy
	Key  VerifyKey
	At   time.Time
}

// Quorum reports whether enough witnesses have cosigned, or else what is
// missing, in words for people. The cosignatures must be of a [Head] that was
// opened under this policy. A policy that asks for no witnesses is always met.
func (p *Policy) Quorum(seen []Witnessed) (met bool, missing string) {
	has := map[string]bool{}
	for _, w := range seen {
		has[w.Name] = true
	}
	for _, g := range p.groups { // its members stand above it
		has[g.name] = g.count(has) >= g.atLeast
	}
	if p.quorum == "" || has[p.quorum] {
		return true, ""
	}
	return false, p.missing(p.quorum, has)
}

// AsksForWitnesses reports whether the policy has a quorum at all.
func (p *Policy) AsksForWitnesses() bool { return p.quorum != "" }

func (g group) count(has map[string]bool) int {
	n := 0
	for _, m := range g.members {
		if has[m] {
			n++
		}
	}
	return n
}

// missing says what a witness or group that has not seen a head lacks. Groups
// within it that lack something follow in brackets.
func (p *Policy) missing(name string, has map[string]bool) string {
	for _, g := range p.groups {
		if g.name != name {
			continue
		}
		var lack []string
		for _, m := range g.members {
			if !has[m] {
				lack = append(lack, p.missing(m, has))
			}
		}
		return fmt.Sprintf("%s (has %d of %d, needs %d; missing %s)",
			legible(name), g.count(has), len(g.members), g.atLeast, strings.Join(lack, ", "))
	}
	return legible(name)
}

// legible returns text as a terminal may show it, in quotes if it has anything
// that does not print: names in a policy are any bytes, and so are file names.
func legible(name string) string {
	plain := utf8.ValidString(name)
	for _, c := range name {
		plain = plain && strconv.IsPrint(c)
	}
	if plain {
		return name
	}
	return strconv.QuoteToASCII(name)
}
