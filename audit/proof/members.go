package proof

import (
	"fmt"
	"strings"
)

// members is one pass over the members of an entry. Each kind declares its
// members once, and the same declaration writes an entry, reads it and checks
// it: a pass that reads writes at once what it has read, so that both can be
// compared at the end.
type members struct {
	reading bool
	in      string // what is not read yet
	out     []byte // what has been written
	kind    string // of the entry
	err     error  // the first thing that is wrong; names members, never values

	declared []member // of all objects that are open, the innermost last
	outer    string   // the list that is passed over, if any
	key      string   // the member that is passed over
}

// maxMembers is more than any object has.
const maxMembers = 32

// A member is one that has been declared.
type member struct {
	key      string
	value    value
	optional bool // absent is left out
}

// An object declares its members, in any order.
type object interface{ members(*members) }

func (m *members) code(key string, v *string)      { m.add(key, (*text[code])(v), false) }
func (m *members) maybeCode(key string, v *string) { m.add(key, (*text[code])(v), true) }
func (m *members) uuid(key string, v *string)      { m.add(key, (*text[uuid])(v), false) }
func (m *members) origin(key string, v *string)    { m.add(key, (*text[logName])(v), false) }
func (m *members) logKey(key string, v *string)    { m.add(key, (*text[logKey])(v), false) }
func (m *members) time(key string, v *Time)        { m.add(key, v, false) }
func (m *members) maybeTime(key string, v *Time)   { m.add(key, v, true) }
func (m *members) count(key string, v *int)        { m.add(key, (*count)(v), false) }
func (m *members) maybeCount(key string, v *int)   { m.add(key, (*count)(v), true) }
func (m *members) tally(key string, v **int)       { m.add(key, tally{v}, true) }
func (m *members) size(key string, v *int64)       { m.add(key, (*size)(v), false) }
func (m *members) codes(key string, v *[]string)   { m.add(key, (*codes)(v), false) }

// hash takes what [Digest] writes; keyed what [SubjectCommitment] does.
func (m *members) hash(key string, v *string)       { m.add(key, (*text[plainHash])(v), false) }
func (m *members) keyed(key string, v *string)      { m.add(key, (*text[keyedHash])(v), false) }
func (m *members) maybeKeyed(key string, v *string) { m.add(key, (*text[keyedHash])(v), true) }

func (m *members) add(key string, v value, optional bool) {
	m.declared = append(m.declared, member{key, v, optional})
}

// statement passes over an entry, and checks what no member shows alone.
func (m *members) statement(e Entry) error {
	m.kind = e.Kind()
	m.add("kind", (*constant)(&m.kind), false)
	m.origin("origin", &e.Head().Origin)
	e.members(m)
	m.object(0)
	c := checks{m.err}
	e.check(&c)
	c.that(len(m.out) <= MaxEntry, "longer than %d bytes", MaxEntry)
	return c.err
}

// inner passes over an object that stands in the entry.
func (m *members) inner(o object) {
	first := len(m.declared)
	o.members(m)
	m.object(first)
	m.declared = m.declared[:first]
}

// object passes over the members declared since the first.
func (m *members) object(first int) {
	own := m.declared[first:]
	order := inOrder(own)
	m.token('{')
	begin := len(m.out)
	for _, i := range order[:len(own)] {
		if m.err != nil {
			return
		}
		m.key = own[i].key
		m.member(&own[i], len(m.out) > begin)
	}
	m.token('}')
}

func (m *members) member(x *member, follows bool) {
	switch {
	case !m.reading && x.optional && x.value.absent():
		return
	case m.reading && !m.readKey(x.key, follows):
		if !x.optional {
			m.fail("is missing or not in its place")
		}
		return
	}
	if follows {
		m.out = append(m.out, ',')
	}
	m.out = append(append(append(m.out, '"'), x.key...), `":`...)
	x.value.pass(m)
	if x.optional && x.value.absent() {
		m.key = x.key // a list has moved on
		m.fail("must be left out or say something")
	}
}

// inOrder returns the places of members in the order of RFC 8785, section
// 3.2.3: all keys are ASCII, for which the order of bytes is that of UTF-16.
// The members are few and nearly in order.
func inOrder(own []member) (order [maxMembers]uint8) {
	for i := range own {
		j := i
		for ; j > 0 && own[order[j-1]].key > own[i].key; j-- {
			order[j] = order[j-1]
		}
		order[j] = uint8(i) //nolint:gosec // less than maxMembers
	}
	return order
}

// readKey reads the key if it is the next one.
func (m *members) readKey(key string, follows bool) bool {
	rest := m.in
	if follows {
		if rest == "" || rest[0] != ',' {
			return false
		}
		rest = rest[1:]
	}
	end := len(key) + 1
	if len(rest) < end+2 || rest[0] != '"' || rest[1:end] != key || rest[end:end+2] != `":` {
		return false
	}
	m.in = rest[end+2:]
	return true
}

// token passes over one byte of the frame.
func (m *members) token(b byte) {
	if m.reading && !m.next(b) {
		m.fail("is followed by something that does not belong there")
	}
	m.out = append(m.out, b)
}

// next reads b if it is the next byte.
func (m *members) next(b byte) bool {
	if m.in == "" || m.in[0] != b {
		return false
	}
	m.in = m.in[1:]
	return true
}

// quoted reads a string that needs no escapes, for no value has any.
func (m *members) quoted() string {
	if m.next('"') {
		if s, rest, ok := strings.Cut(m.in, `"`); ok {
			m.in = rest
			return s
		}
	}
	m.fail("is not a string")
	return ""
}

// number reads digits. Leading zeros are found when what was written is
// compared with what was read.
func (m *members) number() int64 {
	var n int64
	digits := 0
	for digits < len(m.in) && digits < 17 && '0' <= m.in[digits] && m.in[digits] <= '9' {
		n = n*10 + int64(m.in[digits]-'0')
		digits++
	}
	if digits == 0 {
		m.fail("is not a whole number")
	}
	m.in = m.in[digits:]
	return n
}

// fail keeps the first thing that is wrong. What it says of a member begins
// with a verb.
func (m *members) fail(what string) {
	if m.err != nil {
		return
	}
	name := m.key
	if m.outer != "" {
		name = m.outer + "." + name
	}
	m.err = fmt.Errorf("%s %s", name, what)
}
