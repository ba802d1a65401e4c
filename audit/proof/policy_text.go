package proof

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxPolicy is the largest policy in bytes.
	maxPolicy = 1 << 20

	// maxNamed is how many logs, witnesses and groups a policy may have of
	// each. C2SP tlog-policy asks for 32 at least.
	maxNamed = 256

	// noQuorum is the name that asks for no witnesses.
	noQuorum = "none"

	// boundWord begins the comment that bounds a log's key. Other comments
	// that begin like it are refused: a bound misspelled is a key believed too
	// far.
	boundWord   = "#lethe:until"
	boundPrefix = "#lethe:"
)

// ParsePolicy reads a policy (C2SP tlog-policy) of up to 256 logs, witnesses
// and groups each. Beyond the specification
//
//   - a comment "#lethe:until NAME+HASH SIZE" bounds the log's key that begins
//     so: it is believed for heads of up to SIZE entries. Other readers pass
//     over it.
//   - the keys of witnesses are Ed25519 keys. One of another type is refused,
//     for a witness that can never count is better found out here.
//   - a witness that has the key of one of the logs is refused: nobody is a
//     witness of himself.
//
// Errors name the line and repeat nothing of it.
func ParsePolicy(text []byte) (*Policy, error) {
	r := newPolicyReader()
	if len(text) > maxPolicy {
		return nil, fmt.Errorf("policy: longer than %d bytes", maxPolicy)
	}
	lines := strings.SplitAfter(string(text), "\n")
	for n, line := range lines[:len(lines)-1] {
		if err := r.line(strings.TrimSuffix(line, "\n"), n+1); err != nil {
			return nil, fmt.Errorf("policy, line %d: %w", n+1, err)
		}
	}
	switch {
	case lines[len(lines)-1] != "": // as if the rest had been cut off
		return nil, fmt.Errorf("policy, line %d: it does not end with a newline", len(lines))
	case !r.quorum:
		return nil, errors.New("policy: it has no quorum line")
	}
	if err := r.bound(); err != nil {
		return nil, fmt.Errorf("policy, %w", err)
	}
	return r.p, nil
}

// A policyReader reads a policy by lines.
type policyReader struct {
	p        *Policy
	keysOnly bool                // a list of keys, in which two logs may share one
	quorum   bool                // its line was there
	names    map[string]bool     // defined so far
	members  map[string]bool     // of any group so far
	ids      map[string]bool     // names with hashes of keys: a signature is known by no more
	bounds   map[string]keyBound // by name and hash
}

type keyBound struct {
	until int64
	line  int
}

func newPolicyReader() *policyReader {
	return &policyReader{
		p: &Policy{}, names: map[string]bool{noQuorum: true}, members: map[string]bool{}, ids: map[string]bool{},
		bounds: map[string]keyBound{},
	}
}

