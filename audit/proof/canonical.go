package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of canonical JSON. A selector needs 2.
const maxDepth = 8

// maxInt is the first integer that not every JSON reader can hold exactly.
const maxInt = 1 << 53

// A jsonProfile says which scalars may stand in canonical JSON, and how
// numbers are written.
type jsonProfile struct {
	text    func(string) error
	number  func(string) (string, error)
	boolean bool
}

// entryProfile is what entries are written in: whole numbers and printable
// ASCII, in which every JSON library agrees with RFC 8785.
func entryProfile() jsonProfile { return jsonProfile{text: printable, number: whole} }

// selectorProfile also takes what people write into metadata.
func selectorProfile() jsonProfile {
	return jsonProfile{text: func(string) error { return nil }, number: scalar, boolean: true}
}

// CanonicalSelector returns the one spelling of a selector's JSON: no white
// space, keys sorted and strings escaped as RFC 8785 says, numbers as 64-bit
// integers where they are whole. It is what [SubjectCommitment] is made over.
// Double keys, nulls and invalid UTF-8 are errors; the error never repeats a
// value.
func CanonicalSelector(text []byte) ([]byte, error) {
	b, err := canonical(text, selectorProfile())
	if err != nil {
		return nil, fmt.Errorf("canonical selector: %w", err)
	}
	return b, nil
}

func canonical(text []byte, profile jsonProfile) ([]byte, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("not valid JSON")
	}
	w := rewriter{in: json.NewDecoder(bytes.NewReader(text)), profile: profile}
	w.in.UseNumber()
	b, err := w.value(nil, 0)
	if err != nil {
		return nil, err
	}
	if _, err := w.in.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return b, nil
}

// A rewriter reads JSON by tokens, because decoding into maps would hide
// double keys.
type rewriter struct {
	in      *json.Decoder
	profile jsonProfile
}

func (w *rewriter) value(out []byte, depth int) ([]byte, error) {
	tok, err := w.in.Token()
	if err != nil {
		return nil, errors.New("not valid JSON")
	}
	switch t := tok.(type) {
	case json.Delim:
		if depth == maxDepth {
			return nil, errors.New("nested too deep")
		}
		if t == '{' {
			return w.object(out, depth+1)
		}
		return w.array(out, depth+1)
	case string:
		if err := w.profile.text(t); err != nil {
			return nil, err
		}
		return quote(out, t), nil
	case json.Number:
		n, err := w.profile.number(t.String())
		return append(out, n...), err
	case bool:
		if !w.profile.boolean {
			return nil, errors.New("a boolean is not allowed")
		}
		return strconv.AppendBool(out, t), nil
	}
	return nil, errors.New("null is not allowed")
}

func (w *rewriter) object(out []byte, depth int) ([]byte, error) {
	members := map[string][]byte{}
	for w.in.More() {
		tok, err := w.in.Token()
		key, ok := tok.(string)
		if err != nil || !ok {
			return nil, errors.New("not valid JSON")
		}
		if _, twice := members[key]; twice {
			return nil, errors.New("a key stands twice")
		}
		if err := w.profile.text(key); err != nil {
			return nil, err
		}
		if members[key], err = w.value(nil, depth); err != nil {
			return nil, err
		}
	}
	_, _ = w.in.Token() // the closing brace: the text is valid JSON
	// RFC 8785, section 3.2.3 sorts by UTF-16 code units.
	keys := slices.SortedFunc(maps.Keys(members), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	})
	out = append(out, '{')
	for i, key := range keys {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(quote(out, key), ':'), members[key]...)
	}
	return append(out, '}'), nil
}

func (w *rewriter) array(out []byte, depth int) ([]byte, error) {
	out = append(out, '[')
	for first := true; w.in.More(); first = false {
		if !first {
			out = append(out, ',')
		}
		var err error
		if out, err = w.value(out, depth); err != nil {
			return nil, err
		}
	}
	_, _ = w.in.Token() // the closing bracket
	return append(out, ']'), nil
}

// quote writes a string as RFC 8785, section 3.2.2.2 says. encoding/json would
// also escape U+2028 and U+2029.
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

func printable(s string) error {
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return errors.New("a string is not printable ASCII")
		}
	}
	return nil
}

func whole(literal string) (string, error) {
	n, err := strconv.ParseInt(literal, 10, 64)
	if err != nil || n < 0 || n >= maxInt {
		return "", errors.New("a number is not an integer from 0 to 2^53-1")
	}
	return strconv.FormatInt(n, 10), nil
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
