package tables

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"

	"github.com/google/uuid"
)

// A keyType is what one ID column holds.
type keyType byte

const (
	textKey    keyType = iota // any text
	integerKey                // 64 bits, signed
	uuidKey
)

// A keying is how the rows of a place are told apart: the types of its ID
// columns, in order.
//
// One value of every type has one text, so that two texts are the same key only
// if they are equal: an integer is in decimal without leading zeros, a uuid in
// lower case with hyphens. The key of several columns is a JSON array of such
// texts, as encoding/json writes it, but with "<", ">" and "&" as they are.
type keying []keyType

// parse returns the values of a key, as texts, and false for one that no row
// can have: not of these types, or not written as format writes it.
func (k keying) parse(key string) (values []string, ok bool) {
	if !utf8.ValidString(key) || key == "" {
		return nil, false
	}
	values = []string{key}
	if len(k) != 1 {
		values = nil
		if err := json.Unmarshal([]byte(key), &values); err != nil || len(values) != len(k) || k.format(values) != key {
			return nil, false
		}
	}
	for i, t := range k {
		if !t.canonical(values[i]) {
			return nil, false
		}
	}
	return values, true
}

// format returns the key of the values of a row's ID columns, which must be
// canonical.
func (k keying) format(values []string) string {
	if len(k) == 1 {
		return values[0]
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(values) // texts always encode
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

// canonical reports whether a text is how a value of the type is written.
func (t keyType) canonical(text string) bool {
	switch t {
	case integerKey:
		n, err := strconv.ParseInt(text, 10, 64)
		return err == nil && strconv.FormatInt(n, 10) == text
	case uuidKey:
		id, err := uuid.Parse(text)
		return err == nil && id.String() == text
	default:
		return utf8.ValidString(text)
	}
}
