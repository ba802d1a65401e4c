package jobs_test

import (
	"bytes"
	"testing"

	"lethe/jobs"
)

// FuzzDecodeSelector: what can be read from the ledger has one spelling, and
// that spelling reads the same.
func FuzzDecodeSelector(f *testing.F) {
	for _, s := range []string{
		`{"user_id":"alice"}`, `{"ids":["a","b"]}`, `{"metadata":{"a":1.0,"b":true,"c":"é"},"run_id":"r"}`,
		`{"metadata":{"n":9007199254740993,"m":-0,"x":1e400}}`, `{}`, `{"ids":[]}`, `{"user_id":"\u0061"}`, `{"user_id":"\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := jobs.DecodeSelector(text)
		if err != nil || s.Validate() != nil {
			return
		}
		spelt, err := jobs.EncodeSelector(s)
		if err != nil {
			t.Fatalf("valid and cannot be written: %v", err)
		}
		again, err := jobs.DecodeSelector(spelt)
		if err != nil {
			t.Fatalf("written and cannot be read: %v", err)
		}
		if twice, err := jobs.EncodeSelector(again); err != nil || !bytes.Equal(spelt, twice) {
			t.Errorf("%q is written %q, %v", spelt, twice, err)
		}
	})
}
