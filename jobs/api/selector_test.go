package api_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// word draws what identities are made of and parsers stumble over.
func word() *rapid.Generator[string] {
	odd := rapid.SampledFrom([]string{
		"alice", `"`, `\`, `\u0061`, "é", "e\u0301", "ſ", "K", "9007199254740993", "1.0", "1e0", "null", "true", "{}", "<b>",
		"a_b", "a%b", "*x", " a ", "\U0001F600", "日本", "\u2028", "\u00a0x", "user_id", "𝔘", "ﬀ", "'; --", "&amp;", "\ufffd",
	})
	return rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(rapid.OneOf(odd, rapid.String()), 1, 4).Draw(t, "parts"), "")
		if store.CheckValue("", s) != nil {
			return "x" + strings.Map(func(r rune) rune {
				if r < ' ' || r >= 0x7f && r < 0xa0 {
					return -1
				}
				return r
			}, s[:min(len(s), 9)])
		}
		return s
	}).Filter(func(s string) bool { return store.CheckValue("", s) == nil })
}

func value() *rapid.Generator[store.Value] {
	return rapid.Custom(func(t *rapid.T) store.Value {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			return store.BoolValue(rapid.Bool().Draw(t, "bool"))
		case 1:
			literal := rapid.SampledFrom([]string{
				"9007199254740993", "1.0", "1e0", "-0", "-0.0", "0.1", "1e21", "1e-7", "9223372036854775807",
				"9223372036854775808", "-9223372036854775808", "123456789012345678901234567890", "5e-324", "1.7976931348623157e308",
			}).Draw(t, "literal")
			return number(literal)
		case 2:
			return number(fmt.Sprint(rapid.Float64().Filter(func(f float64) bool { return f-f == 0 }).Draw(t, "float")))
		}
		return store.StringValue(word().Draw(t, "text"))
	})
}

func number(literal string) store.Value {
	v, err := store.NumberValue(literal)
	if err != nil {
		panic(err)
	}
	return v
}

func submission() *rapid.Generator[api.Submission] {
	return rapid.Custom(func(t *rapid.T) api.Submission {
		maybe := func(name string) string {
			if rapid.Bool().Draw(t, name+"?") {
				return word().Draw(t, name)
			}
			return ""
		}
		s := api.Submission{
			Regime: rapid.SampledFrom([]string{"", "gdpr", "ccpa"}).Draw(t, "regime"),
			Grace:  time.Duration(rapid.Int64Min(0).Draw(t, "grace")),
			Stores: rapid.SampledFrom([][]string{nil, {"app"}, {"app", "é\""}}).Draw(t, "stores"),
		}
		if rapid.Bool().Draw(t, "received?") {
			s.ReceivedAt = time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "received"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).UTC()
		}
		if rapid.IntRange(0, 3).Draw(t, "ids?") == 0 {
			s.Selector.IDs = rapid.SliceOfN(word(), 1, 2500).Draw(t, "ids")
			return s
		}
		s.Selector = store.Selector{UserID: maybe("user"), AgentID: maybe("agent"), AppID: maybe("app"), RunID: maybe("run")}
		s.Selector.Metadata = rapid.MapOfN(word(), value(), 0, 5).Draw(t, "metadata")
		return s
	}).Filter(func(s api.Submission) bool { return s.Selector.Validate() == nil })
}

// read decodes body with its IDs back in the Selector.
func read(body []byte) (jobs.Submission, error) {
	var ids []string
	s, err := api.ReadSubmission(bytes.NewReader(body), func(batch []string) error {
		if len(batch) == 0 || len(batch) > store.MaxBatch {
			return fmt.Errorf("a batch of %d", len(batch))
		}
		ids = append(ids, batch...)
		return nil
	})
	s.Selector.IDs = ids
	return s, err
}

func TestWhatTheClientWritesTheServerReads(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := submission().Draw(t, "submission")
		var body bytes.Buffer
		if err := want.Encode(&body); err != nil {
			t.Fatalf("encode: %v", err)
		}
		got, err := read(body.Bytes())
		if err != nil {
			t.Fatalf("read: %v\n%s", err, body.Bytes())
		}
		same(t, want, got)
	})
}

func same(t rapid.TB, want api.Submission, got jobs.Submission) {
	t.Helper()
	if !equal(want.Selector, got.Selector) {
		t.Errorf("selector has changed: %q, %v and %q, %v", want.Selector.Identity(), want.Selector.Metadata, got.Selector.Identity(), got.Selector.Metadata)
	}
	got.Selector = store.Selector{}
	if diff := cmp.Diff(jobs.Submission{
		Stores: want.Stores, Ticket: want.Ticket, Regime: want.Regime, Ground: want.Ground, ReceivedAt: want.ReceivedAt, Grace: want.Grace,
	}, got); diff != "" {
		t.Errorf("submission (-want +got):\n%s", diff)
	}
}

// FuzzReadSubmission: what is accepted means one thing only, so writing it
// again and reading that gives the same.
func FuzzReadSubmission(f *testing.F) {
	for _, b := range badBodies() {
		if len(b.body) < 2000 {
			f.Add([]byte(b.body))
		}
	}
	f.Add([]byte(`{"grace":"1h","selector":{"metadata":{"a":1.0,"b":true,"c":"é"},"user_id":"\u0061"},"stores":["app"]}`))
	f.Add([]byte(`{"selector":{"ids":["a","b"]},"ticket":"T","received_at":"2026-11-20T09:00:00.5+02:00","regime":"gdpr","ground":"x"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		first, err := read(body)
		if err != nil {
			return
		}
		again := api.Submission{
			Selector: first.Selector, Stores: first.Stores, Ticket: first.Ticket, Regime: first.Regime, Ground: first.Ground,
			ReceivedAt: first.ReceivedAt, Grace: first.Grace,
		}
		var text bytes.Buffer
		if err := again.Encode(&text); err != nil {
			t.Fatalf("encode: %v", err)
		}
		second, err := read(text.Bytes())
		if err != nil {
			t.Fatalf("read again: %v", err)
		}
		same(t, again, second)
	})
}

func TestKeysMayComeInAnyOrder(t *testing.T) {
	members := []string{`"selector":{"ids":["a","b"]}`, `"stores":["app"]`, `"ticket":"T"`, `"grace":"1h"`}
	for i := range members {
		body := "{" + strings.Join(append(slices.Clone(members[i:]), members[:i]...), ",") + "}"
		got, err := read([]byte(body))
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		same(t, api.Submission{Selector: store.Selector{IDs: []string{"a", "b"}}, Stores: []string{"app"}, Ticket: "T", Grace: time.Hour}, got)
	}
}

func TestReadSelectorGivesIDsInOrder(t *testing.T) {
	want := make([]string, 2*store.MaxBatch+1)
	for i := range want {
		want[i] = fmt.Sprint("id", i)
	}
	text := `{"ids":["` + strings.Join(want, `","`) + `"]}`
	sel, err := api.ReadSelector(strings.NewReader(text), nil)
	if err != nil || !slices.Equal(sel.IDs, want) {
		t.Errorf("%v, %d IDs", err, len(sel.IDs))
	}
	var batches [][]string // kept, as a taker may
	sel, err = api.ReadSelector(strings.NewReader(text), func(ids []string) error {
		batches = append(batches, ids)
		return nil
	})
	if err != nil || sel.ByID() || len(batches) != 3 || !slices.Equal(slices.Concat(batches...), want) {
		t.Errorf("%v, %d batches", err, len(batches))
	}
}

func TestClientRefusesWhatJSONCannotCarry(t *testing.T) {
	for _, s := range []store.Selector{
		{UserID: canary + "\xff"},
		{IDs: []string{canary + "\xff"}},
		{Metadata: map[string]store.Value{canary + "\xff": store.BoolValue(true)}},
		{Metadata: map[string]store.Value{canary: {}}},
	} {
		err := api.Submission{Selector: s}.Encode(&bytes.Buffer{})
		if p, ok := errors.AsType[*api.Problem](err); !ok || p.Status != 422 || repeats(err.Error()) {
			t.Errorf("err = %v, want a problem", err)
		}
	}
}
