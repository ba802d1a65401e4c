package ledger_test

import (
	"slices"
	"strings"
	"testing"

	"lethe/jobs/ledger"
)

// The reconciler asks twice a second: at a million requests a walk over all of
// them would take a core.
func TestWhatIsAskedAgainAndAgainWalksOverNoTable(t *testing.T) {
	b := newBook(t)
	for _, q := range ledger.Repeated() {
		var steps []struct {
			ID, Parent, NotUsed int
			Detail              string
		}
		args := slices.Repeat([]any{1}, strings.Count(q, "?"))
		if err := b.raw.Select(&steps, "EXPLAIN QUERY PLAN "+q, args...); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if strings.HasPrefix(s.Detail, "SCAN") {
				t.Errorf("%s: %s", q, s.Detail)
			}
		}
	}
}
