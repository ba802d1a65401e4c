package tables_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"lethe/store/tables"
)

func TestKeysAreCanonical(t *testing.T) {
	const id = "0c7e1e8e-6c1a-4a86-9e6e-2f0f5f0f9f01"
	for _, c := range []struct {
		types string // t text, i integer, u uuid
		key   string
		want  []string // nil: no key of such columns
	}{
		{"t", "07", []string{"07"}},
		{"t", `["a"]`, []string{`["a"]`}},
		{"t", "", nil},
		{"t", "\xff", nil},
		{"i", "7", []string{"7"}},
		{"i", "-9223372036854775808", []string{"-9223372036854775808"}},
		{"i", "9223372036854775808", nil},
		{"i", "07", nil},
		{"i", "+7", nil},
		{"i", "-0", nil},
		{"i", " 7", nil},
		{"i", "7.0", nil},
		{"i", "x", nil},
		{"u", id, []string{id}},
		{"u", strings.ToUpper(id), nil},
		{"u", "{" + id + "}", nil},
		{"u", strings.ReplaceAll(id, "-", ""), nil},
		{"ti", `["a","7"]`, []string{"a", "7"}},
		{"ti", `["<&>","7"]`, []string{"<&>", "7"}},
		{"ti", `["","7"]`, []string{"", "7"}},
		{"ti", `["\u003c","7"]`, nil},
		{"ti", `["a", "7"]`, nil},
		{"ti", `["a","07"]`, nil},
		{"ti", `["a",7]`, nil},
		{"ti", `["a"]`, nil},
		{"ti", `["a","7","b"]`, nil},
		{"ti", `["a",null]`, nil},
		{"ti", `["\ud800","7"]`, nil},
		{"ti", `a`, nil},
		{"ti", `null`, nil},
	} {
		got, ok := tables.ParseKey(c.types, c.key)
		if ok != (c.want != nil) || !slices.Equal(got, c.want) {
			t.Errorf("columns %s, key %q: %q, %v; want %q", c.types, c.key, got, ok, c.want)
		}
	}
}

// Different rows have different keys, and every key leads back to its row.
func TestKeysTellRowsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		row := rapid.SliceOfN(rapid.String(), 2, 3)
		a, b := row.Draw(t, "a"), row.Draw(t, "b")
		ka, kb := tables.FormatKey(a), tables.FormatKey(b)
		if (ka == kb) != slices.Equal(a, b) {
			t.Fatalf("keys %q and %q", ka, kb)
		}
		if back, ok := tables.ParseKey(strings.Repeat("t", len(a)), ka); !ok || !slices.Equal(back, a) {
			t.Fatalf("key %q leads to %q, %v", ka, back, ok)
		}
	})
}
