package store

import (
	"errors"
	"math"
	"strconv"
)

// A ValueKind is the JSON type of a Value.
type ValueKind byte

// The kinds of Value. The zero ValueKind is invalid.
const (
	KindString ValueKind = 's'
	KindNumber ValueKind = 'n'
	KindBool   ValueKind = 'b'
)

// A Value is a scalar that metadata is compared with, exactly and by type: the
// string "1", the number 1 and true are three different Values, while the
// numbers 1, 1.0 and 1e0 are one. Values can be compared with ==.
type Value struct {
	kind ValueKind
	text string // the string; the canonical number; "true" or "false"
}

// StringValue returns s as a Value.
func StringValue(s string) Value { return Value{KindString, s} }

// BoolValue returns b as a Value.
func BoolValue(b bool) Value { return Value{KindBool, strconv.FormatBool(b)} }

// NumberValue returns the number that a JSON literal denotes. Integers of 64
// bits keep every digit; any other number is the nearest float64, and one
// beyond its range is an error.
func NumberValue(literal string) (Value, error) {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return Value{KindNumber, strconv.FormatInt(n, 10)}, nil
	}
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return Value{}, errors.New("number out of range")
	}
	// Below 2^63 a whole float64 is the same number as an int64.
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return Value{KindNumber, strconv.FormatInt(int64(f), 10)}, nil
	}
	return Value{KindNumber, strconv.FormatFloat(f, 'g', -1, 64)}, nil
}

// Kind returns the Value's JSON type.
func (v Value) Kind() ValueKind { return v.kind }

// Any returns the Value as a string, int64, float64 or bool.
func (v Value) Any() any {
	switch v.kind {
	case KindBool:
		return v.text == "true"
	case KindNumber:
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return n
		}
		f, _ := strconv.ParseFloat(v.text, 64) // canonical by construction
		return f
	default:
		return v.text
	}
}

// Literal returns the number or bool as a JSON literal, and a string as it is.
func (v Value) Literal() string { return v.text }

func (v Value) validate() error {
	switch v.kind {
	case 0:
		return &FieldError{"selector.metadata", "must have string, number or boolean values"}
	case KindString:
		return CheckValue("selector.metadata", v.text)
	}
	return nil
}
