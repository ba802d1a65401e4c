package proof_test

import (
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// Whose clock is wrong nobody can tell, so it is said and refuses nothing.
func TestAnEntrySeenBeforeItWasMadeIsDoubted(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	var l tree
	l.append(t, encode(t, completed())) // at noon
	for _, row := range []struct {
		name            string
		log, witness    proof.Time
		byLog, byOthers bool
	}{
		{"later", noon + 1, noon + 2, false, false},
		{"by less than clocks differ", noon - 60, noon - 60, false, false},
		{"the log", noon - 61, noon, true, false},
		{"the witness", noon, noon - 61, false, true},
		{"both", noon - 3600, noon - 3600, true, true},
	} {
		w, key := newWitness(t, 100, "witness.example/w", row.witness)
		policy := parsePolicy(t, "log "+vkey+"\nwitness w\u202e "+key+"\nquorum none\n")
		r, err := proof.Verify(l.certificate(t, 0, 1, []note.Signer{signer, newClock(t, 1, row.log), w}...).Text(), policy)
		if err != nil {
			t.Fatal(err)
		}
		says := r.String()
		if strings.Contains(says, "contradicts himself") != row.byLog ||
			strings.Contains(says, `"w\u202e" saw the entry before`) != row.byOthers ||
			strings.Contains(says, "DOUBT") != (row.byLog || row.byOthers) {
			t.Errorf("%s:\n%s", row.name, says)
		}
	}
}
