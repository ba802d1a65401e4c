package proof_test

import (
	"bytes"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	origin    = "log.example/lethe"
	requestID = "0199f2a4-5c1e-7d3b-8f00-0123456789ab"
)

const noon proof.Time = 1795348800 // 2026-11-22T12:00:00Z

// A zeroes reader makes keys that are the same in every run.
type zeroes byte

func (z zeroes) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(z)
	}
	return len(p), nil
}

func newKey(t testing.TB, seed byte, name string) (note.Signer, string) {
	t.Helper()
	private, public, err := note.GenerateKey(zeroes(seed), name)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer, public
}

func parseKeys(t testing.TB, lines ...string) *proof.Policy {
	t.Helper()
	keys, err := proof.ParseKeys([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func subjectKey() []byte { return bytes.Repeat([]byte{7}, 32) }

func terms() proof.Terms {
	return proof.Terms{
		RequestID: requestID, ReceivedAt: noon - 60, AcceptedAt: noon - 50, DueAt: noon + 30*86400,
		Regime: "gdpr", Ground: "art17-1-b",
		Subject: proof.SubjectCommitment(subjectKey(), []byte(`{"user_id":"alice"}`)),
		Ticket:  proof.TicketDigest(subjectKey(), "PRIV-123"),
	}
}

func completed() *proof.Completed {
	return &proof.Completed{
		Header: proof.Header{Origin: origin}, Terms: terms(),
		PlannedAt: noon - 40, FirstErasedAt: noon - 30, ErasedAt: noon - 20, VerifiedAt: noon - 10, PurgedAt: noon - 5, CompletedAt: noon,
		PlanHash: proof.Digest([32]byte{1}), Batches: 3, BatchesRoot: proof.Digest(proof.BatchesRoot([][32]byte{{1}, {2}, {3}})),
		ApprovedBy: "tok-7",
		Exclusions: proof.Exclusions{
			{Code: "backup", Store: "assistant", Until: noon + 30*86400},
			{Code: proof.ExcludesHeld, Store: "assistant"},
			{Code: proof.ExcludesUnattributable, Store: "assistant"},
		},
		Stores: []proof.StoreProof{{
			Name: "assistant", StoreKind: "mem0-sqlite", Requested: 2483, Found: 2480, Erased: 2478, Absent: 3, Held: 2,
			Unattributable: 12, Batches: 3, Rounds: 1, Evidence: proof.EvidencePurged, Method: "find+remaining",
			FirstErasedAt: noon - 30, VerifiedAt: noon - 10, PurgedAt: noon - 5,
			Places: []proof.PlaceProof{
				{Name: "entities", Erased: 478, Absent: 1},
				{Name: "history", With: "memories", Found: 3120},
				{Name: "memories", Erased: 2000, Held: 2},
				{Name: "messages"},
			},
		}},
	}
}

func accepted() *proof.Accepted {
	return &proof.Accepted{Header: proof.Header{Origin: origin}, Terms: terms(), Selector: proof.SelectsScope, Stores: []string{"assistant"}}
}

func cancelled() *proof.Cancelled {
	remaining := 5
	return &proof.Cancelled{
		Header: proof.Header{Origin: origin}, Terms: terms(), CancelledAt: noon, BatchesRoot: proof.Digest(proof.BatchesRoot(nil)),
		Stores: []proof.CancelledStore{{
			Name: "assistant", StoreKind: "mem0-sqlite", Requested: 10, Found: 9, Erased: 3, Absent: 1, Refused: 1,
			Remaining: &remaining, Batches: 2, BatchesDone: 1,
		}},
	}
}

func keyDestroyed() *proof.SubjectKeyDestroyed {
	return &proof.SubjectKeyDestroyed{Header: proof.Header{Origin: origin}, RequestID: requestID, DestroyedAt: noon}
}

// A tree is a log in memory.
type tree struct {
	bodies [][]byte
	hashes []tlog.Hash
}

func (l *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var out []tlog.Hash
	for _, i := range indexes {
		out = append(out, l.hashes[i])
	}
	return out, nil
}

func (l *tree) append(t testing.TB, body []byte) {
	t.Helper()
	h, err := tlog.StoredHashes(int64(len(l.bodies)), body, l)
	if err != nil {
		t.Fatal(err)
	}
	l.bodies, l.hashes = append(l.bodies, body), append(l.hashes, h...)
}

func (l *tree) checkpoint(t testing.TB, size int, signers ...note.Signer) []byte {
	t.Helper()
	root, err := tlog.TreeHash(int64(size), l)
	if err != nil {
		t.Fatal(err)
	}
	return sign(t, proof.FormatHead(signers[0].Name(), int64(size), root), signers...)
}

func sign(t testing.TB, text string, signers ...note.Signer) []byte {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (l *tree) certificate(t testing.TB, idx, size int, signers ...note.Signer) proof.Certificate {
	t.Helper()
	path, err := tlog.ProveRecord(int64(size), int64(idx), l)
	if err != nil {
		t.Fatal(err)
	}
	return proof.Certificate{Entry: l.bodies[idx], Index: int64(idx), Path: path, Checkpoint: l.checkpoint(t, size, signers...)}
}

func encode(t testing.TB, e proof.Entry) []byte {
	t.Helper()
	b, err := proof.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// newTree returns a log of n entries of which number 3 is completed.
func newTree(t testing.TB, n int) *tree {
	t.Helper()
	var l tree
	for i := range n {
		e := keyDestroyed()
		e.DestroyedAt += proof.Time(i)
		if i == 3 {
			l.append(t, encode(t, completed()))
			continue
		}
		l.append(t, encode(t, e))
	}
	return &l
}
