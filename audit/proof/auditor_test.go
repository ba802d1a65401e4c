package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
)

// auditorFolder has what an auditor may try lethe-verify on. Everything in it
// is invented, and made by the code below.
const auditorFolder = "../../deploy/auditor"

const (
	auditorLog = "lethe.example/log"
	nora       = `{"user_id":"nora"}`
)

// A story is the erasure of nora, in a log that two witnesses watch over.
type story struct {
	log       *tree
	signers   []note.Signer // the log and its clock
	witnesses []note.Signer
	key       string
	witnessed [3]string // verifier keys; the third witness has seen nothing
	memories  []string
	batches   [][][32]byte
	roots     [][32]byte
}

func newStory(t testing.TB) *story {
	t.Helper()
	x := &story{log: &tree{}}
	secret := privateKey(41)
	x.key = proof.VerifierKey(auditorLog, secret.Public().(ed25519.PublicKey))
	signer, err := proof.NewSigner(auditorLog, secret)
	if err != nil {
		t.Fatal(err)
	}
	clock, _ := newWitness(t, 41, auditorLog, noon+1)
	x.signers = []note.Signer{signer, clock}
	for i := range x.witnessed {
		w, key := newWitness(t, byte(42+i), fmt.Sprintf("witness%d.example/w", i+1), noon+proof.Time(3+i))
		x.witnesses, x.witnessed[i] = append(x.witnesses, w), key
	}
	for b := range 2 {
		var leaves [][32]byte
		for i := range 10 {
			id := fmt.Sprintf("5d1c0f2e-9a4b-4c7d-8e6f-0000000000%d%d", b, i)
			x.memories = append(x.memories, id)
			leaves = append(leaves, proof.ReceiptLeaf(subjectKey(), batchID(b), "memories/"+id, byte(proof.OutcomeErased)))
		}
		x.batches, x.roots = append(x.batches, leaves), append(x.roots, proof.ReceiptRoot(leaves))
	}
	x.grow(t, 0)
	return x
}

// grow logs the acceptance and the end of nora's request among others, which
// differ from turn to turn.
func (x *story) grow(t testing.TB, turn proof.Time) {
	t.Helper()
	terms := proof.Terms{
		RequestID: requestID, ReceivedAt: noon - 60, AcceptedAt: noon - 50, DueAt: noon + 30*86400, Regime: "gdpr", Ground: "art17-1-b",
		Subject: proof.SubjectCommitment(subjectKey(), []byte(nora)), Ticket: proof.TicketDigest(subjectKey(), "PRIV-7"),
	}
	completed := &proof.Completed{
		Terms: terms, PlannedAt: noon - 40, FirstErasedAt: noon - 30, ErasedAt: noon - 20, VerifiedAt: noon - 10, PurgedAt: noon - 5, CompletedAt: noon,
		PlanHash: proof.Digest([32]byte{1}), Batches: 2, BatchesRoot: proof.Digest(proof.BatchesRoot(x.roots)),
		Stores: []proof.StoreProof{{
			Name: "assistant", StoreKind: "mem0-sqlite", Requested: 20, Found: 20, Erased: 20, Batches: 2, Rounds: 1,
			Evidence: proof.EvidencePurged, Method: "remaining+find", FirstErasedAt: noon - 30, VerifiedAt: noon - 10, PurgedAt: noon - 5,
			Places: []proof.PlaceProof{{Name: "entities", Erased: 5}, {Name: "history", With: "memories", Found: 15}, {Name: "memories", Erased: 15}},
		}},
	}
	completed.Exclude(proof.Exclusion{Code: "backups", Store: "assistant", Until: noon + 30*86400})
	entries := []proof.Entry{&proof.Accepted{Terms: terms, Selector: proof.SelectsScope, Stores: []string{"assistant"}}}
	for i := range 300 {
		entries = append(entries, &proof.SubjectKeyDestroyed{RequestID: fmt.Sprintf("0199f2a4-5c1e-7d3b-8f00-%012x", i), DestroyedAt: noon - 900 + turn + proof.Time(i)})
		if i == 150 {
			entries = append(entries, completed)
		}
	}
	for _, e := range entries {
		e.Head().Origin = auditorLog
		x.log.append(t, encode(t, e))
	}
}

const noraIndex = 152 // of her certificate's entry

