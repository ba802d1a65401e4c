package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// A pair is one member of an object, byte for byte.
type pair struct{ key, value string }

func split(t testing.TB, object string) []pair {
	t.Helper()
	in := json.NewDecoder(strings.NewReader(object))
	if tok, err := in.Token(); err != nil || tok != json.Delim('{') {
		t.Fatalf("not an object: %s", object)
	}
	var pairs []pair
	for in.More() {
		key, err := in.Token()
		var value json.RawMessage
		if err = errors.Join(err, in.Decode(&value)); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, pair{key.(string), string(value)})
	}
	return pairs
}

func join(pairs []pair) string {
	parts := make([]string, len(pairs))
	for i, p := range pairs {
		parts[i] = `"` + p.key + `":` + p.value
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// mutants returns other spellings of an object and of the objects in it, and
// texts that are nearly one. None of them is an entry.
func mutants(t testing.TB, object string) map[string]string {
	t.Helper()
	pairs, out := split(t, object), map[string]string{}
	with := func(i, n int, by ...pair) string { return join(slices.Replace(slices.Clone(pairs), i, i+n, by...)) }
	for i, p := range pairs {
		is := func(name, value string) {
			if value != p.value {
				out[p.key+" "+name] = with(i, 1, pair{p.key, value})
			}
		}
		out[p.key+" after an unknown one"] = with(i, 0, pair{"note", `"x"`})
		out[p.key+" twice"] = with(i, 1, p, p)
		out[p.key+" in capitals"] = with(i, 1, pair{strings.ToUpper(p.key), p.value})
		out[p.key+" with an escape in its key"] = with(i, 1, pair{`\u00` + digits(p.key[0]) + p.key[1:], p.value})
		out[p.key+" with a space in its key"] = with(i, 1, pair{p.key + " ", p.value})
		out[p.key+" with a space before its colon"] = strings.Replace(object, `"`+p.key+`":`, `"`+p.key+`" :`, 1)
		if !optional(p.key, len(pairs)) {
			out[p.key+" missing"] = with(i, 1)
		}
		if i+1 < len(pairs) {
			out[p.key+" after the next"] = with(i, 2, pairs[i+1], p)
		}
		for _, value := range []string{`null`, `true`, `{}`, `""`, `" "`, `[[]]`, `[""]`, `[{}]`, `-1`, `-0`, `01`, `1.0`, `1e1`, `1E+1`, `9007199254740992`, `123456789012345678901234567890`, `"\u0061"`, `"\/"`, `"a\u0000"`, `"ä"`, "\"a\xff\"", `"Zoë Example <zoe@example.com>"`, ``} {
			is("is "+value, value)
		}
		for _, space := range []string{" ", "\n", "\t", "\r", "\ufeff", "\u00a0", "/**/"} {
			is("after "+space, space+p.value)
			is("before "+space, p.value+space)
		}
		first := p.value[0]
		if first == '"' {
			is("escaped", `"\u00`+digits(p.value[1])+p.value[2:])
			is("longer", p.value[:len(p.value)-1]+` "`)
			is("in brackets", "["+p.value+"]")
		} else if first != '[' {
			is("with a fraction", p.value+".0")
			is("with an exponent", p.value+"e0")
			is("with zeros", "00"+p.value)
			is("with a sign", "+"+p.value)
			is("quoted", `"`+p.value+`"`)
		} else if inner, ok := strings.CutSuffix(strings.TrimPrefix(p.value, "["), "]"); ok {
			is("with a comma more", "["+inner+",]")
			is("with a comma before", "[,"+inner+"]")
			is("without its end", "["+inner)
			if end := objectIn(inner); end > 0 {
				for name, text := range mutants(t, inner[:end]) {
					is("of which "+name, "["+text+inner[end:]+"]")
				}
			}
		}
	}
	return out
}

// objectIn returns the length of the object that a text begins with, 0 for none.
func objectIn(text string) int64 {
	in := json.NewDecoder(strings.NewReader(text))
	var object map[string]any
	if in.Decode(&object) != nil {
		return 0
	}
	return in.InputOffset()
}

func digits(b byte) string {
	return string("0123456789abcdef"[b>>4]) + string("0123456789abcdef"[b&15])
}

// optional reports whether an object of so many members may do without key.
func optional(key string, members int) bool {
	return slices.Contains([]string{"approved_by", "backup_at", "erased_at", "ground", "place", "places", "remaining", "review_at", "ticket", "until"}, key) ||
		key == "by" && members > 10 || // of a rejection, which has terms
		(key == "absent" || key == "found") && members <= 4 || // of a place
		key == "store" && members <= 3 || key == "first_erased_at" && members > 10 && members < 18
}

func TestDecodeRefusesEveryOtherSpelling(t *testing.T) {
	tried := 0
	for _, e := range all(t) {
		good := string(encode(t, e))
		texts := mutants(t, good)
		for i := range good {
			texts["cut at "+good[:i]] = good[:i]
		}
		for _, tail := range []string{" ", "\n", "{}", ",", "}", "\x00", "null", good} {
			texts["followed by "+tail] = good + tail
			texts["following "+tail] = tail + good
		}
		for name, text := range texts {
			tried++
			got, err := proof.Decode([]byte(text))
			switch {
			case !errors.Is(err, proof.ErrEntry):
				t.Errorf("%s, %s: %v, %v, want ErrEntry of\n%s", e.Kind(), name, got, err, text)
			case strings.Contains(err.Error(), "Zoë"), strings.Contains(err.Error(), requestID):
				t.Errorf("%s, %s: the error repeats what the text says: %v", e.Kind(), name, err)
			}
		}
	}
	t.Logf("%d texts, all refused", tried)
}

func TestDecodeNamesTheMemberThatIsWrong(t *testing.T) {
	good := string(encode(t, completed()))
	for _, row := range []struct{ old, by, says string }{
		{`"regime":"gdpr"`, `"regime":"GDPR"`, "regime must match"},
		{`"regime":"gdpr",`, ``, "regime is missing or not in its place"},
		{`"held":2`, `"held":2.0`, "stores.kind is missing or not in its place"},
		{`"code":"backup"`, `"code":" "`, "exclusions.code must match"},
		{`"ground":"art17-1-b"`, `"ground":""`, "ground must match"},
		{`"batches":3,"batches_root"`, `"batches":03,"batches_root"`, "not in canonical form"},
		{`"verified_at":"2026-11-22T11:59:50Z"}`, `"verified_at":"2026-11-22T11:59:50Z","zzz":1}`, "verified_at is followed by something"},
		{`completed/v1`, `completed/v2`, "unknown kind"},
	} {
		if !strings.Contains(good, row.old) {
			t.Fatalf("no %s in %s", row.old, good)
		}
		if _, err := proof.Decode([]byte(strings.Replace(good, row.old, row.by, 1))); err == nil || !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s for %s: err = %v, want %q", row.by, row.old, err, row.says)
		}
	}
	if _, err := proof.Decode(bytes.Repeat([]byte(" "), proof.MaxEntry+1)); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("a long one: %v", err)
	}
}
