package proof_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/tlog"
)

// canaryID is in the ID of every memory of an erasure, so that a text which
// repeats one is seen.
const canaryID = "canary-7f3a"

// A receipted is one memory of an erasure and where its receipt stands.
type receipted struct {
	id           string
	outcome      proof.Outcome
	batch, index int
}

// An erasure is a request with its receipts, certified in a log.
type erasure struct {
	batches [][][32]byte
	roots   [][32]byte
	all     []receipted
	entry   *proof.Cancelled
	text    []byte // of its certificate
	vkey    string
}

func batchID(n int) string { return fmt.Sprintf("0199f2a4-5c1e-7d3b-8f00-%012d", n) }

// newErasure makes receipts for batches of the given sizes. The outcomes take
// turns.
func newErasure(t testing.TB, sizes ...int) *erasure {
	t.Helper()
	var e erasure
	for b, size := range sizes {
		var leaves [][32]byte
		for i := range size {
			m := receipted{fmt.Sprintf("%s/%d-%d", canaryID, b, i), proof.Outcomes()[(b+i)%4], b, i}
			e.all = append(e.all, m)
			leaves = append(leaves, proof.ReceiptLeaf(subjectKey(), batchID(b), "memories/"+m.id, byte(m.outcome)))
		}
		e.batches = append(e.batches, leaves)
		e.roots = append(e.roots, proof.ReceiptRoot(leaves))
	}
	entry := cancelled() // which may have every outcome
	entry.BatchesRoot = proof.Digest(proof.BatchesRoot(e.roots))
	entry.Stores[0].Held = 1
	signer, vkey := newKey(t, 1, origin)
	var l tree
	l.append(t, encode(t, accepted()))
	l.append(t, encode(t, entry))
	e.entry, e.vkey = entry, vkey
	e.text = l.certificate(t, 1, 2, signer).Text()
	return &e
}

func (e *erasure) proof(t testing.TB, m receipted) proof.MemoryProof {
	t.Helper()
	inBatch, err := proof.ProveSteps(e.batches[m.batch], int64(m.index))
	if err != nil {
		t.Fatal(err)
	}
	inAll, err := proof.ProveSteps(e.roots, int64(m.batch))
	if err != nil {
		t.Fatal(err)
	}
	return proof.MemoryProof{
		Batch: batchID(m.batch), Place: "memories", Outcome: m.outcome,
		Receipt: inBatch, Batches: inAll, Certificate: e.text,
	}
}

func (e *erasure) verify(t testing.TB, text, key []byte, id string) (*proof.Result, string, error) {
	t.Helper()
	keys := parseKeys(t, e.vkey)
	return proof.VerifyMemory(text, func(c []byte) (*proof.Result, error) { return proof.Verify(c, keys) }, key, id)
}

func TestEveryMemoryOfAnErasureCanBeProved(t *testing.T) {
	e := newErasure(t, 1, 2, 3, 7, 33, 1, 100)
	for _, m := range e.all {
		text := e.proof(t, m).Text()
		if bytes.Contains(text, []byte(canaryID)) || bytes.Contains(text, subjectKey()) {
			t.Fatal("the proof holds the memory's ID or the key")
		}
		r, line, err := e.verify(t, text, subjectKey(), m.id)
		if err != nil {
			t.Fatalf("memory %d of batch %d: %v", m.index, m.batch, err)
		}
		if r.Entry.Kind() != proof.KindCancelled || line != "in place memories: "+m.outcome.Meaning() {
			t.Errorf("memory %d of batch %d: %s, %q", m.index, m.batch, r.Entry.Kind(), line)
		}
	}
}

// What is still there must not sound as if it were gone.
func TestOutcomesAreSaidInWords(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range proof.Outcomes() {
		stays := o == proof.OutcomeHeld || o == proof.OutcomeRefused
		if !strings.HasPrefix(o.Meaning(), o.String()+": ") || strings.Contains(o.Meaning(), "NOT erased") != stays || seen[o.String()] {
			t.Errorf("%s is said as %q", o, o.Meaning())
		}
		seen[o.String()] = true
	}
	for o := range 256 {
		if o := proof.Outcome(o); (o.String() != "") != seen[o.String()] || (o.String() == "") != (o.Meaning() == "") {
			t.Errorf("outcome %d is said as %q", o, o)
		}
	}
}

