package jobs_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

func number(literal string) store.Value {
	v, err := store.NumberValue(literal)
	if err != nil {
		panic(err)
	}
	return v
}

// value draws any metadata value that a request may have.
func value(t *rapid.T) store.Value {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return store.BoolValue(rapid.Bool().Draw(t, "bool"))
	case 1:
		return number(rapid.SampledFrom([]string{"9007199254740993", "-9007199254740993", "9223372036854775807", "18446744073709551615", "1.5", "-0", "-0.0", "0", "1e21", "1e-7", "5e-324", "1.7976931348623157e308", "0.1"}).Draw(t, "literal"))
	case 2:
		text, err := json.Marshal(rapid.Float64().Draw(t, "float"))
		if err != nil {
			t.Skip()
		}
		return number(string(text))
	case 3:
		text, _ := json.Marshal(rapid.Int64().Draw(t, "int"))
		return number(string(text))
	}
	return store.StringValue(rapid.StringN(1, 40, store.MaxValueBytes).Draw(t, "text"))
}

func selector(t *rapid.T) store.Selector {
	text := rapid.StringN(1, 40, store.MaxValueBytes)
	var s store.Selector
	if rapid.Bool().Draw(t, "by id") {
		s.IDs = rapid.SliceOfN(text, 1, 20).Draw(t, "ids")
	} else {
		maybe := rapid.OneOf(rapid.Just(""), text)
		s.UserID, s.AgentID = maybe.Draw(t, "user"), maybe.Draw(t, "agent")
		s.AppID, s.RunID = maybe.Draw(t, "app"), maybe.Draw(t, "run")
		s.Metadata = rapid.MapOfN(text, rapid.Custom(value), 0, 5).Draw(t, "metadata")
	}
	if s.Validate() != nil {
		t.Skip("not a selector that is taken")
	}
	return s
}

func TestSelectorsSurviveEncodingUnchanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := selector(t)
		text, err := jobs.EncodeSelector(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jobs.DecodeSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(plain(want), plain(got), cmpopts.EquateEmpty(), cmp.Comparer(func(a, b store.Value) bool { return a == b })); d != "" {
			t.Fatalf("-want +got\n%s\n%s", d, text)
		}
		again, err := proof.CanonicalSelector(text)
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%s is not canonical: %s, %v", text, again, err)
		}
	})
}

// A plain Selector can be compared and printed.
type plain store.Selector

func TestEncodedSelectorsAreSpelledOneWay(t *testing.T) {
	rows := map[string]store.Selector{
		`{"ids":["b","a"]}`:                   {IDs: []string{"b", "a"}},
		`{"agent_id":"a","user_id":"Zoë"}`:    {UserID: "Zoë", AgentID: "a"},
		`{"metadata":{"n":9007199254740993}}`: {Metadata: map[string]store.Value{"n": number("9007199254740993")}},
		`{"metadata":{"n":0}}`:                {Metadata: map[string]store.Value{"n": number("-0")}},
		`{"metadata":{"n":1}}`:                {Metadata: map[string]store.Value{"n": number("1.0")}},
		`{"metadata":{"n":1.5}}`:              {Metadata: map[string]store.Value{"n": number("15e-1")}},
		`{"metadata":{"a":true,"b":"true"}}`:  {Metadata: map[string]store.Value{"a": store.BoolValue(true), "b": store.StringValue("true")}},
	}
	for want, s := range rows {
		if got, err := jobs.EncodeSelector(s); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}

func TestDecodeSelectorIsStrictAndSilent(t *testing.T) {
	for _, bad := range []string{``, `[]`, `{"user":"jane-doe"}`, `{"USER_ID":"jane-doe"}`, `{"user_id":"jane-doe","user_id":"x"}`, `{"user_id":1}`, `{"metadata":{"jane-doe":null}}`, `{"metadata":{"jane-doe":[1]}}`, `{"user_id":"jane-doe"`, `{"user_id":"jane-doe"}{}`} {
		s, err := jobs.DecodeSelector([]byte(bad))
		if err == nil {
			t.Errorf("%s decoded as %+v", bad, plain(s))
		} else if bytes.Contains([]byte(err.Error()), []byte("jane")) {
			t.Errorf("the error quotes it: %v", err)
		}
	}
}
