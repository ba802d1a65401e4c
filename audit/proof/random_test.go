package proof_test

import (
	"encoding/base64"
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/gowebpki/jcs"
	"pgregory.net/rapid"
)

const (
	codes   = `[a-z0-9][a-z0-9._/+-]{0,63}`
	origins = `[!#-*,-\[\]-~]{1,255}`
)

func bytes32() *rapid.Generator[[32]byte] {
	return rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) [32]byte { return [32]byte(b) })
}

// fields are the strings of entries that are no codes, by their Go names.
func fields() map[string]*rapid.Generator[string] {
	uuid := rapid.StringMatching(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	hash := rapid.Map(bytes32(), proof.Digest)
	keyed := rapid.Map(hash, func(s string) string { return "hmac-" + s })
	key := rapid.Map(bytes32(), func(b [32]byte) string { return proof.VerifierKey(origin, b[:]) })
	return map[string]*rapid.Generator[string]{
		"RequestID": uuid, "SupersededBy": uuid, "HoldID": uuid, "ReplayID": uuid,
		"PlanHash": hash, "BatchesRoot": hash, "Digest": hash, "OldRoot": hash,
		"Subject": keyed, "Ticket": keyed,
		"OldKey": key, "NewKey": key, "Key": key,
		"Origin": rapid.StringMatching(origins), "OldOrigin": rapid.StringMatching(origins),
	}
}

// mayBeAbsent are the Go names of strings and times that some entry leaves out.
func mayBeAbsent(name string) bool {
	return slices.Contains([]string{"ApprovedBy", "Ground", "Ticket", "By", "Store", "Until", "FirstErasedAt", "ErasedAt", "With", "ApprovedAt"}, name)
}

// fill gives every field of an entry a value of its own.
func fill(t *rapid.T, v reflect.Value, name string) {
	if mayBeAbsent(name) && rapid.Bool().Draw(t, "without "+name) {
		return
	}
	switch x := v.Addr().Interface().(type) {
	case *string:
		form := fields()[name]
		if form == nil {
			form = rapid.StringMatching(codes)
		}
		*x = form.Draw(t, name)
	case *int:
		*x = rapid.IntRange(0, 1<<53-1).Draw(t, name)
	case *int64:
		*x = rapid.Int64Range(0, 1<<53-1).Draw(t, name)
	case *proof.Time:
		*x = proof.Time(rapid.Int64Range(1, 253402300799).Draw(t, name))
	case **int:
		if rapid.Bool().Draw(t, name+" known") {
			*x = new(int)
			fill(t, v.Elem(), name)
		}
	case *[]string:
		*x = rapid.SliceOfNDistinct(rapid.StringMatching(codes), 1, 4, rapid.ID).Draw(t, name)
	default:
		if v.Kind() == reflect.Slice {
			n := rapid.IntRange(1, 3).Draw(t, name)
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), name)
			}
			return
		}
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	}
}

// random returns an entry that keeps the rules of e's kind.
func random(t *rapid.T, e proof.Entry) proof.Entry {
	e = reflect.New(reflect.TypeOf(e).Elem()).Interface().(proof.Entry)
	fill(t, reflect.ValueOf(e).Elem(), "")
	key := func(name string, last byte) string {
		b := bytes32().Draw(t, "key")
		b[31] = last
		return proof.VerifierKey(name, b[:])
	}
	switch e := e.(type) {
	case *proof.Accepted:
		if e.Selector = proof.SelectsIDs; e.IDs == 0 || rapid.Bool().Draw(t, "scope") {
			e.Selector, e.IDs = proof.SelectsScope, 0
		}
	case *proof.Completed:
		complete(t, e)
	case *proof.Cancelled:
		for i := range e.Stores {
			s := &e.Stores[i]
			s.Name = string(rune('a'+i)) + s.Name[1:]
			s.Erased, s.Absent, s.Held, s.Refused = part(t), part(t), part(t), part(t)
			s.Requested = s.Erased + s.Absent + s.Held + s.Refused
			s.Found, s.BatchesDone = min(s.Found, s.Requested), min(s.BatchesDone, s.Batches)
		}
	case *proof.Extended:
		e.By, e.FirstDueAt = "tok", min(e.FirstDueAt, 253402300798)
		e.DueAt, e.ExtendedAt = max(e.DueAt, e.FirstDueAt+1), min(e.ExtendedAt, e.FirstDueAt)
	case *proof.Confirmed:
		e.By = "tok"
	case *proof.Exempted:
		e.By, e.Store = "tok", "app"
	case *proof.HoldPlaced:
		e.By = "tok"
	case *proof.Approved:
		e.By, e.ApprovedAt = "tok", max(e.ApprovedAt, 1)
	case *proof.HoldReleased:
		e.By = "tok"
	case *proof.TokenCreated:
		e.By = "tok"
	case *proof.TokenRevoked:
		e.By = "tok"
	case *proof.Replayed:
		e.By, e.Store, e.First = "tok", "app", ""
		if e.Requests = min(e.Requests, e.Back); e.Requests > 0 {
			e.First = "first"
		}
	case *proof.KeyRotated:
		e.OldKey, e.NewKey = key(e.Origin, 1), key(e.Origin, 2)
	case *proof.KeyRetired:
		e.Key = key(e.Origin, 1)
	case *proof.LogSucceeded:
		e.OldOrigin, e.OldSize = "was."+e.OldOrigin[:min(len(e.OldOrigin), 251)], e.OldSize+1
		e.Origin = "is." + e.Origin[:min(len(e.Origin), 252)]
		e.OldSize, e.OldKey = min(e.OldSize, 1<<53-1), key(e.OldOrigin, 1)
	}
	return e
}

