package keyring_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"lethe/jobs/keyring"
)

func TestSealingIsReversed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), keyring.KeySize, keyring.KeySize).Draw(t, "key")
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		context := rapid.String().Draw(t, "context")
		sealed, err := keyring.Seal(key, plain, context)
		if err != nil {
			t.Fatal(err)
		}
		got, err := keyring.Unseal(key, sealed, context)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if len(plain) > 4 && bytes.Contains(sealed, plain) {
			t.Fatal("the plain bytes stand in the sealed ones")
		}
		if _, err := keyring.Unseal(key, sealed, context+"x"); err == nil {
			t.Fatal("another context opened them")
		}
	})
}

func TestAnyFlippedByteIsNoticed(t *testing.T) {
	key, plain := bytes.Repeat([]byte{7}, keyring.KeySize), []byte("selector of someone")
	sealed, err := keyring.Seal(key, plain, "batch 1")
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		damaged := bytes.Clone(sealed)
		damaged[i] ^= 1
		if _, err := keyring.Unseal(key, damaged, "batch 1"); err == nil {
			t.Errorf("byte %d flipped: opened", i)
		}
	}
	for n := range sealed {
		if _, err := keyring.Unseal(key, sealed[:n], "batch 1"); err == nil {
			t.Errorf("cut to %d bytes: opened", n)
		}
	}
	for i := range key {
		other := bytes.Clone(key)
		other[i] ^= 1
		if _, err := keyring.Unseal(other, sealed, "batch 1"); err == nil {
			t.Errorf("byte %d of the key flipped: opened", i)
		}
	}
	if _, err := keyring.Unseal(key, sealed, "batch 2"); err == nil {
		t.Error("another row's context opened them")
	}
}

func TestEqualTextsAreSealedDifferently(t *testing.T) {
	key := make([]byte, keyring.KeySize)
	a, err1 := keyring.Seal(key, []byte("same"), "c")
	b, err2 := keyring.Seal(key, []byte("same"), "c")
	if err1 != nil || err2 != nil || bytes.Equal(a, b) {
		t.Error("sealing twice gave the same bytes")
	}
}

func TestOnlyAWholeKeySeals(t *testing.T) {
	for _, n := range []int{0, 16, 24, 31, 33} {
		if _, err := keyring.Seal(make([]byte, n), nil, ""); err == nil {
			t.Errorf("a key of %d bytes sealed", n)
		}
	}
}
