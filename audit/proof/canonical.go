package proof

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of a selector's JSON, which needs 2.
const maxDepth = 8

// errJSON says no more, for what is wrong may be somebody's name.
var errJSON = errors.New("not valid JSON")

// CanonicalSelector returns the one spelling of a selector's JSON: no white
// space, keys sorted and strings escaped as RFC 8785 says, numbers as 64-bit
// integers where they are whole. It is what [SubjectCommitment] is made over.
// Double keys, nulls and invalid UTF-8 are errors; the error never repeats a
// value.
func CanonicalSelector(text []byte) ([]byte, error) {
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("canonical selector: %w", errJSON)
	}
	r := reader{in: string(text)}
	b, err := r.value(nil, 0)
	if r.space(); err == nil && r.in != "" {
		err = errors.New("more than one value")
	}
	if err != nil {
		return nil, fmt.Errorf("canonical selector: %w", err)
	}
	return b, nil
}

// A reader reads JSON (RFC 8259) and writes it in canonical form. The
// standard library's would hide double keys, and needs reflection.
type reader struct{ in string }

// value reads one value and appends it to out.
func (r *reader) value(out []byte, depth int) ([]byte, error) {
	r.space()
	if r.in == "" {
		return nil, errJSON
	}
	switch b := r.in[0]; {
	case b == '{' || b == '[':
		if depth == maxDepth {
			return nil, errors.New("nested too deep")
		}
		r.in = r.in[1:]
		if b == '{' {
			return r.object(out, depth+1)
		}
		return r.array(out, depth+1)
	case b == '"':
		s, err := r.text()
		return quote(out, s), err
	case b == '-' || '0' <= b && b <= '9':
		n, err := r.number()
		return append(out, n...), err
	}
	switch {
	case r.next("true"):
		return append(out, "true"...), nil
	case r.next("false"):
		return append(out, "false"...), nil
	case r.next("null"):
		return nil, errors.New("null is not allowed")
	}
	return nil, errJSON
}

func (r *reader) object(out []byte, depth int) ([]byte, error) {
	values := map[string][]byte{}
	for more := !r.ends("}"); more; {
		r.space()
		key, err := r.text()
		if err != nil {
			return nil, err
		}
		if _, twice := values[key]; twice {
			return nil, errors.New("a key stands twice")
		}
		if r.space(); !r.next(":") {
			return nil, errJSON
		}
		if values[key], err = r.value(nil, depth); err != nil {
			return nil, err
		}
		if more, err = r.follows("}"); err != nil {
			return nil, err
		}
	}
	// RFC 8785, section 3.2.3 sorts by UTF-16 code units.
	keys := slices.SortedFunc(maps.Keys(values), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(quote(out, key), ':'), values[key]...)
	}
	return append(out, '}'), nil
}

func (r *reader) array(out []byte, depth int) ([]byte, error) {
	out = append(out, '[')
	begin := len(out)
	for more := !r.ends("]"); more; {
		if len(out) > begin {
			out = append(out, ',')
		}
		var err error
		if out, err = r.value(out, depth); err != nil {
			return nil, err
		}
		if more, err = r.follows("]"); err != nil {
			return nil, err
		}
	}
	return append(out, ']'), nil
}

// space passes over white space.
func (r *reader) space() { r.in = strings.TrimLeft(r.in, " \t\r\n") }

// next reads s if it comes next.
func (r *reader) next(s string) (ok bool) {
	r.in, ok = strings.CutPrefix(r.in, s)
	return ok
}

// ends reads the end of a list if it comes next.
func (r *reader) ends(end string) bool {
	r.space()
	return r.next(end)
}

// follows reads a comma, after which another item must follow, or the end.
func (r *reader) follows(end string) (bool, error) {
	if r.ends(end) {
		return false, nil
	}
	if !r.next(",") {
		return false, errJSON
	}
	return true, nil
}

// text reads a string.
func (r *reader) text() (string, error) {
	if !r.next(`"`) {
		return "", errJSON
	}
	var s []byte
	for {
		i := strings.IndexAny(r.in, `"\`)
		if i < 0 || strings.IndexFunc(r.in[:i], func(c rune) bool { return c < ' ' }) >= 0 {
			return "", errJSON
		}
		s = append(s, r.in[:i]...)
		r.in = r.in[i:]
		if r.next(`"`) {
			return string(s), nil
		}
		c, ok := r.escaped()
		if !ok {
			return "", errJSON
		}
		s = utf8.AppendRune(s, c)
	}
}

// escaped reads one character that is written with a backslash. A surrogate
// that stands alone is no character, and is read as U+FFFD.
func (r *reader) escaped() (rune, bool) {
	if c, ok := r.unit(); ok {
		if !utf16.IsSurrogate(c) {
			return c, true
		}
		rest := *r
		low, _ := rest.unit()
		pair := utf16.DecodeRune(c, low)
		if pair != utf8.RuneError {
			*r = rest
		}
		return pair, true
	}
	if len(r.in) < 2 {
		return 0, false
	}
	i := strings.IndexByte(`"\/bfnrt`, r.in[1])
	if i < 0 {
		return 0, false
	}
	r.in = r.in[2:]
	return rune("\"\\/\b\f\n\r\t"[i]), true
}

// unit reads \u and four hexadecimal digits.
func (r *reader) unit() (rune, bool) {
	if len(r.in) < 6 || r.in[:2] != `\u` {
		return 0, false
	}
	n, err := strconv.ParseUint(r.in[2:6], 16, 16)
	if err != nil {
		return 0, false
	}
	r.in = r.in[6:]
	return rune(n), true
}

// number reads a number.
func (r *reader) number() (string, error) {
	all := r.in
	r.next("-")
	whole := r.digits()
	ok := whole == 1 || whole > 1 && strings.TrimPrefix(all, "-")[0] != '0'
	if r.next(".") {
		ok = r.digits() > 0 && ok
	}
	if r.next("e") || r.next("E") {
		_ = r.next("+") || r.next("-")
		ok = r.digits() > 0 && ok
	}
	if !ok {
		return "", errJSON
	}
	return scalar(all[:len(all)-len(r.in)])
}

// digits passes over digits and returns how many there were.
func (r *reader) digits() int {
	rest := strings.TrimLeft(r.in, "0123456789")
	n := len(r.in) - len(rest)
	r.in = rest
	return n
}

// quote writes a string as RFC 8785, section 3.2.2.2 says. Nothing else is
// escaped.
func quote(out []byte, s string) []byte {
	out = append(out, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			out = append(out, '\\', byte(r))
		case '\b':
			out = append(out, `\b`...)
		case '\t':
			out = append(out, `\t`...)
		case '\n':
			out = append(out, `\n`...)
		case '\f':
			out = append(out, `\f`...)
		case '\r':
			out = append(out, `\r`...)
		default:
			if r < ' ' {
				out = fmt.Appendf(out, `\u%04x`, r)
				continue
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}

// scalar writes a number as a metadata value is compared: 1, 1.0 and 1e0 are
// one, and integers of 64 bits keep every digit.
func scalar(literal string) (string, error) {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return strconv.FormatInt(n, 10), nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		return "", errors.New("a number is out of range")
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return strconv.FormatInt(int64(f), 10), nil
	}
	return strconv.FormatFloat(f, 'g', -1, 64), nil
}
