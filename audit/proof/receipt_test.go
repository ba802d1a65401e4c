package proof_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"lethe/audit/proof"
)

// rootOf is RFC 6962, section 2.1, word for word, over the data of entries.
func rootOf(data [][]byte) [32]byte {
	switch len(data) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return sha256.Sum256(append([]byte{0}, data[0]...))
	}
	k := 1
	for k*2 < len(data) {
		k *= 2
	}
	left, right := rootOf(data[:k]), rootOf(data[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

func TestRootsAreThoseOfRFC6962(t *testing.T) {
	// The vectors that Certificate Transparency implementations share.
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var data [][]byte
	for n, want := range roots {
		if got := rootOf(data); hex.EncodeToString(got[:]) != want {
			t.Errorf("size %d: the test's own root is %x, want %s", n, got, want)
		}
		if n < len(inputs) {
			b, err := hex.DecodeString(inputs[n])
			if err != nil {
				t.Fatal(err)
			}
			data = append(data, b)
		}
	}
}

func TestEveryReceiptOfEverySizeCanBeProved(t *testing.T) {
	var leaves [][32]byte
	var data [][]byte
	for n := 1; n <= 300; n++ {
		leaf := proof.ReceiptLeaf(subjectKey(), "batch", string(rune(n)), 'e')
		leaves, data = append(leaves, leaf), append(data, leaf[:])
		root := proof.ReceiptRoot(leaves)
		if want := rootOf(data); root != want {
			t.Fatalf("size %d: root %x, want %x", n, root, want)
		}
		for i := 0; i < n; i += 1 + n/12 { // all of the small ones
			path, err := proof.ProvePath(leaves, int64(i))
			if err != nil {
				t.Fatal(err)
			}
			if err := path.Check(root, leaves[i]); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if n > 64 { // wrong ones only of small trees, for time
				continue
			}
			for j := range leaves {
				if j != i && path.Check(root, leaves[j]) == nil {
					t.Fatalf("the path of leaf %d of %d proves leaf %d", i, n, j)
				}
			}
			path.Index ^= 1
			if err := path.Check(root, leaves[i]); !errors.Is(err, proof.ErrNotVerified) {
				t.Fatalf("leaf %d of %d under another index: err = %v", i, n, err)
			}
		}
	}
	for _, i := range []int64{-1, 300} {
		if _, err := proof.ProvePath(leaves, i); err == nil {
			t.Errorf("leaf %d of 300 was proved", i)
		}
	}
}

func TestOneIDOfABatchOfABatchCanBeShown(t *testing.T) {
	var roots [][32]byte
	batches := [][][32]byte{{}, {}, {}}
	for b := range batches {
		for i := range 5 {
			batches[b] = append(batches[b], proof.ReceiptLeaf(subjectKey(), string(rune('a'+b)), string(rune('0'+i)), 'e'))
		}
		roots = append(roots, proof.ReceiptRoot(batches[b]))
	}
	inBatch, err := proof.ProvePath(batches[1], 3)
	if err != nil {
		t.Fatal(err)
	}
	inAll, err := proof.ProvePath(roots, 1)
	if err != nil {
		t.Fatal(err)
	}
	leaf := proof.ReceiptLeaf(subjectKey(), "b", "3", 'e')
	if err := errors.Join(inBatch.Check(roots[1], leaf), inAll.Check(proof.BatchesRoot(roots), roots[1])); err != nil {
		t.Error(err)
	}
}

func TestLeavesBindBatchIDOutcomeAndKey(t *testing.T) {
	seen := map[[32]byte]string{}
	for name, leaf := range map[string][32]byte{
		"one":           proof.ReceiptLeaf(subjectKey(), "b1", "id", 'e'),
		"other batch":   proof.ReceiptLeaf(subjectKey(), "b2", "id", 'e'),
		"other cut":     proof.ReceiptLeaf(subjectKey(), "b", "1id", 'e'),
		"other ID":      proof.ReceiptLeaf(subjectKey(), "b1", "ie", 'e'),
		"other outcome": proof.ReceiptLeaf(subjectKey(), "b1", "id", 'a'),
		"other key":     proof.ReceiptLeaf(make([]byte, 32), "b1", "id", 'e'),
	} {
		if other, twice := seen[leaf]; twice {
			t.Errorf("%s and %s have one leaf", name, other)
		}
		seen[leaf] = name
	}
	if proof.SubjectCommitment(subjectKey(), []byte("x")) == proof.TicketDigest(subjectKey(), "x") {
		t.Error("a subject and a ticket have one digest")
	}
}
