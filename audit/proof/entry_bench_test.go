package proof_test

import (
	"testing"

	"lethe/audit/proof"
)

// A full check of a log decodes every entry of it.
func BenchmarkDecode(b *testing.B) {
	text := encode(b, completed())
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := proof.Decode(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	e := completed()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := proof.Encode(e); err != nil {
			b.Fatal(err)
		}
	}
}
