package proof_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestEntriesSurviveEncodingUnchanged(t *testing.T) {
	for _, e := range all(t) {
		b := encode(t, e)
		got, err := proof.Decode(b)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Kind(), err, b)
		}
		if d := cmp.Diff(e, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("%s: -want +got\n%s", e.Kind(), d)
		}
		golden := filepath.Join("testdata", strings.NewReplacer("/", "-", ".", "-").Replace(e.Kind())+".json")
		want, err := os.ReadFile(golden)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			want, err = b, os.WriteFile(golden, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, want) {
			t.Errorf("%s:\n got %s\nwant %s", e.Kind(), b, want)
		}
	}
}

func TestDecodeIsStrict(t *testing.T) {
	good := string(encode(t, accepted()))
	replace := func(old, by string) string {
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in %s", old, good)
		}
		return strings.Replace(good, old, by, 1)
	}
	ids := func(n, selector string) string {
		text := strings.Replace(good, `"kind":`, `"ids":`+n+`,"kind":`, 1)
		return strings.Replace(text, `"scope"`, `"`+selector+`"`, 1)
	}
	rows := map[string]string{
		"empty":             "",
		"null":              "null",
		"not an object":     `["erasure.accepted/v1"]`,
		"cut short":         good[:len(good)-1],
		"trailing newline":  good + "\n",
		"trailing value":    good + "{}",
		"leading space":     " " + good,
		"space after colon": replace(`"regime":`, `"regime": `),
		"unknown key":       replace(`"selector"`, `"note":"x","selector"`),
		"double key":        replace(`"regime":"gdpr"`, `"regime":"gdpr","regime":"gdpr"`),
		"key in capitals":   replace(`"regime"`, `"Regime"`),
		"kind in capitals":  replace(`"kind"`, `"KIND"`),
		"missing key":       replace(`"regime":"gdpr",`, ``),
		"reordered keys":    replace(`"regime":"gdpr","request_id":"`+requestID+`"`, `"request_id":"`+requestID+`","regime":"gdpr"`),
		"null field":        replace(`"gdpr"`, `null`),
		"empty optional":    replace(`"art17-1-b"`, `""`),
		"escaped letter":    replace(`"gdpr"`, `"\u0067dpr"`),
		"float":             ids(`1.0`, `ids`),
		"exponent":          ids(`1e1`, `ids`),
		"negative":          ids(`-1`, `ids`),
		"too large":         ids(`9007199254740992`, `ids`),
		"zero optional":     ids(`0`, `scope`),
		"number as string":  ids(`"1"`, `ids`),
		"unknown kind":      replace("accepted/v1", "accepted/v2"),
		"not ASCII":         replace("assistant", "assistänt"),
		"code in capitals":  replace("assistant", "Assistant"),
		"no origin":         replace(origin, ""),
		"digest padded":     replace(`","ticket"`, `=","ticket"`),
	}
	for name, text := range rows {
		if _, err := proof.Decode([]byte(text)); !errors.Is(err, proof.ErrEntry) {
			t.Errorf("%s: err = %v, want ErrEntry", name, err)
		}
	}
	for name, text := range map[string]string{"the unchanged one": good, "a number": ids("1", "ids"), "the largest": ids("9007199254740991", "ids")} {
		if _, err := proof.Decode([]byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTimesHaveOneSpelling(t *testing.T) {
	good := string(encode(t, keyDestroyed()))
	for _, other := range []string{"2026-11-22T12:00:00.0Z", "2026-11-22T12:00:00+00:00", "2026-11-22T13:00:00+01:00", "2026-11-22t12:00:00Z", "2026-11-22T12:00:00", "1969-01-01T00:00:00Z", "-"} {
		if _, err := proof.Decode([]byte(strings.Replace(good, "2026-11-22T12:00:00Z", other, 1))); !errors.Is(err, proof.ErrEntry) {
			t.Errorf("%s: err = %v, want ErrEntry", other, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, e := range all(f) {
		f.Add(encode(f, e))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := proof.Decode(b)
		if err != nil {
			if !errors.Is(err, proof.ErrEntry) {
				t.Fatalf("err = %v, want ErrEntry", err)
			}
			return
		}
		again, err := proof.Encode(e)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("accepted %q, encodes as %q, %v", b, again, err)
		}
	})
}

func TestTimesAreWholeSeconds(t *testing.T) {
	at := time.Date(2026, 11, 22, 13, 0, 0, 999, time.FixedZone("", 3600))
	if got := proof.AtPointer(&at); got != noon || !got.Time().Equal(at.Truncate(time.Second)) {
		t.Errorf("got %v", got)
	}
	if got := proof.AtPointer(nil); got != 0 || proof.At(time.Time{}) != 0 || !got.Time().IsZero() || got.String() != "-" {
		t.Errorf("an absent time is %v", got)
	}
}

func TestALongSelectorIsCommittedToInPieces(t *testing.T) {
	w := proof.NewSubjectWriter(subjectKey())
	for _, piece := range []string{`{"ids":["a"`, `,"b"`, `]}`} {
		if _, err := w.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	if want := proof.SubjectCommitment(subjectKey(), []byte(`{"ids":["a","b"]}`)); w.Commitment() != want {
		t.Errorf("got %s, want %s", w.Commitment(), want)
	}
}