// Steps lead to the root that RFC 6962 defines, and from no other leaf.
func TestStepsLeadToTheRootOfEverySize(t *testing.T) {
	entry := func(root [32]byte) *proof.Cancelled {
		e := cancelled()
		e.BatchesRoot = proof.Digest(proof.BatchesRoot([][32]byte{root}))
		return e
	}
	var leaves [][32]byte
	for n := 1; n <= 130; n++ {
		id := fmt.Sprint(n)
		leaves = append(leaves, proof.ReceiptLeaf(subjectKey(), batchID(0), "memories/"+id, 'e'))
		e := entry(proof.ReceiptRoot(leaves))
		for i := range leaves {
			steps, err := proof.ProveSteps(leaves, int64(i))
			if err != nil {
				t.Fatal(err)
			}
			m := proof.MemoryProof{Batch: batchID(0), Place: "memories", Outcome: 'e', Receipt: steps}
			if err := m.CheckEntry(e, subjectKey(), fmt.Sprint(i+1)); err != nil {
				t.Fatalf("leaf %d of %d: %v", i, n, err)
			}
			if err := m.CheckEntry(e, subjectKey(), fmt.Sprint(i)); !errors.Is(err, proof.ErrNotVerified) {
				t.Fatalf("leaf %d of %d proves its neighbour: %v", i, n, err)
			}
		}
	}
	if _, err := proof.ProveSteps(leaves, 130); err == nil {
		t.Error("a leaf that is not there was proved")
	}
}

func TestMemoryProofsNeedTheirKeyTheirIDAndTheirCertificate(t *testing.T) {
	e := newErasure(t, 5, 6)
	m := e.all[0]
	p := e.proof(t, m)
	for name, ask := range map[string]struct {
		key []byte
		id  string
	}{
		"another key":        {bytes.Repeat([]byte{8}, 32), m.id},
		"another ID":         {subjectKey(), e.all[1].id},
		"no ID":              {subjectKey(), ""},
		"ID with its place":  {subjectKey(), "memories/" + m.id},
		"part of the ID":     {subjectKey(), m.id[:len(m.id)-1]},
		"ID with a line end": {subjectKey(), m.id + "\n"},
	} {
		if _, _, err := e.verify(t, p.Text(), ask.key, ask.id); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	p.Place = "memories/" + canaryID // the beginning of the ID, which has a slash
	if err := p.CheckEntry(e.entry, subjectKey(), strings.TrimPrefix(m.id, canaryID+"/")); !errors.Is(err, proof.ErrNotVerified) {
		t.Errorf("the end of an ID passes for an ID: err = %v", err)
	}
	p.Place = "memories"
	later := *e.entry // with the same receipts
	later.CancelledAt++
	signer, _ := newKey(t, 1, origin)
	var l tree
	l.append(t, encode(t, &later))
	other, err := proof.Verify(l.certificate(t, 0, 1, signer).Text(), parseKeys(t, e.vkey))
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*proof.Result{"none": nil, "of another certificate": other} {
		if err := p.Check(r, subjectKey(), m.id); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("with the result %s: err = %v", name, err)
		}
	}
	refused := errors.New("refused")
	_, _, err = proof.VerifyMemory(p.Text(), func([]byte) (*proof.Result, error) { return nil, refused }, subjectKey(), m.id)
	if !errors.Is(err, refused) {
		t.Errorf("a certificate that does not verify: err = %v", err)
	}
}

// HMAC fills keys up with zeroes: without their one length, many would open it.
func TestSubjectKeysHaveOneLength(t *testing.T) {
	leaf := proof.ReceiptLeaf(make([]byte, 32), batchID(0), "memories/m", 'e')
	e := cancelled()
	e.BatchesRoot = proof.Digest(proof.BatchesRoot([][32]byte{proof.ReceiptRoot([][32]byte{leaf})}))
	m := proof.MemoryProof{Batch: batchID(0), Place: "memories", Outcome: 'e'}
	for n := range 66 {
		if err := m.CheckEntry(e, make([]byte, n), "m"); (err == nil) != (n == 32) {
			t.Errorf("a key of %d bytes: err = %v", n, err)
		}
	}
}

