package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// A decoder reads one JSON body, RFC 8259 and I-JSON's rule (RFC 7493, section
// 2.3) that names are unique. Nesting is bounded by what is asked for: there is
// no function that reads an arbitrary value. Errors are *Problem, wrap errUnread
// or errTooLarge, or come from the function that takes the IDs.
type decoder struct {
	json *jsontext.Decoder
	body *budget
	ids  idReader
}

// A field is a key of an object with the function that reads its value. The
// function is told where it stands, for its errors.
type field struct {
	name string
	read func(at string) error
}

func newDecoder(r io.Reader, take func([]string) error) *decoder {
	b := &budget{r: r}
	return &decoder{json: jsontext.NewDecoder(b), body: b, ids: idReader{take: take}}
}

// object reads an object that has only keys of fields. Where it stands is "" for
// the body itself.
func (d *decoder) object(at string, fields []field) error {
	if err := d.open(at, jsontext.KindBeginObject, "must be an object"); err != nil {
		return err
	}
	for d.json.PeekKind() != jsontext.KindEndObject {
		name, err := d.token(at)
		if err != nil {
			return within(err, fields)
		}
		f, err := lookup(at, name.String(), fields)
		if err != nil {
			return err
		}
		if err := f.read(join(at, f.name)); err != nil {
			return err
		}
	}
	_, err := d.token(at)
	return err
}

// open reads the token that begins an object or an array.
func (d *decoder) open(at string, kind jsontext.Kind, otherwise string) error {
	t, err := d.token(at)
	if err == nil && t.Kind() != kind {
		err = malformed(shown(at), otherwise)
	}
	return err
}

// text reads a string.
func (d *decoder) text(at string) (string, error) {
	t, err := d.token(at)
	if err != nil {
		return "", err
	}
	if t.Kind() != jsontext.KindString {
		return "", malformed(shown(at), "must be a string")
	}
	return t.String(), nil
}

// end makes sure that nothing but whitespace follows.
func (d *decoder) end() error {
	_, err := d.json.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case err == nil:
		return malformed("body", "must be one JSON value with nothing after it")
	}
	return d.unreadable("", err)
}

func (d *decoder) token(at string) (jsontext.Token, error) {
	t, err := d.json.ReadToken()
	if err != nil {
		return t, d.unreadable(at, err)
	}
	return t, nil
}

// A duplicate is the error of a name that is given twice.
type duplicate struct{ at, name string }

func (e *duplicate) Error() string { return shown(e.at) + " has a key twice" }

// unreadable tells what the reader beneath did from what the text is like. Of
// jsontext's own errors it uses the kind and the place only: their text quotes.
func (d *decoder) unreadable(at string, err error) error {
	syntax, isSyntax := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName) && isSyntax:
		return &duplicate{at, syntax.JSONPointer.LastToken()}
	case errors.Is(err, errTooLarge) || isA[*http.MaxBytesError](err):
		return errTooLarge
	case isSyntax:
		return malformed(shown(at), fmt.Sprintf("is not JSON in UTF-8 at byte %d", syntax.ByteOffset))
	case errors.Is(err, io.EOF):
		return malformed(shown(at), "must not be empty")
	}
	return fmt.Errorf("%w: %w", errUnread, err)
}

// within names the key of a duplicate, if it is one of ours.
func within(err error, fields []field) error {
	dup, ok := errors.AsType[*duplicate](err)
	if !ok {
		return err
	}
	for _, f := range fields {
		if f.name == dup.name {
			return malformed(join(dup.at, f.name), "must not be given twice")
		}
	}
	return malformed(shown(dup.at), "must not have a key twice")
}

// lookup returns the field that name names. Its errors name our keys, and the
// one that was sent only if it looks like a key and like nothing else: it may
// be somebody's address.
func lookup(at, name string, fields []field) (field, error) {
	names := make([]string, len(fields))
	for i, f := range fields {
		if f.name == name {
			return f, nil
		}
		names[i] = f.name
	}
	for _, f := range fields {
		if strings.EqualFold(plain(f.name), plain(name)) {
			return field{}, malformed(join(at, f.name), "must be spelled "+f.name+" exactly")
		}
	}
	if keyLike(name) {
		return field{}, malformed(join(at, name), "is not a known key; known are "+strings.Join(names, ", "))
	}
	return field{}, malformed(shown(at), "must not have keys other than "+strings.Join(names, ", "))
}

// keyLike reports whether a name is written as API keys are, in lower case with
// underscores, so that a slip of the pen can be named.
func keyLike(name string) bool {
	return name != "" && len(name) <= 32 && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") == ""
}

// plain drops what other spellings of a key differ by, case apart.
func plain(name string) string { return strings.NewReplacer("_", "", "-", "", " ", "").Replace(name) }

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}

// shown is where something stands, as an answer says it.
func shown(at string) string {
	if at == "" {
		return "body"
	}
	return at
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
