package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"time"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

func privateKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// newWitness returns a witness whose clock stands at a time, and its key.
func newWitness(t testing.TB, seed byte, name string, at proof.Time) (note.Signer, string) {
	t.Helper()
	key := privateKey(seed)
	w, err := proof.NewCosigner(name, key, func() time.Time { return at.Time() })
	if err != nil {
		t.Fatal(err)
	}
	return w, proof.CosignerKey(name, key.Public().(ed25519.PublicKey))
}

// newClock returns the log's own cosigner: the one of newKey's key.
func newClock(t testing.TB, seed byte, at proof.Time) note.Signer {
	t.Helper()
	c, _ := newWitness(t, seed, origin, at)
	return c
}

func parsePolicy(t testing.TB, text string) *proof.Policy {
	t.Helper()
	p, err := proof.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return p
}
