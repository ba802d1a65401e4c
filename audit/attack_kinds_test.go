package audit_test

import (
	"path/filepath"
	"slices"
	"testing"

	"lethe/audit/keyfile"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// An attack changes the database of a scene.
type attack struct {
	name string
	do   func(t testing.TB, s *scene)
}

// rewrite makes an attack of a change to the history.
func rewrite(change func(t testing.TB, s *scene, h *history)) func(testing.TB, *scene) {
	return func(t testing.TB, s *scene) {
		t.Helper()
		h := s.now.clone()
		change(t, s, h)
		h.write(t, s.ledger)
	}
}

func attacks() []attack {
	return slices.Concat([]attack{{"none", func(testing.TB, *scene) {}}}, clumsyAttacks(), rollbacks(), insiderAttacks())
}

// clumsyAttacks need to write the database, and nothing else.
func clumsyAttacks() []attack {
	return []attack{
		{"modify entry 120 in place", rewrite(func(_ testing.TB, _ *scene, h *history) { h.modify(120) })},
		{"modify entry 120, recompute every hash", rewrite(func(t testing.TB, _ *scene, h *history) {
			h.modify(120)
			h.recompute(t)
		})},
		{"delete entry 120, leave a gap", rewrite(func(_ testing.TB, _ *scene, h *history) { h.bodies[120] = nil })},
		{"delete entry 120, renumber, recompute", rewrite(func(t testing.TB, _ *scene, h *history) {
			h.remove(120)
			h.recompute(t)
		})},
		{"insert a false entry at 120, recompute", rewrite(func(t testing.TB, s *scene, h *history) {
			h.ids = slices.Insert(h.ids, 120, entryID(7777))
			h.bodies = slices.Insert(h.bodies, 120, s.falseEntry(t))
			h.recompute(t)
		})},
		{"swap entries 120 and 121, recompute", rewrite(func(t testing.TB, _ *scene, h *history) {
			h.ids[120], h.ids[121] = h.ids[121], h.ids[120]
			h.bodies[120], h.bodies[121] = h.bodies[121], h.bodies[120]
			h.recompute(t)
		})},
		{"flip one stored interior hash", rewrite(func(_ testing.TB, _ *scene, h *history) {
			h.hashes[tlog.StoredHashIndex(3, 14)][0] ^= 1
		})},
		{"truncate the last 20 entries, and nothing else", rewrite(func(_ testing.TB, _ *scene, h *history) {
			h.ids, h.bodies = h.ids[:280], h.bodies[:280]
		})},
	}
}

// rollbacks leave a log that is sound in itself.
func rollbacks() []attack {
	return []attack{
		{"truncate the last 20 with their hashes and heads", rewrite(func(_ testing.TB, _ *scene, h *history) { h.truncate(280) })},
		{"put the whole database back to an older state", func(t testing.TB, s *scene) { s.then.write(t, s.ledger) }},
		{"put it back, then go on signing to 350", func(t testing.TB, s *scene) {
			s.then.write(t, s.ledger)
			l, err := s.open(t.Context()) // as after a restart with no head kept elsewhere
			if err != nil {
				t.Fatal(err)
			}
			for at := 200; at < 350; at += 10 {
				s.grow(t, l, 1000+at)
			}
		}},
	}
}

// insiderAttacks are of somebody who has the log's key, or makes one.
func insiderAttacks() []attack {
	return []attack{
		{"with the log's key: modify entry 120, sign all anew", rewrite(func(t testing.TB, s *scene, h *history) {
			h.modify(120)
			h.recompute(t, s.signer(t, s.key))
		})},
		{"with the log's key: drop the last 20, sign all anew", rewrite(func(t testing.TB, s *scene, h *history) {
			h.truncate(280)
			h.recompute(t, s.signer(t, s.key))
		})},
		{"with the key and the pin: modify entry 120, sign and pin anew", rewrite(func(t testing.TB, s *scene, h *history) {
			h.modify(120)
			h.recompute(t, s.signer(t, s.key))
			s.pin = h.heads[len(h.heads)-1].Note
		})},
		{"with the key: rewrite only what nobody else has seen", func(t testing.TB, s *scene) {
			l, err := s.open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s.grow(t, l, 300)
			h := readHistory(t, s.ledger)
			h.modify(305)
			h.recompute(t, s.signer(t, s.key))
			h.write(t, s.ledger)
		}},
		{"rewrite and sign all under a new key of the same name", rewrite(func(t testing.TB, s *scene, h *history) {
			k, err := keyfile.Open(filepath.Join(t.TempDir(), "k"), s.key.Origin)
			if err != nil {
				t.Fatal(err)
			}
			h.modify(120)
			h.recompute(t, s.signer(t, k))
		})},
		{"delete every head", rewrite(func(_ testing.TB, _ *scene, h *history) { h.heads = nil })},
		{"leave an entry out before it is logged", func(testing.TB, *scene) {}},
	}
}

func (s *scene) falseEntry(t testing.TB) []byte {
	t.Helper()
	e := entry(7777)
	e.Head().Origin = s.key.Origin
	body, err := proof.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
