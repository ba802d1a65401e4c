package audit_test

import (
	"bytes"
	"errors"
	"testing"

	"lethe/audit"
	"lethe/audit/proof"
)

func TestACertificateCanBeCutAnewForTheNewestHead(t *testing.T) {
	l := newLedger(t)
	l.fill(t, 5)
	keys, err := proof.ParseKeys([]byte(l.key.Verifier))
	if err != nil {
		t.Fatal(err)
	}
	for size := 5; size < 9; size++ {
		for i := range size {
			text, err := l.CertificateAt(t.Context(), entryID(i), true)
			if err != nil {
				t.Fatal(err)
			}
			r, err := proof.Verify(text, keys)
			if err != nil {
				t.Fatalf("entry %d of %d: %v", i, size, err)
			}
			if r.Index != int64(i) || r.Entry.ID() != entryID(i) || r.Head.Size != int64(size) {
				t.Errorf("entry %d of %d: certificate is of %s at %d of %d", i, size, r.Entry.ID(), r.Index, r.Head.Size)
			}
			first, err := l.CertificateAt(t.Context(), entryID(i), false)
			if err != nil {
				t.Fatal(err)
			}
			if same, err := l.Certificate(t.Context(), entryID(i)); err != nil || !bytes.Equal(first, same) {
				t.Errorf("entry %d of %d: the first head is not the one that is used if nothing is said, %v", i, size, err)
			}
		}
		if _, err := l.add(entry(size)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.CertificateAt(t.Context(), "nothing", true); !errors.Is(err, audit.ErrNotFound) {
		t.Errorf("err = %v, want ErrNotFound", err)
	}
}
