package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"lethe/audit/proof"
)

func pipe(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// in runs what must not wait for anybody.
func in(t *testing.T, work func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); work() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal("it waits for ever")
	}
}

func TestEvidenceIsSavedBesideWhateverHasItsName(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l := newTree(t, 20)
	e := evidence(t, parseKeys(t, vkey), l.fork(t, 5, 20), l, 11, 20, signer)
	dir := t.TempDir()
	const name = "fork-log.example-lethe-11"
	pipe(t, filepath.Join(dir, name+".evidence"))
	if err := os.Symlink("/dev/zero", filepath.Join(dir, name+"-2.evidence")); err != nil {
		t.Fatal(err)
	}
	elsewhere := write(t, filepath.Join(dir, "elsewhere"), e.Text())
	if err := os.Symlink(elsewhere, filepath.Join(dir, name+"-3.evidence")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, name+"-4.evidence"), 0o755); err != nil {
		t.Fatal(err)
	}
	in(t, func() {
		if path, err := e.Save(dir); err != nil || path != filepath.Join(dir, name+"-5.evidence") {
			t.Errorf("%s, %v", path, err)
		}
	})
}

func TestALogInAFolderCannotHoldUpOrFlood(t *testing.T) {
	d := layOut(t)
	tile := filepath.Join(d.dir, "log", "tile", "0", "000.p", "40")
	for name, spoil := range map[string]func(path string){
		"pipe":   func(path string) { pipe(t, path) },
		"folder": func(path string) { _ = os.Mkdir(path, 0o755) },
		"flood":  func(path string) { _ = os.Symlink("/dev/zero", path) },
		"long":   func(path string) { _ = os.WriteFile(path, make([]byte, proof.MaxLogFile+1), 0o600) },
	} {
		for _, path := range []string{tile, filepath.Join(d.dir, "log", "checkpoint")} {
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			spoil(path)
			in(t, func() {
				status, out := d.run(t, "plain.tlog-proof --key log.pub --log log")
				if status != proof.ExitError || !strings.Contains(out, "ERROR") {
					t.Errorf("%s at %s: status %d\n%s", name, filepath.Base(path), status, out)
				}
			})
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, before)
		}
	}
}

func TestCosignaturesSayATimeThatCanBeSaid(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	l := newTree(t, 10)
	for at, good := range map[int64]bool{0: false, 1: true, int64(noon): true, 253402300799: true, 253402300800: false, 1<<62 - 1: false} {
		at := time.Unix(at, 0)
		cosigner := func(seed byte, name string) note.Signer {
			w, err := proof.NewCosigner(name, privateKey(seed), func() time.Time { return at })
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		_, wKey := newWitness(t, 100, "witness.example/w", noon)
		policy := parsePolicy(t, "log "+vkey+"\nwitness w "+wKey+"\nquorum w\n")
		for _, w := range []note.Signer{cosigner(100, "witness.example/w"), cosigner(1, origin)} {
			if _, err := proof.Verify(l.certificate(t, 3, 10, signer, w).Text(), policy); (err == nil) != good {
				t.Errorf("%s at %d: %v", w.Name(), at.Unix(), err)
			}
		}
	}
}

// A script that looks at the status alone must be able to ask for an erasure,
// and not get a receipt for it.
func TestGenuineIsNotCompleted(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	e := newErasure(t, 3, 5) // its certificate is of a cancelled request
	d := desk{t.TempDir()}
	write(t, filepath.Join(d.dir, "log.pub"), []byte(vkey))
	write(t, filepath.Join(d.dir, "erasure.pub"), []byte(e.vkey))
	for name, entry := range map[string]proof.Entry{"accepted": accepted(), "cancelled": cancelled(), "completed": completed(), "destroyed": keyDestroyed()} {
		var l tree
		l.append(t, encode(t, entry))
		write(t, filepath.Join(d.dir, name), l.certificate(t, 0, 1, signer).Text())
		want := proof.ExitNotVerified
		if name == "completed" {
			want = proof.ExitVerified
		}
		if status, out := d.run(t, name+" --key log.pub"); status != proof.ExitVerified {
			t.Errorf("%s: status %d\n%s", name, status, out)
		}
		if status, out := d.run(t, "--completed "+name+" --key log.pub"); status != want || strings.Contains(out, "OK") != (want == proof.ExitVerified) {
			t.Errorf("%s --completed: status %d, want %d\n%s", name, status, want, out)
		}
	}
	for _, m := range e.all {
		write(t, filepath.Join(d.dir, "m"), e.proof(t, m).Text())
		status, out := d.run(t, "m --completed --key erasure.pub --memory "+m.id+" --subject-key "+strings.Repeat("07", 32))
		if status != proof.ExitNotVerified {
			t.Errorf("%s in a cancelled request: status %d\n%s", m.outcome, status, out)
		}
	}
}

func TestAHeldMemoryOfACompletedErasureIsNotCompleted(t *testing.T) {
	signer, vkey := newKey(t, 1, origin)
	d := desk{t.TempDir()}
	write(t, filepath.Join(d.dir, "log.pub"), []byte(vkey))
	outcomes := []proof.Outcome{proof.OutcomeErased, proof.OutcomeHeld, proof.OutcomeAbsent}
	var leaves [][32]byte
	for _, o := range outcomes {
		leaves = append(leaves, proof.ReceiptLeaf(subjectKey(), batchID(0), "memories/"+o.String(), byte(o)))
	}
	c := completed()
	s := &c.Stores[0]
	s.Requested, s.Found, s.Erased, s.Held, s.Absent, s.Places = 3, 3, 1, 1, 1, nil
	c.Stores = c.Stores[:1]
	c.Batches, c.FirstErasedAt, c.VerifiedAt, c.PurgedAt = s.Batches, s.FirstErasedAt, s.VerifiedAt, s.PurgedAt
	roots := [][32]byte{proof.ReceiptRoot(leaves)}
	c.BatchesRoot = proof.Digest(proof.BatchesRoot(roots))
	c.Exclude()
	var l tree
	l.append(t, encode(t, c))
	certificate := l.certificate(t, 0, 1, signer).Text()
	for i, o := range outcomes {
		receipt, err := proof.ProveSteps(leaves, int64(i))
		if err != nil {
			t.Fatal(err)
		}
		m := proof.MemoryProof{Batch: batchID(0), Place: "memories", Outcome: o, Receipt: receipt, Certificate: certificate}
		write(t, filepath.Join(d.dir, "m"), m.Text())
		args := "m --key log.pub --memory " + o.String() + " --subject-key " + strings.Repeat("07", 32)
		if status, out := d.run(t, args); status != proof.ExitVerified {
			t.Errorf("%s: status %d\n%s", o, status, out)
		}
		status, out := d.run(t, args+" --completed")
		if (status == proof.ExitVerified) == (o == proof.OutcomeHeld) || o == proof.OutcomeHeld && !strings.Contains(out, "it was held") {
			t.Errorf("%s --completed: status %d\n%s", o, status, out)
		}
	}
}