// part is a count of which eight can be added.
func part(t *rapid.T) int { return rapid.IntRange(0, 1<<50-1).Draw(t, "part") }

func complete(t *rapid.T, e *proof.Completed) {
	e.Batches, e.VerifiedAt, e.PurgedAt, e.FirstErasedAt = 0, 0, 0, 0
	for i := range e.Stores {
		s := &e.Stores[i]
		s.Name = string(rune('a'+i)) + s.Name[1:]
		if s.Evidence = proof.EvidencePurged; rapid.Bool().Draw(t, "verified") {
			s.Evidence, s.PurgedAt = proof.EvidenceVerified, 0
		}
		s.Erased, s.Absent, s.Held, s.Batches, s.Remaining, s.Refused = part(t), part(t), part(t), part(t), 0, 0
		s.Requested, s.Found = s.Erased+s.Absent+s.Held, s.Erased+s.Held
		if s.Places = nil; rapid.Bool().Draw(t, "places") {
			s.Places = []proof.PlaceProof{
				{Name: "a", Erased: s.Erased, Absent: s.Absent / 2}, {Name: "b", With: "c", Found: part(t)}, {Name: "c", Held: s.Held},
			}
		}
		if e.FirstErasedAt == 0 || s.FirstErasedAt != 0 && s.FirstErasedAt < e.FirstErasedAt {
			e.FirstErasedAt = s.FirstErasedAt
		}
		e.Batches, e.VerifiedAt, e.PurgedAt = e.Batches+s.Batches, max(e.VerifiedAt, s.VerifiedAt), max(e.PurgedAt, s.PurgedAt)
	}
	for i := range e.Exclusions {
		if e.Exclusions[i].Store != "" {
			e.Exclusions[i].Store = e.Stores[0].Name
		}
	}
	if e.ApprovedBy == "" {
		e.ApprovedAt = 0
	}
	e.Exclude(e.Exclusions...)
	for i := range e.Exemptions {
		x, s := &e.Exemptions[i], &e.Stores[0]
		x.Store, x.Place, x.By, x.IDs = s.Name, "z"+string(rune('a'+i)), "tok", part(t)
		s.Requested, s.Found = s.Requested+x.IDs, s.Found+x.IDs
	}
	if rapid.Bool().Draw(t, "all erased") {
		for _, x := range e.Exemptions {
			e.Stores[0].Requested, e.Stores[0].Found = e.Stores[0].Requested-x.IDs, e.Stores[0].Found-x.IDs
		}
		e.Exemptions = nil
	}
}

func TestEveryKindIsCanonicalAndComesBack(t *testing.T) {
	for _, kind := range all(t) {
		t.Run(kind.Kind(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				e := random(t, kind)
				b, err := proof.Encode(e)
				if err != nil {
					t.Fatal(err)
				}
				if want, err := jcs.Transform(b); err != nil || string(b) != string(want) {
					t.Fatalf("got  %s\nwant %s, %v", b, want, err)
				}
				got, err := proof.Decode(b)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(e, got, cmpopts.EquateEmpty()); d != "" {
					t.Fatalf("-want +got\n%s", d)
				}
			})
		})
	}
}

// eachString calls do for every string in v, with its Go name.
func eachString(v reflect.Value, name string, do func(name string, s *string)) {
	switch v.Kind() {
	case reflect.String:
		do(name, v.Addr().Interface().(*string))
	case reflect.Slice:
		for i := range v.Len() {
			eachString(v.Index(i), name, do)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			eachString(v.Field(i), v.Type().Field(i).Name, do)
		}
	}
}