// A receipt that its certificate does not count contradicts it.
func TestOutcomesMustBeCountedByTheCertificate(t *testing.T) {
	leaf := func(o proof.Outcome) [32]byte {
		return proof.ReceiptLeaf(subjectKey(), batchID(0), "memories/m", byte(o))
	}
	for _, o := range proof.Outcomes() {
		root := proof.Digest(proof.BatchesRoot([][32]byte{proof.ReceiptRoot([][32]byte{leaf(o)})}))
		done, stopped := completed(), cancelled()
		done.BatchesRoot, stopped.BatchesRoot = root, root
		m := proof.MemoryProof{Batch: batchID(0), Place: "memories", Outcome: o}
		s := &done.Stores[0]
		s.Erased, s.Absent, s.Held, s.Refused = 1, 1, 1, 1
		stopped.Stores[0].Erased, stopped.Stores[0].Absent, stopped.Stores[0].Held, stopped.Stores[0].Refused = 1, 1, 1, 1
		for _, e := range []proof.Entry{done, stopped} {
			if err := m.CheckEntry(e, subjectKey(), "m"); err != nil {
				t.Errorf("%s, %s: %v", e.Kind(), o, err)
			}
		}
		for of, n := range map[proof.Outcome][2]*int{
			proof.OutcomeErased: {&s.Erased, &stopped.Stores[0].Erased}, proof.OutcomeAbsent: {&s.Absent, &stopped.Stores[0].Absent},
			proof.OutcomeHeld: {&s.Held, &stopped.Stores[0].Held}, proof.OutcomeRefused: {&s.Refused, &stopped.Stores[0].Refused},
		} {
			if of == o {
				*n[0], *n[1] = 0, 0
			}
		}
		for _, e := range []proof.Entry{done, stopped} {
			if err := m.CheckEntry(e, subjectKey(), "m"); !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("%s without any that was %s: err = %v", e.Kind(), o, err)
			}
		}
	}
}

func FuzzParseMemoryProof(f *testing.F) {
	e := newErasure(f, 1, 6, 7)
	for _, n := range []int{0, 3, 9} {
		f.Add(e.proof(f, e.all[n]).Text())
	}
	text := e.proof(f, e.all[3]).Text()
	f.Add(bytes.ReplaceAll(text, []byte("\n"), []byte("\r\n")))
	f.Add(strayBits(f, text))
	f.Add(bytes.Replace(text, []byte("outcome "), []byte("outcome  "), 1))
	f.Add(append(bytes.Clone(text), '\n'))
	keys := parseKeys(f, e.vkey)
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := proof.ParseMemoryProof(text)
		if err != nil {
			if !errors.Is(err, proof.ErrNotVerified) {
				t.Errorf("err = %v", err)
			}
			return
		}
		if !bytes.Equal(m.Text(), text) || !proof.IsMemoryProof(text) {
			t.Error("it has another text too")
		}
		if r, err := proof.Verify(m.Certificate, keys); err == nil {
			if m.Check(r, subjectKey(), "nobody's") == nil {
				t.Error("it proves what was never erased")
			}
		}
	})
}

// With up to 1000 IDs a batch and 1000 batches a proof is small.
func TestAMemoryProofIsSmall(t *testing.T) {
	e := newErasure(t, 1000)
	for len(e.roots) < 1000 {
		e.roots = append(e.roots, [32]byte(tlog.RecordHash([]byte(fmt.Sprint(len(e.roots))))))
	}
	p := e.proof(t, e.all[777])
	if n := len(p.Text()) - len(p.Certificate); n > 1500 || len(p.Receipt) != 10 || len(p.Batches) != 10 {
		t.Errorf("%d bytes besides the certificate, %d and %d steps", n, len(p.Receipt), len(p.Batches))
	}
}
