package proof_test

import (
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// ofMillion returns a certificate of the first of 2^20 entries, under a policy
// of three witnesses that have all seen it. Only the path of that entry is
// made: what the others are does not matter to it.
func ofMillion(t testing.TB) ([]byte, *proof.Policy) {
	t.Helper()
	signer, _ := newKey(t, 1, origin)
	policy, ws := twoOfThree(t)
	body := encode(t, completed())
	root := tlog.RecordHash(body)
	var path tlog.RecordProof
	for i := range 20 {
		path = append(path, tlog.RecordHash([]byte{byte(i)}))
		root = tlog.NodeHash(root, path[i])
	}
	signers := append([]note.Signer{signer, newClock(t, 1, noon)}, ws...)
	c := proof.Certificate{Entry: body, Path: path, Checkpoint: sign(t, proof.FormatHead(origin, 1<<20, root), signers...)}
	return c.Text(), policy
}

func TestCertificatesOfAMillionEntriesAreSmall(t *testing.T) {
	text, policy := ofMillion(t)
	r, err := proof.Verify(text, policy)
	if err != nil {
		t.Fatal(err)
	}
	if met, missing := r.Witnessed(); !met || len(r.Head.Witnesses) != 3 {
		t.Errorf("not witnessed: %s", missing)
	}
	t.Logf("%d bytes", len(text))
	if len(text) > 4096 {
		t.Errorf("%d bytes, want at most 4096", len(text))
	}
}

func BenchmarkVerify(b *testing.B) {
	text, policy := ofMillion(b)
	b.ReportMetric(float64(len(text)), "bytes")
	for b.Loop() {
		if _, err := proof.Verify(text, policy); err != nil {
			b.Fatal(err)
		}
	}
}