func decode(t testing.TB, text []byte) proof.Entry {
	t.Helper()
	e, err := proof.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNoMemberTakesFreeText(t *testing.T) {
	// What a person could be told by: spaces, capitals, an at sign.
	canaries := []string{"Canary Example", "canary example", "Canary", "canary@example.com", "+49 170 canary", "canary's", "cänary", "canary\x00", "canary,born-1990", strings.Repeat("canary", 50), "c%61nary", "\u202ecanary", `canary"`, `canary\`}
	tried := 0
	for _, kind := range all(t) {
		text := encode(t, kind)
		eachString(reflect.ValueOf(kind).Elem(), "", func(name string, _ *string) {
			for _, canary := range canaries {
				e, at := decode(t, text), tried
				eachString(reflect.ValueOf(e).Elem(), "", func(other string, s *string) {
					if other == name {
						*s, tried = canary, tried+1
					}
				})
				if name == "Origin" || name == "OldOrigin" { // names of logs, not of people
					continue
				}
				if b, err := proof.Encode(e); !errors.Is(err, proof.ErrEntry) || tried == at {
					t.Errorf("%s: %s took %q: %s, %v", e.Kind(), name, canary, b, err)
				} else if strings.Contains(err.Error(), "nary") {
					t.Errorf("%s: %s: the error repeats the value: %v", e.Kind(), name, err)
				}
			}
		})
	}
	if tried < 13*len(canaries) {
		t.Errorf("tried %d", tried)
	}
}

func TestEveryStringHasABoundedAlphabet(t *testing.T) {
	code := regexp.MustCompile(`^` + codes + `$`)
	forms := map[string]*regexp.Regexp{}
	for name := range fields() {
		forms[name] = regexp.MustCompile(`^(hmac-)?sha256:[A-Za-z0-9_-]{43}$`)
	}
	for _, name := range []string{"RequestID", "SupersededBy", "HoldID", "ReplayID"} {
		forms[name] = regexp.MustCompile(`^[0-9a-f-]{36}$`)
	}
	for _, name := range []string{"OldKey", "NewKey", "Key"} {
		forms[name] = regexp.MustCompile(`^[!-*,-~]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$`)
	}
	for _, name := range []string{"Origin", "OldOrigin"} {
		forms[name] = regexp.MustCompile(`^` + origins + `$`)
	}
	var texts [][]byte
	for _, e := range all(t) {
		texts = append(texts, encode(t, e))
	}
	rapid.Check(t, func(rt *rapid.T) {
		e := decode(t, rapid.SampledFrom(texts).Draw(rt, "kind"))
		var names []string
		var at []*string
		eachString(reflect.ValueOf(e).Elem(), "", func(name string, s *string) { names, at = append(names, name), append(at, s) })
		i := rapid.IntRange(0, len(at)-1).Draw(rt, "field")
		old, cut := *at[i], rapid.IntRange(0, len(*at[i])).Draw(rt, "cut")
		*at[i] = old[:cut] + rapid.String().Draw(rt, "text") + old[min(len(old), cut+rapid.IntRange(0, 3).Draw(rt, "left out")):]
		form := forms[names[i]]
		if form == nil {
			form = code
		}
		if b, err := proof.Encode(e); err == nil && !form.MatchString(*at[i]) && (*at[i] != "" || !mayBeAbsent(names[i])) {
			rt.Fatalf("%s took %q: %s", names[i], *at[i], b)
		}
	})
}

func TestADigestHasOneSpelling(t *testing.T) {
	char := rapid.SampledFrom(strings.Split("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/\n", ""))
	rapid.Check(t, func(t *rapid.T) {
		b64 := strings.Join(rapid.SliceOfN(char, 42, 44).Draw(t, "digest"), "")
		b, err := base64.RawURLEncoding.Strict().DecodeString(b64)
		want := err == nil && len(b) == 32 && !strings.Contains(b64, "\n")
		e := &proof.PolicyAdopted{Header: proof.Header{Origin: origin}, Adoption: proof.Adoption{Name: "p", Digest: "sha256:" + b64}, AdoptedAt: noon}
		if _, err := proof.Encode(e); (err == nil) != want {
			t.Fatalf("%q: err = %v, want accepted: %v", b64, err, want)
		}
	})
	for last := range 256 {
		b64 := strings.Repeat("A", 42) + string([]byte{byte(last)})
		b, err := base64.RawURLEncoding.Strict().DecodeString(b64)
		e := completed()
		e.PlanHash = "sha256:" + b64
		if _, got := proof.Encode(e); (got == nil) != (err == nil && len(b) == 32) {
			t.Errorf("%q: %v, base64 says %v", b64, got, err)
		}
	}
}