func (r *policyReader) line(line string, n int) error {
	for i := range len(line) {
		if b := line[i]; b < ' ' && b != '\t' || b == 0x7f {
			return errors.New("a control character that is neither tab nor newline")
		}
	}
	items := strings.FieldsFunc(line, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(items) == 0 {
		return nil
	}
	if items[0][0] == '#' {
		return r.comment(strings.Join(items, " "), n)
	}
	switch items[0] {
	case "log":
		return r.log(items[1:])
	case "witness":
		return r.witness(items[1:])
	case "group":
		return r.group(items[1:])
	case "quorum":
		return r.setQuorum(items[1:])
	}
	return errors.New("want log, witness, group or quorum")
}

// comment passes over a comment, unless it bounds a key. The bound is kept
// until all keys are known.
func (r *policyReader) comment(line string, n int) error {
	if !strings.HasPrefix(line, boundPrefix) {
		if word := strings.TrimLeft(line, "# \t"); strings.HasPrefix(strings.ToLower(word), boundWord[1:]) {
			return errors.New("a comment like a bound of a key: want " + boundWord + " NAME+HASH SIZE, spelled so")
		}
		return nil
	}
	items := strings.Fields(line)
	if len(items) != 3 || items[0] != boundWord {
		return errors.New("want " + boundWord + " NAME+HASH SIZE")
	}
	until, err := strconv.ParseInt(items[2], 10, 64)
	if err != nil || until < 0 || until >= maxInt || strconv.FormatInt(until, 10) != items[2] {
		return errors.New("a bound that is not a size")
	}
	if _, twice := r.bounds[items[1]]; twice {
		return errors.New("a second bound of one key")
	}
	r.bounds[items[1]] = keyBound{until, n}
	return nil
}

// bound applies the bounds to the keys.
func (r *policyReader) bound() error {
	for i := range r.p.logs {
		id := keyLabel(r.p.logs[i].Key)
		if b, ok := r.bounds[id]; ok {
			r.p.logs[i].Until = b.until
			delete(r.bounds, id)
		}
	}
	first := 0
	for _, b := range r.bounds {
		if first == 0 || b.line < first {
			first = b.line
		}
	}
	if first > 0 {
		return fmt.Errorf("line %d: a bound of a key that is not there", first)
	}
	return nil
}

// keyLabel is the beginning of a verifier key, "name+hash".
func keyLabel(k VerifyKey) string { return fmt.Sprintf("%s+%08x", k.Name(), k.KeyHash()) }

func (r *policyReader) log(items []string) error {
	if len(items) != 1 && len(items) != 2 {
		return errors.New("want log VKEY [URL]")
	}
	key, err := ParseVerifyKey(items[0])
	switch {
	case err != nil:
		return err
	case key.Cosigns():
		return errors.New("a witness's key, want a log's")
	case len(r.p.logs) == maxNamed:
		return fmt.Errorf("more than %d logs", maxNamed)
	case !r.keysOnly && slices.ContainsFunc(r.p.logs, func(l LogKey) bool { return l.Key.Same(key) }):
		return errors.New("the key of a log above")
	}
	r.p.logs = append(r.p.logs, LogKey{Key: key, Until: Unbounded, URL: second(items)})
	return errors.Join(r.known(key, key.Clock()), r.notItself())
}

func second(items []string) string {
	if len(items) < 2 {
		return ""
	}
	return items[1]
}

func (r *policyReader) witness(items []string) error {
	if len(items) != 2 && len(items) != 3 {
		return errors.New("want witness NAME VKEY [URL]")
	}
	key, err := ParseVerifyKey(items[1])
	switch {
	case err != nil:
		return err
	case !key.Cosigns():
		return errors.New("a log's key, want a witness's (type 0x04)")
	case len(r.p.witnesses) == maxNamed:
		return fmt.Errorf("more than %d witnesses", maxNamed)
	case slices.ContainsFunc(r.p.witnesses, func(w WitnessKey) bool { return w.Key.Same(key) }):
		return errors.New("the key of a witness above")
	}
	r.p.witnesses = append(r.p.witnesses, WitnessKey{Name: items[0], Key: key, URL: second(items[1:])})
	return errors.Join(r.define(items[0]), r.notItself(), r.known(key))
}

// notItself refuses a witness that has the key of a log.
func (r *policyReader) notItself() error {
	for _, w := range r.p.witnesses {
		for _, l := range r.p.logs {
			if w.Key.Same(l.Key) {
				return errors.New("one key of a log and of a witness: nobody is a witness of himself")
			}
		}
	}
	return nil
}

// known refuses two keys that a signature line would not tell apart.
func (r *policyReader) known(keys ...VerifyKey) error {
	for _, k := range keys {
		if r.ids[keyLabel(k)] {
			return errors.New("two keys of one name and hash")
		}
		r.ids[keyLabel(k)] = true
	}
	return nil
}

func (r *policyReader) define(name string) error {
	if r.names[name] {
		return errors.New("a name that is taken")
	}
	r.names[name] = true
	return nil
}

func (r *policyReader) group(items []string) error {
	if len(items) < 3 {
		return errors.New("want group NAME all|any|K and its members")
	}
	if len(r.p.groups) == maxNamed {
		return fmt.Errorf("more than %d groups", maxNamed)
	}
	g := group{name: items[0], members: items[2:]}
	for _, m := range g.members {
		if m == noQuorum || !r.names[m] {
			return errors.New("a member that is not defined above")
		}
		if r.members[m] {
			return errors.New("a member that is one already, here or of another group")
		}
		r.members[m] = true
	}
	switch k, err := strconv.Atoi(items[1]); {
	case items[1] == "all":
		g.atLeast = len(g.members)
	case items[1] == "any":
		g.atLeast = 1
	case err != nil || strconv.Itoa(k) != items[1] || k < 1 || k > len(g.members):
		return errors.New("want all, any or a number from 1 to that of the members")
	default:
		g.atLeast = k
	}
	r.p.groups = append(r.p.groups, g)
	return r.define(g.name)
}

func (r *policyReader) setQuorum(items []string) error {
	switch {
	case len(items) != 1:
		return errors.New("want quorum NAME|none")
	case r.quorum:
		return errors.New("a second quorum line")
	case !r.names[items[0]]:
		return errors.New("a name that is not defined above")
	}
	if r.quorum = true; items[0] != noQuorum {
		r.p.quorum = items[0]
	}
	return nil
}

// Text returns the policy in one spelling: logs, each with its bound below it,
// witnesses, groups and the quorum. [ParsePolicy] reads the same policy from it,
// unless it is a list of keys in which two logs share one.
func (p *Policy) Text() []byte { return []byte(p.String()) }

// String returns what Text does.
func (p *Policy) String() string {
	var b strings.Builder
	line := func(items ...string) {
		b.WriteString(strings.TrimRight(strings.Join(items, " "), " ") + "\n")
	}
	for _, l := range p.logs {
		line("log", l.Key.String(), l.URL)
		if l.Until != Unbounded {
			line(boundWord, keyLabel(l.Key), strconv.FormatInt(l.Until, 10))
		}
	}
	for _, w := range p.witnesses {
		line("witness", w.Name, w.Key.String(), w.URL)
	}
	for _, g := range p.groups {
		line("group", g.name, g.threshold(), strings.Join(g.members, " "))
	}
	line("quorum", cmp.Or(p.quorum, noQuorum))
	return b.String()
}

// threshold spells how many members a group asks for.
func (g group) threshold() string {
	switch g.atLeast {
	case len(g.members):
		return "all"
	case 1:
		return "any"
	}
	return strconv.Itoa(g.atLeast)
}
