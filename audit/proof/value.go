package proof

import (
	"strconv"
	"strings"
	"time"
)

// Lengths that a text may have, in bytes.
const (
	maxCode   = 64
	maxOrigin = 255
)

// endOfTime is the first second of the year 10000, for which RFC 3339 has no
// spelling.
const endOfTime = 253402300800

// maxInt is the first integer that not every JSON reader can hold exactly.
const maxInt = 1 << 53

// A value is what a member may hold. The set is closed, and nothing in it takes
// free text: [Time], count, tally, size, codes, list, constant, and text of
// one of the forms below.
type value interface {
	// absent reports whether it is the zero value, which optional members
	// have when they are left out.
	absent() bool

	// pass reads the value, if m reads, and then checks and writes it.
	pass(m *members)
}

// A text is a string of one form. No form has letters that JSON would escape.
type text[F form] string

// A form says what a text may be.
type form interface {
	// fault returns what v must be, as a rule that begins with a verb, or ""
	// if it is that.
	fault(v string) string
}

func (v *text[F]) absent() bool { return *v == "" }

func (v *text[F]) pass(m *members) {
	if m.reading {
		*v = text[F](m.quoted())
	}
	var f F
	if rule := f.fault(string(*v)); rule != "" {
		m.fail(rule)
	}
	m.out = append(append(append(m.out, '"'), *v...), '"')
}

// A code is a short lower-case name that stands for what is chosen from a
// list: stores, methods, regimes, reasons.
type code struct{}

func (code) fault(v string) string {
	if isCode(v) {
		return ""
	}
	return "must match [a-z0-9][a-z0-9._/+-]{0,63}"
}

// IsCode reports whether v can be the name of a store, a place, a method or
// another choice in an entry.
func IsCode(v string) bool { return isCode(v) }

func isCode(v string) bool {
	if v == "" || len(v) > maxCode || strings.IndexByte("._/+-", v[0]) >= 0 {
		return false
	}
	for i := range len(v) {
		b := v[i]
		letter := 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
		if !letter && strings.IndexByte("._/+-", b) < 0 {
			return false
		}
	}
	return true
}

type uuid struct{}

func (uuid) fault(v string) string {
	ok := len(v) == 36
	for i := 0; ok && i < len(v); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = v[i] == '-'
		} else {
			ok = '0' <= v[i] && v[i] <= '9' || 'a' <= v[i] && v[i] <= 'f'
		}
	}
	if ok {
		return ""
	}
	return "must be a UUID in lower case"
}

// A logName is the origin of a log, and the name of its keys.
type logName struct{}

func (logName) fault(v string) string {
	ok := v != "" && len(v) <= maxOrigin
	for i := 0; ok && i < len(v); i++ {
		ok = '!' <= v[i] && v[i] <= '~' && v[i] != '+' && v[i] != '"' && v[i] != '\\'
	}
	if ok {
		return ""
	}
	return "must be printable ASCII without spaces, plus signs, quotes and backslashes"
}

// A logKey is the one spelling of a verifier key under which a log signs.
type logKey struct{}

func (logKey) fault(v string) string {
	if k, err := ParseVerifyKey(v); err == nil && !k.Cosigns() {
		return ""
	}
	return "must be the verifier key of a log"
}

// A plainHash is a digest of what everyone may know.
type plainHash struct{}

func (plainHash) fault(v string) string { return digestFault(plainDigest, v) }

// A keyedHash is a digest that says nothing without its key.
type keyedHash struct{}

func (keyedHash) fault(v string) string { return digestFault(keyedDigest, v) }

// digestFault checks the form "algorithm:43 characters of base64url". The last
// character has two bits that are not used and must be 0, which leaves one
// spelling for each digest.
func digestFault(algorithm, v string) string {
	b64, ok := strings.CutPrefix(v, algorithm)
	ok = ok && len(b64) == 44 && b64[0] == ':' && strings.IndexByte("AEIMQUYcgkosw048", b64[43]) >= 0
	for i := 1; ok && i < 43; i++ {
		b := b64[i]
		ok = 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' || '0' <= b && b <= '9' || b == '-' || b == '_'
	}
	if ok {
		return ""
	}
	return "must be " + algorithm + ":<43 characters of base64url>"
}

// A constant is the one text that a member may have.
type constant string

func (*constant) absent() bool { return false }

func (v *constant) pass(m *members) {
	if m.reading && m.quoted() != string(*v) {
		m.fail("is another")
	}
	m.out = append(append(append(m.out, '"'), *v...), '"')
}

func (t *Time) absent() bool { return *t == 0 }

func (t *Time) pass(m *members) {
	if m.reading {
		// Another spelling of a time is refused when what was written is
		// compared with what was read.
		at, err := time.Parse(time.RFC3339, m.quoted())
		if err != nil {
			m.fail("is not a time")
			return
		}
		*t = Time(at.Unix())
	}
	switch {
	case *t == 0:
		m.fail("is missing")
	case *t < 0 || *t >= endOfTime:
		m.fail("must be from 1970 to 9999")
	}
	m.out = append(t.Time().AppendFormat(append(m.out, '"'), time.RFC3339), '"')
}

// A count is a number of IDs, rows or batches.
type count int

func (v *count) absent() bool { return *v == 0 }

func (v *count) pass(m *members) {
	n := int64(*v)
	if m.reading {
		n = m.number()
		*v = count(n)
	}
	if int64(*v) != n { // an int of 32 bits
		m.fail("is more than this machine can count")
	}
	m.whole(n)
}

// A tally is a count that may not have been made.
type tally struct{ v **int }

func (c tally) absent() bool { return *c.v == nil }

func (c tally) pass(m *members) {
	if m.reading {
		*c.v = new(int)
	}
	(*count)(*c.v).pass(m)
}

// A size is a number of entries of a log.
type size int64

func (v *size) absent() bool { return false }

func (v *size) pass(m *members) {
	if m.reading {
		*v = size(m.number())
	}
	m.whole(int64(*v))
}

// whole checks and writes a number.
func (m *members) whole(n int64) {
	if n < 0 || n >= maxInt {
		m.fail("must be from 0 to 2^53-1")
	}
	m.out = strconv.AppendInt(m.out, n, 10)
}

// codes is a list of codes.
type codes []string

func (*codes) absent() bool { return false }

func (v *codes) pass(m *members) {
	m.items(len(*v), func(i int) {
		if m.reading {
			*v = append(*v, "")
		}
		(*text[code])(&(*v)[i]).pass(m)
	})
}

// A list is a list of objects. An empty one is said, not left out.
type list[T any, P interface {
	*T
	object
}] []T

func (v *list[T, P]) absent() bool { return len(*v) == 0 }

func (v *list[T, P]) pass(m *members) {
	outer := m.outer
	m.outer = m.key
	m.items(len(*v), func(i int) {
		if m.reading {
			*v = append(*v, *new(T))
		}
		m.inner(P(&(*v)[i]))
	})
	m.key, m.outer = m.outer, outer
}

// items passes over the n items of a list, or, if m reads, over those that are
// there.
func (m *members) items(n int, item func(i int)) {
	m.token('[')
	for i := 0; m.err == nil; i++ {
		if !m.reading && i == n || m.reading && strings.HasPrefix(m.in, "]") {
			break
		}
		if i > 0 {
			m.token(',')
		}
		item(i)
	}
	m.token(']')
}
