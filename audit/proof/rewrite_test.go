package proof_test

import (
	"strings"
	"testing"

	"lethe/audit/proof"
)

// rewritten is a completed entry of tables that a server keeps.
func rewritten() *proof.Completed {
	e := completed()
	e.Stores[0].StoreKind, e.Stores[0].Method = "mem0-postgres", "remaining+find"+proof.MethodRewrite
	e.Exclude(e.Exclusions...)
	return e
}

// unseen is one whose files could not be read.
func unseen() *proof.Completed {
	e := completed()
	s := &e.Stores[0]
	s.Method, s.Evidence, s.PurgedAt, e.PurgedAt = "remaining+find"+proof.MethodUnseen, proof.EvidenceVerified, 0, 0
	e.Exclude(e.Exclusions...)
	return e
}

func TestARewriteIsNoMoreThanWhatWasSeen(t *testing.T) {
	for name, row := range map[string]struct {
		e     *proof.Completed
		spoil func(entry, store)
		says  string
	}{
		"rewritten, and no wal":      {rewritten(), func(e entry, _ store) { e.Exclusions = completed().Exclusions }, "imply"},
		"a wal that ends":            {rewritten(), func(e entry, _ store) { e.Exclusions[len(e.Exclusions)-1].Until = noon }, "imply"},
		"rewritten and not purged":   {rewritten(), func(e entry, s store) { s.Evidence, s.PurgedAt, e.PurgedAt = "verified", 0, 0 }, "is for evidence purged"},
		"unseen and purged":          {unseen(), func(e entry, s store) { s.Evidence, s.PurgedAt, e.PurgedAt = "purged", noon, noon }, "is for evidence verified"},
		"unseen, and no wal":         {unseen(), func(e entry, _ store) { e.Exclusions = completed().Exclusions }, "imply"},
		"unseen, and a time of it":   {unseen(), func(e entry, s store) { s.PurgedAt, e.PurgedAt = noon, noon }, "purged_at must be there"},
		"purged otherwise, and seen": {rewritten(), func(_ entry, s store) { s.Method = "remaining+find" }, "imply"},
	} {
		encode(t, row.e)
		row.spoil(row.e, &row.e.Stores[0])
		wantRefusal(t, name, row.e, row.says)
	}
}

func TestACertificateSaysHowTablesWerePurged(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	for name, row := range map[string]struct {
		e           *proof.Completed
		says, never string
	}{
		"rewritten": {rewritten(), "purged: the tables rewritten; of their pages, those of indexes and those written since aside, each was read", "not purged"},
		"its log":   {rewritten(), "wal of assistant (the server's write-ahead log and its archive may still hold bytes)", "no free page or journal"},
		"unseen":    {unseen(), "not purged: the tables were rewritten, but the server did not let their files be read", "purged: the tables rewritten"},
		"as before": {completed(), "purged: the store's files rewritten, no free page or journal left", "wal"},
	} {
		var l tree
		l.append(t, encode(t, row.e))
		r, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, vkey))
		if err != nil {
			t.Fatal(err)
		}
		says := r.String()
		if !strings.Contains(says, row.says) || strings.Contains(says, row.never) {
			t.Errorf("%s: got\n%s\nwant %q and not %q", name, says, row.says, row.never)
		}
	}
}
