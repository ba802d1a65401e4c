package proof_test

import (
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"
)

// erasedAlone is completed() in a store behind an API that keeps what it does not
// show.
func erasedAlone() *proof.Completed {
	e := completed()
	s := &e.Stores[0]
	s.Name, s.StoreKind, s.Evidence, s.PurgedAt, e.PurgedAt = "server", "mem0-server", proof.EvidenceErased, 0, 0
	s.Held, s.Unattributable, s.Requested, s.Found = 0, 0, 2003, 2000
	s.Erased, s.Places = 2000, []proof.PlaceProof{{Name: "memories", Erased: 2000, Absent: 3}}
	e.Exclude(
		proof.Exclusion{Code: proof.ExcludesResidue + "history", Store: "server"},
		proof.Exclusion{Code: proof.ExcludesResidue + "messages", Store: "server"},
	)
	return e
}

// TestErasedAloneNamesWhatIsKept: by the store's own word alone a request is
// completed only if the certificate says what the store keeps, and no other store
// may be said to keep anything.
func TestErasedAloneNamesWhatIsKept(t *testing.T) {
	encode(t, erasedAlone())
	const residue, implied = "must name the residue", "imply"
	for name, row := range map[string]row{
		"none is named": {func(e entry, _ store) {
			e.Exclusions = slices.DeleteFunc(e.Exclusions, func(x proof.Exclusion) bool { return strings.HasPrefix(x.Code, "residue-") })
		}, residue},
		"one of nobody's": {func(e entry, _ store) {
			e.Exclusions = proof.Exclusions{{Code: "residue-history"}, {Code: "wal", Store: "server"}}
		}, residue},
		"one of no name": {func(e entry, _ store) {
			e.Exclusions = proof.Exclusions{{Code: "residue-", Store: "server"}, {Code: "wal", Store: "server"}}
		}, residue},
		"another word": {func(e entry, _ store) { e.Exclusions = e.Exclusions[1:]; e.Exclusions[0].Code = "residual-history" }, residue},
		"and verified": {func(_ entry, s store) { s.Evidence = proof.EvidenceVerified }, residue},
		"and purged": {func(e entry, s store) {
			s.Evidence, s.PurgedAt, e.PurgedAt = proof.EvidencePurged, noon-5, noon-5
			e.Exclusions = e.Exclusions[:2]
		}, residue},
		"no bytes left":           {func(e entry, _ store) { e.Exclusions = e.Exclusions[:2] }, implied},
		"purged at a time":        {func(e entry, s store) { s.PurgedAt, e.PurgedAt = noon-5, noon-5 }, "purged_at must be there"},
		"by rewriting its tables": {func(_ entry, s store) { s.Method += proof.MethodRewrite }, "+rewrite is for evidence purged"},
		"some of it remains":      {func(_ entry, s store) { s.Remaining = 1 }, "remaining must be 0"},
	} {
		e := erasedAlone()
		row.spoil(e, &e.Stores[0])
		wantRefusal(t, name, e, row.says)
	}
}

// TestOfTwoStoresEachNamesItsOwnResidue: one that was verified does not borrow
// it, and one that was not cannot lend it.
func TestOfTwoStoresEachNamesItsOwnResidue(t *testing.T) {
	e := erasedAlone()
	other := completed().Stores[0]
	other.Held, other.Unattributable, other.Requested, other.Places = 0, 0, other.Requested-2, nil
	other.Found -= 2
	e.Stores = append(e.Stores, other)
	slices.SortFunc(e.Stores, func(a, b proof.StoreProof) int { return strings.Compare(a.Name, b.Name) })
	e.Batches, e.PurgedAt = 6, noon-5
	e.Exclude(e.Exclusions...)
	encode(t, e)
	for i := range e.Exclusions {
		if strings.HasPrefix(e.Exclusions[i].Code, "residue-") {
			e.Exclusions[i].Store = "assistant"
		}
	}
	wantRefusal(t, "the other's", e, "must name the residue")
}

// TestErasedAloneIsNotCalledVerified: the whole text is in testdata/answers.
func TestErasedAloneIsNotCalledVerified(t *testing.T) {
	_, says := layOut(t).run(t, "residue.tlog-proof --key log.pub")
	if strings.Contains(says, "  verified: ") || !strings.Contains(says, "NOT verified") || strings.Count(says, "the store keeps this") != 2 {
		t.Errorf("it says\n%s", says)
	}
}
