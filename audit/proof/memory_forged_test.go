package proof_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"lethe/audit/proof"
)

func TestForgedMemoryProofsAreRefused(t *testing.T) {
	e := newErasure(t, 5, 6, 7)
	m := e.all[7] // of the second batch
	other := e.all[8]
	good := e.proof(t, m)
	if _, _, err := e.verify(t, good.Text(), subjectKey(), m.id); err != nil {
		t.Fatal(err)
	}
	elsewhere := newErasure(t, 5, 6)
	change := func(f func(*proof.MemoryProof)) []byte {
		p := e.proof(t, m)
		f(&p)
		return p.Text()
	}
	edit := func(old, by string) []byte {
		if !bytes.Contains(good.Text(), []byte(old)) {
			t.Fatalf("no %q", old)
		}
		return bytes.Replace(good.Text(), []byte(old), []byte(by), 1)
	}
	flip := func(steps []proof.Step, n int) []proof.Step {
		steps[n].Left = !steps[n].Left
		return steps
	}
	rows := map[string][]byte{
		"better outcome":          change(func(p *proof.MemoryProof) { p.Outcome = turned(p.Outcome) }),
		"another memory's":        e.proof(t, other).Text(),
		"another batch":           change(func(p *proof.MemoryProof) { p.Batch = batchID(0) }),
		"another place":           change(func(p *proof.MemoryProof) { p.Place = "messages" }),
		"place that ends in ID":   change(func(p *proof.MemoryProof) { p.Place = "memories/" + canaryID }),
		"another certificate":     change(func(p *proof.MemoryProof) { p.Certificate = elsewhere.text }),
		"receipt path of another": change(func(p *proof.MemoryProof) { p.Receipt = e.proof(t, other).Receipt }),
		"batches path of another": change(func(p *proof.MemoryProof) { p.Batches = e.proof(t, e.all[0]).Batches }),
		"side of receipt":         change(func(p *proof.MemoryProof) { p.Receipt = flip(p.Receipt, 0) }),
		"side of batches":         change(func(p *proof.MemoryProof) { p.Batches = flip(p.Batches, 1) }),
		"step dropped":            change(func(p *proof.MemoryProof) { p.Receipt = p.Receipt[1:] }),
		"step added":              change(func(p *proof.MemoryProof) { p.Batches = append(p.Batches, proof.Step{}) }),
		"step moved to the other": change(func(p *proof.MemoryProof) {
			p.Receipt, p.Batches = append(p.Receipt, p.Batches[0]), p.Batches[1:]
		}),
		"paths left out":       change(func(p *proof.MemoryProof) { p.Receipt, p.Batches = nil, nil }),
		"path without end":     change(func(p *proof.MemoryProof) { p.Receipt = make([]proof.Step, 64) }),
		"batches first":        change(func(p *proof.MemoryProof) { p.Receipt, p.Batches = p.Batches, p.Receipt }),
		"index edited":         edit("\nindex 1\n", "\nindex 0\n"),
		"of an accepted entry": change(func(p *proof.MemoryProof) { p.Certificate = acceptedCertificate(t) }),
	}
	// What is wrong with the form is found without a key.
	misshapen := map[string][]byte{
		"unknown outcome":       edit("outcome "+m.outcome.String(), "outcome gone"),
		"outcome as a byte":     edit("outcome "+m.outcome.String(), "outcome e"),
		"batch in capitals":     edit("batch 0199f2a4", "batch 0199F2A4"),
		"no UUID":               edit("batch 0199f2a4", "batch 0199f2a"),
		"place with a slash":    edit("place memories", "place memories/x"),
		"batches' lines first":  swapTrees(t, good),
		"certificate spoilt":    edit("extra ", "extra  "),
		"line more":             edit("\noutcome", "\nleaf 17 of 1000\noutcome"),
		"two spaces":            edit("place memories", "place  memories"),
		"CRLF":                  bytes.ReplaceAll(good.Text(), []byte("\n"), []byte("\r\n")),
		"CR after a hash":       edit("=\n", "=\r\n"),
		"stray base64 bits":     strayBits(t, good.Text()),
		"text after the end":    append(good.Text(), '\n'),
		"head of version two":   edit("@v1\nbatch", "@v2\nbatch"),
		"certificate alone":     e.text,
		"certificate left out":  bytes.TrimSuffix(good.Text(), e.text),
		"nothing":               nil,
		"more than a megabyte":  append(good.Text(), make([]byte, 2<<20)...),
		"half of it":            good.Text()[:len(good.Text())/2],
		"byte order mark":       append([]byte("\ufeff"), good.Text()...),
		"white space before it": append([]byte("\n"), good.Text()...),
	}
	for name, text := range misshapen {
		if _, err := proof.ParseMemoryProof(text); !errors.Is(err, proof.ErrNotVerified) {
			t.Errorf("%s is parsed: %v", name, err)
		}
		rows[name] = text
	}
	for name, text := range rows {
		_, line, err := e.verify(t, text, subjectKey(), m.id)
		if !errors.Is(err, proof.ErrNotVerified) || line != "" {
			t.Errorf("%s: %q, %v", name, line, err)
		}
		if err != nil && strings.Contains(err.Error(), canaryID) {
			t.Errorf("%s: the error repeats the ID", name)
		}
	}
	t.Logf("%d forged proofs", len(rows))
}

// turned is the outcome that a forger would like better.
func turned(o proof.Outcome) proof.Outcome {
	if o == proof.OutcomeErased {
		return proof.OutcomeAbsent
	}
	return proof.OutcomeErased
}

func acceptedCertificate(t testing.TB) []byte {
	signer, _ := newKey(t, 1, origin)
	var l tree
	l.append(t, encode(t, accepted()))
	return l.certificate(t, 0, 1, signer).Text()
}

// swapTrees writes the lines of the one path before those of the other.
func swapTrees(t testing.TB, m proof.MemoryProof) []byte {
	t.Helper()
	head, certificate, _ := strings.Cut(string(m.Text()), "\n\n")
	lines := strings.Split(head, "\n")
	at := 4 + len(m.Receipt)
	if len(m.Receipt) == 0 || len(m.Batches) == 0 {
		t.Fatal("a path is empty")
	}
	lines = slices.Concat(lines[:4], lines[at:], lines[4:at])
	return []byte(strings.Join(lines, "\n") + "\n\n" + certificate)
}

// strayBits sets bits of the first hash that decoders throw away.
func strayBits(t testing.TB, text []byte) []byte {
	t.Helper()
	spoilt := bytes.Clone(text)
	end := bytes.Index(spoilt, []byte("=\n"))
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	spoilt[end-1] = alphabet[strings.IndexByte(alphabet, spoilt[end-1])|1]
	return spoilt
}
