package jobs

import (
	"context"
	"fmt"
	"slices"

	"lethe/audit/proof"
	"lethe/store"
)

// A BatchReceipt is what the ledger keeps of a finished batch for good.
type BatchReceipt struct {
	Batch  string // ID
	Job    string
	Leaves []byte // 32 bytes an ID, in the order of the IDs; not to be kept or changed
}

// errNoReceipt must not name the ID.
var errNoReceipt = fmt.Errorf("%w: the request has no receipt of this memory", ErrNotFound)

// MemoryProof implements Book.
func (in *Intake) MemoryProof(ctx context.Context, by Actor, id, memoryID string) ([]byte, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return nil, err
	}
	if err := store.CheckValue("memory_id", memoryID); err != nil {
		return nil, err
	}
	rec, err := in.Ledger.Record(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case rec.Entry == "":
		return nil, fmt.Errorf("%w: the request has not ended", ErrTooLate)
	case rec.KeyGone:
		return nil, ErrGone
	}
	key, err := in.Keys.Subject(rec.ID)
	if err != nil {
		return nil, err
	}
	found, err := in.seek(ctx, rec, key, memoryID)
	if err != nil {
		return nil, err
	}
	m, err := found.prove(rec.Roots)
	if err != nil {
		return nil, fmt.Errorf("prove memory: %w", err)
	}
	if m.Certificate, err = in.Ledger.Certificate(ctx, rec.Entry); err != nil {
		return nil, err
	}
	if err := stands(m, key, memoryID); err != nil {
		return nil, fmt.Errorf("prove memory: %w", err)
	}
	return m.Text(), nil
}

// stands makes sure, before a proof is handed out, that it will be believed.
func stands(m proof.MemoryProof, key []byte, memoryID string) error {
	c, err := proof.ParseCertificate(m.Certificate)
	if err != nil {
		return err
	}
	e, err := proof.Decode(c.Entry)
	if err != nil {
		return err
	}
	return m.CheckEntry(e, key, memoryID)
}

// A sighting is a receipt that was looked for and is there.
type sighting struct {
	batch   int // its number in the request
	id      string
	place   string
	outcome proof.Outcome
	leaves  [][32]byte
	index   int
}

// seek reads all receipts of a request and returns the one that tells most of a
// memory. Of one place in one store that is the last, for it may have been found
// again in a later round. Of several places or stores it is the one that a
// person has to know first: see proof.Outcomes.
func (in *Intake) seek(ctx context.Context, rec Record, key []byte, memoryID string) (sighting, error) {
	type spot struct{ job, place string }
	var order []spot
	last := map[spot]sighting{}
	n := 0
	for r, err := range in.Ledger.Receipts(ctx, rec.ID) {
		if err != nil {
			return sighting{}, err
		}
		for _, s := range look(r, key, placesOf(rec, r.Job), memoryID) {
			at := spot{r.Job, s.place}
			if _, again := last[at]; !again {
				order = append(order, at)
			}
			s.batch = n
			last[at] = s
		}
		n++
	}
	for _, o := range proof.Outcomes() {
		for _, at := range order {
			if last[at].outcome == o {
				return last[at], nil
			}
		}
	}
	return sighting{}, errNoReceipt
}

// placesOf returns the names of the places of a job's store.
func placesOf(rec Record, job string) []string {
	var names []string
	for _, j := range rec.Jobs {
		for _, p := range j.Places {
			if j.ID == job && !slices.Contains(names, p.Place) {
				names = append(names, p.Place)
			}
		}
	}
	return names
}

// look returns the sightings of a memory in one batch. A million leaves are
// looked through for each proof, so only those that begin as one of the few that
// are sought are compared.
func look(r BatchReceipt, key []byte, places []string, memoryID string) []sighting {
	var begins [256]bool
	sought := map[[32]byte]sighting{}
	for _, place := range places {
		for _, o := range proof.Outcomes() {
			id := store.ID{Place: place, Key: memoryID}
			leaf := proof.ReceiptLeaf(key, r.Batch, id.String(), byte(o))
			sought[leaf] = sighting{id: r.Batch, place: place, outcome: o}
			begins[leaf[0]] = true
		}
	}
	var found []sighting
	for at := 0; at+32 <= len(r.Leaves); at += 32 {
		if !begins[r.Leaves[at]] {
			continue
		}
		if s, ok := sought[[32]byte(r.Leaves[at:])]; ok {
			s.index, s.leaves = at/32, split(r.Leaves)
			found = append(found, s)
		}
	}
	return found
}

func split(leaves []byte) [][32]byte {
	list := make([][32]byte, 0, len(leaves)/32)
	for leaf := range slices.Chunk(leaves, 32) {
		list = append(list, [32]byte(leaf))
	}
	return list
}

// prove returns the proof of a sighting but for its certificate. The roots are
// those of all batches of the request.
func (s sighting) prove(roots [][32]byte) (proof.MemoryProof, error) {
	m := proof.MemoryProof{Batch: s.id, Place: s.place, Outcome: s.outcome}
	var err error
	if m.Receipt, err = proof.ProveSteps(s.leaves, int64(s.index)); err != nil {
		return m, err
	}
	m.Batches, err = proof.ProveSteps(roots, int64(s.batch))
	return m, err
}
