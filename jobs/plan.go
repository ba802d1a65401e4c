package jobs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"lethe/audit/proof"
	"lethe/store"
)

// A PlanDigest hashes the frozen batches of one job while they are written.
type PlanDigest struct{ h hash.Hash }

// NewPlanDigest begins the digest of a job in a store. It is keyed, so that a
// plan's hash confirms no guess of an ID to who lacks the key.
func NewPlanDigest(key []byte, storeName string) PlanDigest {
	d := PlanDigest{hmac.New(sha256.New, key)}
	d.text("lethe plan v1")
	d.text(storeName)
	return d
}

// Batch adds one frozen batch.
func (d PlanDigest) Batch(ids []store.ID) {
	fmt.Fprintf(d.h, "%d\n", len(ids))
	for _, id := range ids {
		d.text(id.Place)
		d.text(id.Key)
	}
}

// Exempt adds a part that is left out, and why: a plan without it is another.
func (d PlanDigest) Exempt(x Exemption) {
	d.text("exempt")
	d.text(x.Place)
	d.text(x.Reason)
}

// Sum returns the digest in hexadecimal.
func (d PlanDigest) Sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// text is length-prefixed, so that no two lists of texts run into one.
func (d PlanDigest) text(s string) {
	fmt.Fprintf(d.h, "%d:", len(s))
	_, _ = io.WriteString(d.h, s)
}

// PlanHash is the hash of a request's whole plan: of its subject commitment
// and the digests of its jobs, in order.
func PlanHash(subject string, digests []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "lethe plan v1\n%s\n", subject)
	for _, d := range digests {
		fmt.Fprintln(h, d)
	}
	return proof.Digest([32]byte(h.Sum(nil)))
}
