package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"lethe/audit/proof"

	"pgregory.net/rapid"
)

func TestSelectorsHaveOneSpelling(t *testing.T) {
	want := `{"metadata":{"a":1,"b":"ü\u0001\n\"","c":true,"d":0.5},"user_id":"alice"}`
	for _, in := range []string{
		want,
		" { \"user_id\" : \"alice\",\n\"metadata\":{\"d\":5e-1,\"c\":true,\"b\":\"\\u00fc\\u0001\\u000a\\\"\",\"a\":1.0}}\n",
	} {
		got, err := proof.CanonicalSelector([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
	for name, in := range map[string]string{
		"double key": `{"user_id":"a","user_id":"b"}`, "null": `{"user_id":null}`, "two values": `{} {}`, "trailing comma": `{"a":1,}`,
		"not UTF-8": "{\"a\":\"\xff\"}", "too deep": strings.Repeat("[", 100) + strings.Repeat("]", 100), "empty": "", "huge": `{"a":1e999}`,
	} {
		if got, err := proof.CanonicalSelector([]byte(in)); err == nil {
			t.Errorf("%s: got %s, want an error", name, got)
		}
	}
	// Sorted by UTF-16: U+1F600 (D83D…) comes before U+FB33.
	if got, err := proof.CanonicalSelector([]byte("{\"\uFB33\":1,\"\U0001F600\":2}")); err != nil || string(got) != "{\"\U0001F600\":2,\"\uFB33\":1}" {
		t.Errorf("got %s, %v", got, err)
	}
}

// A stdReader writes canonical JSON by another way than the package: with the
// standard library's reader.
type stdReader struct{ in *json.Decoder }

func reference(text []byte) ([]byte, error) {
	if !utf8.Valid(text) || !json.Valid(text) {
		return nil, errors.New("not valid JSON")
	}
	r := stdReader{json.NewDecoder(bytes.NewReader(text))}
	r.in.UseNumber()
	b, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if _, err := r.in.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return b, nil
}

func (r stdReader) value(depth int) ([]byte, error) {
	tok, err := r.in.Token()
	if err != nil {
		return nil, err
	}
	switch tok := tok.(type) {
	case json.Delim:
		if depth == 8 {
			return nil, errors.New("too deep")
		}
		return r.items(tok == '{', depth+1)
	case string:
		return quoted(tok), nil
	case json.Number:
		return number(tok)
	case bool:
		return strconv.AppendBool(nil, tok), nil
	}
	return nil, errors.New("null")
}

func (r stdReader) items(object bool, depth int) ([]byte, error) {
	members, list := map[string][]byte{}, [][]byte(nil)
	for r.in.More() {
		var key string
		if object {
			tok, _ := r.in.Token()
			key, _ = tok.(string)
			if members[key] != nil {
				return nil, errors.New("twice")
			}
		}
		value, err := r.value(depth)
		if err != nil {
			return nil, err
		}
		members[key], list = value, append(list, value)
	}
	_, _ = r.in.Token()
	if !object {
		return slices.Concat([]byte("["), bytes.Join(list, []byte(",")), []byte("]")), nil
	}
	list = nil
	for _, key := range slices.SortedFunc(maps.Keys(members), func(a, b string) int {
		return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
	}) {
		list = append(list, slices.Concat(quoted(key), []byte(":"), members[key]))
	}
	return slices.Concat([]byte("{"), bytes.Join(list, []byte(",")), []byte("}")), nil
}

// quoted takes back the escapes that RFC 8785 does not have.
func quoted(s string) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	_ = out.Encode(s)
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte(`\\`), []byte("\x00")) // no raw zero stands in JSON
	text = bytes.ReplaceAll(text, []byte(`\u2028`), []byte("\u2028"))
	text = bytes.ReplaceAll(text, []byte(`\u2029`), []byte("\u2029"))
	return bytes.ReplaceAll(text, []byte("\x00"), []byte(`\\`))
}

func number(n json.Number) ([]byte, error) {
	if i, err := n.Int64(); err == nil {
		return strconv.AppendInt(nil, i, 10), nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, err
	}
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return strconv.AppendInt(nil, int64(f), 10), nil
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
}

func compareSelector(t interface{ Fatalf(string, ...any) }, text []byte) {
	got, err := proof.CanonicalSelector(text)
	want, wantErr := reference(text)
	if (err == nil) != (wantErr == nil) || !bytes.Equal(got, want) {
		t.Fatalf("%q:\n got %s, %v\nwant %s, %v", text, got, err, want, wantErr)
	}
}

func TestSelectorsAreReadAsTheStandardLibraryDoes(t *testing.T) {
	for _, text := range []string{
		`1`, `-0`, `0`, `-`, `01`, `-01`, `1.`, `.1`, `1.5`, `1.50e+01`, `1e`, `1e+`, `1E400`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `1e18`, `1e19`, `0.1e1`, `0e5`, `+1`, `1_0`, `0x1`,
		`"\ud83d\ude00"`, `"\ud83d"`, `"\ud83dx"`, `"\ud83d\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83d\n"`, `"\uD83D\uDE00"`, `"\u00e"`, `"\u+041"`, `"\x41"`, `"\"`, `"\\"`, `"\/\b\f\n\r\t\""`, "\"\n\"", "\"\u2028\u2029<>&\u007f\"", `"a`, `a"`, `'a'`,
		`true`, `false`, `null`, `True`, `tru`, `trueish`, `true false`, `nul`, ``, ` `, "\ufeff{}", "\u00a0{}", "\v{}",
		`{}`, `[]`, `{ }`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[1,2`, `{"a":1,}`, `{,"a":1}`, `{"a" 1}`, `{"a"}`, `{a:1}`, `{"a":1 "b":2}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{"":1}`, `{"a":}`, `{1:1}`, `{"a":1}}`, `[1]]`, `[[[[[[[[1]]]]]]]]`, `[[[[[[[[[1]]]]]]]]]`,
		`{"b":[true,{"y":1,"x":"z"}],"a":{"c":[]}}`, `{"a":null}`, `[null]`, `{"a":1}//`, `"\\u2028"`,
	} {
		compareSelector(t, []byte(text))
	}
	piece := rapid.SampledFrom([]string{
		`{`, `}`, `[`, `]`, `,`, `:`, ` `, "\n", `"`, `\`, `\u`, `\ud83d`, `\ude00`, `0`, `1`, `-`, `.`, `e`, `true`, `null`, `"a"`, `"b":`, `"user_id":"alice"`, `é`, "\U0001F600", "\ufb33", "\xff", "\x01",
	})
	rapid.Check(t, func(t *rapid.T) {
		compareSelector(t, []byte(strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")))
	})
	text := rapid.Map(rapid.String(), func(s string) string { b, _ := json.Marshal(s); return string(b) })
	rapid.Check(t, func(t *rapid.T) {
		members := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(text, 2, 2), func(kv []string) string { return kv[0] + " : " + kv[1] }), 0, 6).Draw(t, "members")
		compareSelector(t, []byte("{"+strings.Join(members, "\n, ")+"}"))
	})
}

func FuzzCanonicalSelector(f *testing.F) {
	for _, text := range []string{`{"metadata":{"a":1.50e+01,"b":"\ud83d\ude00"},"user_id":"alice"}`, `[[[[1]]], true, null]`, `{"ids":["a","b"]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { compareSelector(t, text) })
}
