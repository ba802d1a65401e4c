package proof_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func all() []proof.Entry {
	return []proof.Entry{accepted(), completed(), cancelled(), keyDestroyed()}
}

func TestEntriesSurviveEncodingUnchanged(t *testing.T) {
	for _, e := range all() {
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

func TestNoExclusionsAreSaid(t *testing.T) {
	e := completed()
	e.Exclusions = nil
	if b := encode(t, e); !bytes.Contains(b, []byte(`"exclusions":[]`)) {
		t.Errorf("got %s", b)
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
		"float":             replace(`"selector":"scope"`, `"ids":1.0,"selector":"ids"`),
		"exponent":          replace(`"selector":"scope"`, `"ids":1e1,"selector":"ids"`),
		"negative":          replace(`"selector":"scope"`, `"ids":-1,"selector":"ids"`),
		"too large":         replace(`"selector":"scope"`, `"ids":9007199254740992,"selector":"ids"`),
		"zero optional":     replace(`"selector":"scope"`, `"ids":0,"selector":"scope"`),
		"number as string":  replace(`"selector":"scope"`, `"ids":"1","selector":"ids"`),
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
	if _, err := proof.Decode([]byte(good)); err != nil {
		t.Errorf("the unchanged one: %v", err)
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

func TestCompletedRefusesWhatIsNotComplete(t *testing.T) {
	rows := map[string]func(*proof.Completed, *proof.StoreProof){
		"remaining":              func(_ *proof.Completed, s *proof.StoreProof) { s.Remaining = 1 },
		"refused":                func(_ *proof.Completed, s *proof.StoreProof) { s.Refused, s.Erased = 1, s.Erased-1 },
		"sum too small":          func(_ *proof.Completed, s *proof.StoreProof) { s.Absent-- },
		"sum too large":          func(_ *proof.Completed, s *proof.StoreProof) { s.Absent++ },
		"found over requested":   func(_ *proof.Completed, s *proof.StoreProof) { s.Found = s.Requested + 1 },
		"erased over found":      func(_ *proof.Completed, s *proof.StoreProof) { s.Found = s.Erased },
		"evidence none":          func(_ *proof.Completed, s *proof.StoreProof) { s.Evidence = "none" },
		"evidence erased":        func(_ *proof.Completed, s *proof.StoreProof) { s.Evidence = "erased" },
		"evidence missing":       func(_ *proof.Completed, s *proof.StoreProof) { s.Evidence = "" },
		"purged without time":    func(_ *proof.Completed, s *proof.StoreProof) { s.PurgedAt = 0 },
		"time without purged":    func(_ *proof.Completed, s *proof.StoreProof) { s.Evidence = proof.EvidenceVerified },
		"negative count":         func(_ *proof.Completed, s *proof.StoreProof) { s.Held, s.Absent = -1, s.Absent+3 },
		"count of 2^53":          func(_ *proof.Completed, s *proof.StoreProof) { s.Unattributable = 1 << 53 },
		"counts that wrap":       func(_ *proof.Completed, s *proof.StoreProof) { s.Absent = math.MaxInt },
		"no method":              func(_ *proof.Completed, s *proof.StoreProof) { s.Method = "" },
		"never verified":         func(_ *proof.Completed, s *proof.StoreProof) { s.VerifiedAt = 0 },
		"blank name":             func(_ *proof.Completed, s *proof.StoreProof) { s.Name = " " },
		"batches not the sum":    func(e *proof.Completed, _ *proof.StoreProof) { e.Batches++ },
		"no stores":              func(e *proof.Completed, _ *proof.StoreProof) { e.Stores, e.Batches = nil, 0 },
		"a store twice":          func(e *proof.Completed, s *proof.StoreProof) { e.Stores, e.Batches = append(e.Stores, *s), 6 },
		"exclusion without code": func(e *proof.Completed, _ *proof.StoreProof) { e.Exclusions[0].Code = "" },
		"sentence as exclusion":  func(e *proof.Completed, _ *proof.StoreProof) { e.Exclusions[0].Code = "ask alice" },
		"no subject":             func(e *proof.Completed, _ *proof.StoreProof) { e.Subject = "" },
		"unkeyed subject":        func(e *proof.Completed, _ *proof.StoreProof) { e.Subject = proof.Digest([32]byte{}) },
		"subject in the open":    func(e *proof.Completed, _ *proof.StoreProof) { e.Subject = "alice" },
		"ticket in the open":     func(e *proof.Completed, _ *proof.StoreProof) { e.Ticket = "PRIV-123" },
		"approved by a person":   func(e *proof.Completed, _ *proof.StoreProof) { e.ApprovedBy = "Bob <bob@example.com>" },
		"request ID not a UUID":  func(e *proof.Completed, _ *proof.StoreProof) { e.RequestID = "42" },
		"request ID in capitals": func(e *proof.Completed, _ *proof.StoreProof) { e.RequestID = strings.ToUpper(e.RequestID) },
		"no origin":              func(e *proof.Completed, _ *proof.StoreProof) { e.Origin = "" },
		"origin with line break": func(e *proof.Completed, _ *proof.StoreProof) { e.Origin = "a\nb" },
		"completed never":        func(e *proof.Completed, _ *proof.StoreProof) { e.CompletedAt = 0 },
		"after the year 9999":    func(e *proof.Completed, _ *proof.StoreProof) { e.DueAt = 253402300800 },
		"too long for the bundle": func(e *proof.Completed, _ *proof.StoreProof) {
			e.Exclusions = make(proof.Exclusions, 3000)
			fill(e.Exclusions)
		},
	}
	for name, spoil := range rows {
		e := completed()
		spoil(e, &e.Stores[0])
		if _, err := proof.Encode(e); !errors.Is(err, proof.ErrEntry) {
			t.Errorf("%s: err = %v, want ErrEntry", name, err)
		}
	}
}

func fill(x proof.Exclusions) {
	for i := range x {
		x[i].Code = "backup-of-some-store"
	}
}

func TestErrorsNameNobody(t *testing.T) {
	e := completed()
	e.Subject, e.ApprovedBy, e.Stores[0].Name = "alice@example.com", "Alice Example", "alice's phone"
	if _, err := proof.Encode(e); err == nil || strings.Contains(strings.ToLower(err.Error()), "alice") {
		t.Errorf("err = %v, want one without the value", err)
	}
}

func TestCancelledRefusesImpossibleCounts(t *testing.T) {
	rows := map[string]func(*proof.CancelledStore){
		"more than asked":   func(s *proof.CancelledStore) { s.Erased = 9 },
		"found over asked":  func(s *proof.CancelledStore) { s.Found = 11 },
		"more done than is": func(s *proof.CancelledStore) { s.BatchesDone = 3 },
		"negative":          func(s *proof.CancelledStore) { s.Absent = -1 },
		"wrap":              func(s *proof.CancelledStore) { s.Erased, s.Absent = math.MaxInt, math.MaxInt },
	}
	for name, spoil := range rows {
		e := cancelled()
		spoil(&e.Stores[0])
		if _, err := proof.Encode(e); !errors.Is(err, proof.ErrEntry) {
			t.Errorf("%s: err = %v, want ErrEntry", name, err)
		}
	}
}

// independent writes canonical JSON by another way than the package: decode
// into maps, sort, write.
func independent(b *strings.Builder, v any) {
	switch v := v.(type) {
	case map[string]any:
		b.WriteByte('{')
		for i, k := range slices.Sorted(maps.Keys(v)) {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(k) + ":")
			independent(b, v[k])
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, x := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			independent(b, x)
		}
		b.WriteByte(']')
	case string:
		b.WriteString(strconv.Quote(v)) // same as JSON for printable ASCII
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'f', -1, 64)) // exact below 2^53
	}
}

func TestEncodeIsCanonical(t *testing.T) {
	code := rapid.StringMatching(`[a-z0-9][a-z0-9._/+-]{0,63}`)
	maybe := rapid.OneOf(rapid.Just(""), code)
	count := rapid.IntRange(0, 1<<50)
	at := rapid.Map(rapid.Int64Range(1, 253402300799), func(s int64) proof.Time { return proof.Time(s) })
	rapid.Check(t, func(t *rapid.T) {
		e := completed()
		e.Origin = rapid.StringMatching(`[!#-*,-\[\]-~]{1,255}`).Draw(t, "origin")
		e.Regime, e.Ground, e.ApprovedBy = code.Draw(t, "regime"), maybe.Draw(t, "ground"), maybe.Draw(t, "approved")
		e.PlannedAt, e.CompletedAt, e.PurgedAt = at.Draw(t, "planned"), at.Draw(t, "completed"), at.Draw(t, "purged")
		e.Exclusions, e.Stores, e.Batches = nil, nil, 0
		for range rapid.IntRange(0, 3).Draw(t, "exclusions") {
			e.Exclusions = append(e.Exclusions, proof.Exclusion{Code: code.Draw(t, "code"), Store: maybe.Draw(t, "store")})
		}
		for _, name := range rapid.SliceOfNDistinct(code, 1, 4, rapid.ID).Draw(t, "stores") {
			s := proof.StoreProof{Name: name, StoreKind: "tables", Evidence: "verified", Method: code.Draw(t, "method"), VerifiedAt: at.Draw(t, "verified")}
			s.Erased, s.Absent, s.Held, s.Batches = count.Draw(t, "erased"), count.Draw(t, "absent"), count.Draw(t, "held"), count.Draw(t, "batches")
			s.Requested, s.Found = s.Erased+s.Absent+s.Held, s.Erased+s.Held
			e.Stores, e.Batches = append(e.Stores, s), e.Batches+s.Batches
		}
		b, err := proof.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		independent(&want, v)
		if string(b) != want.String() {
			t.Fatalf("got  %s\nwant %s", b, want.String())
		}
		got, err := proof.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(proof.Entry(e), got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("-want +got\n%s", d)
		}
	})
}

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

func FuzzDecode(f *testing.F) {
	for _, e := range all() {
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

func TestIDsTellRequestsAndKindsApart(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range all() {
		if want := requestID + "/" + e.Kind(); e.ID() != want || proof.EntryID(requestID, e.Kind()) != want || seen[want] {
			t.Errorf("ID %q, want %q, once", e.ID(), want)
		}
		seen[e.ID()] = true
	}
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
