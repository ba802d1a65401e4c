package proof

import (
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// Lengths that a field may have, in bytes.
const (
	maxCode   = 64
	maxOrigin = 255
)

// A Time is a point in time in whole Unix seconds. The zero Time is absent. In
// JSON it is RFC 3339 in UTC, such as "2026-11-22T11:21:06Z".
type Time int64

// At returns t without the fraction of its second; the zero time is absent.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.Unix())
}

// AtPointer returns what t points to, or the absent Time for nil.
func AtPointer(t *time.Time) Time {
	if t == nil {
		return 0
	}
	return At(*t)
}

// Time returns t in UTC, or the zero time if t is absent.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(int64(t), 0).UTC()
}

// String returns t as JSON has it, or "-" if it is absent.
func (t Time) String() string {
	if t == 0 {
		return "-"
	}
	return t.Time().Format(time.RFC3339)
}

// MarshalJSON writes t in RFC 3339.
func (t Time) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", t.String()), nil }

// UnmarshalJSON reads RFC 3339. Other spellings of the same time are accepted
// here and refused by [Decode], which compares bytes.
func (t *Time) UnmarshalJSON(b []byte) error {
	at, err := time.Parse(`"`+time.RFC3339+`"`, string(b))
	*t = At(at)
	return err
}

// checks keeps the first thing that is wrong with an entry. Its texts name
// fields, never values.
type checks struct{ err error }

func (c *checks) that(ok bool, format string, args ...any) {
	if !ok && c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

func (c *checks) origin(v string) {
	ok := v != "" && len(v) <= maxOrigin && printable(v) == nil && !strings.ContainsAny(v, ` +"\`)
	c.that(ok, "origin must be printable ASCII without spaces, plus signs, quotes and backslashes")
}

// code checks the short lower-case names that stand for everything that is
// chosen from a list: stores, methods, regimes.
func (c *checks) code(field, v string) {
	c.that(isCode(v), "%s must match [a-z0-9][a-z0-9._/+-]{0,63}", field)
}

func (c *checks) optionalCode(field, v string) {
	c.that(v == "" || isCode(v), "%s must match [a-z0-9][a-z0-9._/+-]{0,63}", field)
}

func isCode(v string) bool {
	if v == "" || len(v) > maxCode || strings.IndexByte("._/+-", v[0]) >= 0 {
		return false
	}
	for _, b := range []byte(v) {
		letter := 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
		if !letter && strings.IndexByte("._/+-", b) < 0 {
			return false
		}
	}
	return true
}

func (c *checks) uuid(field, v string) {
	ok := len(v) == 36
	for i := 0; ok && i < len(v); i++ {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			ok = v[i] == '-'
		} else {
			ok = '0' <= v[i] && v[i] <= '9' || 'a' <= v[i] && v[i] <= 'f'
		}
	}
	c.that(ok, "%s must be a UUID in lower case", field)
}

// digest checks the form "algorithm:43 characters of base64url". Strict
// decoding leaves one spelling for each digest.
func (c *checks) digest(field, algorithm, v string) {
	b64, ok := strings.CutPrefix(v, algorithm+":")
	b, err := base64.RawURLEncoding.Strict().DecodeString(b64)
	c.that(ok && err == nil && len(b) == 32 && len(b64) == 43, "%s must be %s:<43 characters of base64url>", field, algorithm)
}

func (c *checks) count(field string, n int) {
	c.that(n >= 0 && int64(n) < maxInt, "%s must be from 0 to 2^53-1", field)
}

func (c *checks) time(field string, t Time) {
	c.that(t != 0, "%s is missing", field)
	c.optionalTime(field, t)
}

func (c *checks) optionalTime(field string, t Time) {
	// 253402300800 is the first second of the year 10000.
	c.that(t >= 0 && t < 253402300800, "%s must be from 1970 to 9999", field)
}
