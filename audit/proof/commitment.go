package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// The two kinds of digest in an entry.
const (
	plainDigest = "sha256"
	keyedDigest = "hmac-sha256"
)

// Digest writes a SHA-256 hash as entries have it: "sha256:" and base64url
// without padding.
func Digest(h [32]byte) string {
	return plainDigest + ":" + base64.RawURLEncoding.EncodeToString(h[:])
}

// SubjectCommitment returns what stands in the log for a person: an HMAC of
// the canonical selector (see [CanonicalSelector]) under a random 32-byte key
// of the request's own. Without the key it says nothing, and nobody can guess
// their way to it; once the key is destroyed it stays so.
func SubjectCommitment(key, selector []byte) string {
	return keyed(key, subjectDomain, selector)
}

const subjectDomain = "lethe subject v1\n"

// TicketDigest returns what stands in the log for the asker's own reference,
// under the same key as the subject.
func TicketDigest(key []byte, ticket string) string {
	return keyed(key, "lethe ticket v1\n", []byte(ticket))
}

func keyed(key []byte, domain string, text []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(domain))
	h.Write(text)
	return keyedDigest + ":" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// ReceiptLeaf returns what stands for one ID of one batch: an HMAC, under the
// request's subject key, of the batch's ID, the memory's ID and the outcome's
// byte. Lengths are written before the two IDs, so no two pairs run together.
func ReceiptLeaf(key []byte, batchID, id string, outcome byte) [32]byte {
	text := []byte("lethe receipt v1\n")
	for _, part := range []string{batchID, id} {
		text = binary.BigEndian.AppendUint64(text, uint64(len(part)))
		text = append(text, part...)
	}
	h := hmac.New(sha256.New, key)
	h.Write(append(text, outcome))
	return [32]byte(h.Sum(nil))
}

// ReceiptRoot returns the root of the tree over a batch's leaves, in the order
// of its IDs (RFC 6962, section 2.1; each leaf is the data of one entry).
func ReceiptRoot(leaves [][32]byte) [32]byte {
	root, err := tlog.TreeHash(int64(len(leaves)), newForest(leaves))
	if err != nil {
		panic("proof: root of a tree in memory: " + err.Error()) // every hash is there
	}
	return root
}

// BatchesRoot returns the root of the tree over the roots of all batches of a
// request, in the order in which they are numbered.
func BatchesRoot(roots [][32]byte) [32]byte { return ReceiptRoot(roots) }

// A Path shows that a leaf stands at Index in a tree of Size leaves.
type Path struct {
	Index  int64       `json:"index"`
	Size   int64       `json:"size"`
	Hashes []tlog.Hash `json:"hashes"` // from the leaf's sibling to below the root
}

// ProvePath returns the path of one of leaves, which are the leaves of a batch
// or the roots of batches.
func ProvePath(leaves [][32]byte, index int64) (Path, error) {
	size := int64(len(leaves))
	if index < 0 || index >= size {
		return Path{}, fmt.Errorf("prove leaf %d of %d: no such leaf", index, size)
	}
	hashes, err := tlog.ProveRecord(size, index, newForest(leaves))
	if err != nil {
		return Path{}, fmt.Errorf("prove leaf %d of %d: %w", index, size, err)
	}
	return Path{Index: index, Size: size, Hashes: hashes}, nil
}

// Check returns nil if p leads from leaf to root, or else an error wrapping
// [ErrNotVerified].
func (p Path) Check(root, leaf [32]byte) error {
	if err := tlog.CheckRecord(p.Hashes, p.Size, root, p.Index, tlog.RecordHash(leaf[:])); err != nil {
		return fmt.Errorf("%w: leaf %d of %d: %w", ErrNotVerified, p.Index, p.Size, err)
	}
	return nil
}

// A forest holds the stored hashes of a tree in memory.
type forest []tlog.Hash

func newForest(leaves [][32]byte) forest {
	f := make(forest, 0, tlog.StoredHashCount(int64(len(leaves))))
	for i, leaf := range leaves {
		hashes, err := tlog.StoredHashes(int64(i), leaf[:], f)
		if err != nil {
			panic("proof: hashes of a tree in memory: " + err.Error()) // every hash is there
		}
		f = append(f, hashes...)
	}
	return f
}

// ReadHashes implements [tlog.HashReader].
func (f forest) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x < 0 || x >= int64(len(f)) {
			return nil, errors.New("no such hash")
		}
		hashes[i] = f[x]
	}
	return hashes, nil
}
