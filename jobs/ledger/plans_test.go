package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lethe/jobs/ledger"
)

// The reconciler asks twice a second: at a million requests a walk over all of
// them would take a core.
func TestWhatIsAskedAgainAndAgainWalksOverNoTable(t *testing.T) {
	b := newBook(t, onSQLite)
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
			if walks(s.Detail) && !smallWalk(s.Detail) {
				t.Errorf("%s: %s", q, s.Detail)
			}
		}
	}
}

// walks reports whether a step is a walk over a table. SQLite calls one that looks for
// a minimum a search, and names no index.
func walks(detail string) bool {
	return strings.HasPrefix(detail, "SCAN") || strings.HasPrefix(detail, "SEARCH") && !strings.Contains(detail, "USING")
}

// smallWalk reports whether a walk is over what is small however old the ledger is:
// an index of what is open alone, or what the query itself has found.
func smallWalk(detail string) bool {
	for _, small := range []string{"INDEX requests_open_by", "INDEX batches_refused", "SEARCH ends", "SCAN tasks"} {
		if strings.Contains(detail, small) {
			return true
		}
	}
	return false
}

// The same on PostgreSQL, where a planner that finds a table small would walk
// over it: it is told not to, and must have another way.
func TestWhatIsAskedAgainAndAgainHasItsIndexOnPostgres(t *testing.T) {
	b := newBook(t, onPostgres)
	tx := b.raw.MustBegin()
	defer tx.Rollback()
	tx.MustExec(`SET LOCAL enable_seqscan = off`)
	for _, q := range ledger.Repeated() {
		for range strings.Count(q, "?") {
			q = strings.Replace(q, "?", "'1'", 1)
		}
		var steps []string
		if err := tx.Select(&steps, "EXPLAIN "+q); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if strings.Contains(s, "Seq Scan") {
				t.Error(fmt.Sprint(q, ": ", s))
			}
		}
	}
}