func (x *story) files(t testing.TB) map[string][]byte {
	t.Helper()
	size := len(x.log.bodies)
	cert := x.log.certificate(t, noraIndex, size, append(x.signers, x.witnesses[:2]...)...)
	changed := cert
	changed.Entry = bytes.Replace(cert.Entry, []byte(`"erased":20`), []byte(`"erased":21`), 1)
	other := &story{log: &tree{}, signers: x.signers, roots: x.roots}
	other.grow(t, 7)
	inBatch, err := proof.ProveSteps(x.batches[1], 4)
	if err != nil {
		t.Fatal(err)
	}
	inAll, err := proof.ProveSteps(x.roots, 1)
	if err != nil {
		t.Fatal(err)
	}
	memory := proof.MemoryProof{
		Batch: batchID(1), Place: "memories", Outcome: proof.OutcomeErased, Receipt: inBatch, Batches: inAll, Certificate: cert.Text(),
	}
	policy := "# Whom we believe: the log, and two witnesses that others run.\nlog " + x.key + "\n"
	for i, key := range x.witnessed[:2] {
		policy += fmt.Sprintf("witness w%d %s\n", i+1, key)
	}
	return map[string][]byte{
		"log.pub":                 []byte(x.key + "\n"),
		"policy":                  []byte(policy + "group both all w1 w2\nquorum both\n"),
		"policy-of-three":         []byte(policy + "witness w3 " + x.witnessed[2] + "\ngroup three all w1 w2 w3\nquorum three\n"),
		"subject.key":             []byte(strings.Repeat("07", 32) + "\n"),
		"certificate.tlog-proof":  cert.Text(),
		"changed.tlog-proof":      changed.Text(),
		"receipt.tlog-proof":      x.log.certificate(t, 0, size, x.signers...).Text(),
		"told-another.tlog-proof": other.log.certificate(t, noraIndex, size, x.signers...).Text(),
		"memory.proof":            memory.Text(),
	}
}

// session is what the folder's README shows.
func session(x *story) []struct {
	says, args string
	status     int
} {
	return []struct {
		says, args string
		status     int
	}{
		{"The certificate, under the log's key alone:", "certificate.tlog-proof --key log.pub", 0},
		{"The same under a policy that asks for two witnesses, and whose it is:", "certificate.tlog-proof --policy policy --subject nora --subject-key subject.key", 0},
		{"A policy that asks for one more witness is not satisfied. The certificate is sound all the same:", "certificate.tlog-proof --policy policy-of-three", 10},
		{"One count changed, from 20 to 21:", "changed.tlog-proof --key log.pub", 5},
		{"About somebody else:", "certificate.tlog-proof --key log.pub --subject omar --subject-key subject.key", 5},
		{"One memory of the 20, for whoever knows its ID and has the key:", "memory.proof --policy policy --memory " + x.memories[14] + " --subject-key subject.key", 0},
		{"Proof that the request was taken in, which the submitter had at once:", "receipt.tlog-proof --key log.pub", 0},
		{"It is genuine and no erasure. Who looks at the status alone asks for one:", "receipt.tlog-proof --key log.pub --completed", 5},
		{"What somebody else was told: another history under the same signature. Each of the two verifies alone:", "certificate.tlog-proof told-another.tlog-proof --key log.pub --evidence .", 30},
		{"The evidence is a file that proves it by itself:", "fork-lethe.example-log-302.evidence --key log.pub", 30},
	}
}

const auditorHead = `# Try it

What an auditor gets, to be tried with ` + "`lethe-verify`" + `. Nora, her memories and
everybody else here are invented. A test makes these files and this page, and
holds them to what the command says.

    CGO_ENABLED=0 go build -o bin/lethe-verify ./cmd/lethe-verify    # in the repository's root
    PATH=$PWD/bin:$PATH; cd deploy/auditor

| file | what it is |
|---|---|
| ` + "`log.pub`" + ` | the log's public key |
| ` + "`policy`, `policy-of-three`" + ` | whom to believe, and how many witnesses it takes (C2SP tlog-policy) |
| ` + "`certificate.tlog-proof`" + ` | the erasure of everything about nora (C2SP tlog-proof) |
| ` + "`subject.key`" + ` | opens the commitment to her; goes to the submitter alone, and is destroyed at the log's |
| ` + "`changed.tlog-proof`" + ` | the certificate with one count changed |
| ` + "`receipt.tlog-proof`" + ` | proof that the request was taken in |
| ` + "`memory.proof`" + ` | what became of one memory |
| ` + "`told-another.tlog-proof`" + ` | the same statement out of another history that the log signed |
`

// TestTheAuditorsFolderIsTrue makes the folder again and compares it, and runs
// every command that its page shows. With UPDATE_GOLDEN set it writes both.
func TestTheAuditorsFolderIsTrue(t *testing.T) {
	x := newStory(t)
	d := desk{t.TempDir()}
	folder, err := filepath.Abs(auditorFolder)
	if err != nil {
		t.Fatal(err)
	}
	want := x.files(t)
	for name, text := range want {
		write(t, filepath.Join(d.dir, name), text)
	}
	page := auditorHead
	for _, c := range session(x) {
		status, out := d.run(t, c.args)
		if status != c.status {
			t.Errorf("%s: status %d, want %d\n%s", c.args, status, c.status, out)
		}
		page += fmt.Sprintf("\n%s\n\n```\n$ lethe-verify %s\n%s$ echo $?\n%d\n```\n", c.says, c.args, out, status)
	}
	want["README.md"] = []byte(page)
	for name, text := range want {
		path := filepath.Join(folder, name)
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, text, 0o644); err != nil { //nolint:gosec // to be published
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is not what this test makes (%v): set UPDATE_GOLDEN=1", name, err)
		}
	}
}
