package proof_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// The vectors that implementations of Certificate Transparency share: eight
// leaves, their roots (see TestRootsAreThoseOfRFC6962) and proofs of some.
func vectorLeaves() []string {
	return []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
}

const (
	root2 = "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
	root4 = "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"
	node1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7" // leaf 1
	node2 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e" // leaves 2 and 3
	node3 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4" // leaves 4 to 7
	node4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b" // leaf 4
	node5 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0" // leaves 6 and 7
	node6 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a" // leaves 4 and 5
	node0 = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" // leaf 0
)

func vectorHash(t *testing.T, s string) tlog.Hash {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 32 {
		t.Fatalf("%q: %v", s, err)
	}
	return tlog.Hash(b)
}

func vectorTree(t *testing.T) *tree {
	t.Helper()
	var l tree
	for _, s := range vectorLeaves() {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		l.append(t, b)
	}
	return &l
}

// at is a head of a tree that nobody has signed, for what asks no signature.
func (l *tree) at(t testing.TB, n int) proof.Head {
	t.Helper()
	root, err := tlog.TreeHash(int64(n), l)
	if err != nil {
		t.Fatal(err)
	}
	return proof.Head{Origin: origin, Size: int64(n), Root: root}
}

func TestInclusionIsThatOfRFC6962(t *testing.T) {
	l := vectorTree(t)
	for _, row := range []struct {
		leaf, size int
		path       string
	}{
		{0, 1, ""},
		{0, 8, node1 + " " + node2 + " " + node3},
		{5, 8, node4 + " " + node5 + " " + root4},
		{2, 3, root2},
		{1, 5, node0 + " " + node2 + " " + node4},
	} {
		path, err := tlog.ProveRecord(int64(row.size), int64(row.leaf), l)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.Fields(row.path)
		if len(path) != len(want) {
			t.Fatalf("leaf %d of %d: %d hashes, want %d", row.leaf, row.size, len(path), len(want))
		}
		for i := range want {
			if path[i] != vectorHash(t, want[i]) {
				t.Errorf("leaf %d of %d: hash %d is %x, want %s", row.leaf, row.size, i, path[i], want[i])
			}
		}
		root := l.at(t, row.size).Root
		if err := tlog.CheckRecord(path, int64(row.size), root, int64(row.leaf), tlog.RecordHash(l.bodies[row.leaf])); err != nil {
			t.Errorf("leaf %d of %d: %v", row.leaf, row.size, err)
		}
	}
}

func TestConsistencyIsThatOfRFC6962(t *testing.T) {
	l := vectorTree(t)
	for _, row := range []struct {
		from, to int
		path     string
	}{
		{1, 1, ""},
		{1, 8, node1 + " " + node2 + " " + node3},
		{6, 8, node6 + " " + node5 + " " + root4},
		{2, 5, node2 + " " + node4},
	} {
		var path tlog.TreeProof
		for _, s := range strings.Fields(row.path) {
			path = append(path, vectorHash(t, s))
		}
		if err := proof.Consistent(l.at(t, row.from), l.at(t, row.to), path); err != nil {
			t.Errorf("%d and %d: %v", row.from, row.to, err)
		}
		for i := range path {
			path[i][0]++
			if err := proof.Consistent(l.at(t, row.from), l.at(t, row.to), path); !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("%d and %d with hash %d changed: err = %v", row.from, row.to, i, err)
			}
			path[i][0]--
		}
	}
}

// Every leaf of every tree, and every tree in every larger one, of sizes up to
// 300: 45,150 proofs of each kind.
func TestEveryPairUpTo300(t *testing.T) {
	const most = 300
	var l tree
	var leaves [][32]byte
	var data [][]byte
	for i := range most {
		leaf := proof.ReceiptLeaf(subjectKey(), "batch", string(rune(i)), 'e')
		leaves, data = append(leaves, leaf), append(data, leaf[:])
		l.append(t, leaf[:])
	}
	heads := []proof.Head{l.at(t, 0)}
	for n := 1; n <= most; n++ {
		heads = append(heads, l.at(t, n))
		if n < 70 || n%31 == 0 {
			if want := rootOf(data[:n]); heads[n].Root != want {
				t.Fatalf("size %d: root %s, want %x", n, heads[n].Root, want)
			}
		}
		for i := range n {
			if raceEnabled && (i+n)%4 > 0 {
				continue
			}
			hashes, err := tlog.ProveRecord(int64(n), int64(i), &l)
			if err != nil {
				t.Fatal(err)
			}
			path := proof.Path{Index: int64(i), Size: int64(n), Hashes: hashes}
			if err := path.Check(heads[n].Root, leaves[i]); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if other := leaves[(i+1)%most]; path.Check(heads[n].Root, other) == nil {
				t.Fatalf("the path of leaf %d of %d proves another", i, n)
			}
			steps, err := tlog.ProveTree(int64(n), int64(i+1), &l)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.Consistent(heads[n], heads[i+1], steps); err != nil {
				t.Fatalf("%d and %d: %v", i+1, n, err)
			}
			changed := heads[i+1]
			changed.Root[0]++
			if err := proof.Consistent(changed, heads[n], steps); err == nil {
				t.Fatalf("%d and %d: another root is consistent", i+1, n)
			}
		}
		if err := proof.Consistent(heads[0], heads[n], nil); err != nil {
			t.Fatalf("0 and %d: %v", n, err)
		}
	}
}
