package audit_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe/audit"
	"lethe/audit/proof"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// An onlooker is a witness in memory.
type onlooker struct {
	name   string
	signer note.Signer
	key    string // verifier key

	mu   sync.Mutex
	size int64
	err  error
	hang bool
}

func newOnlooker(t testing.TB, name string) *onlooker {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := proof.NewCosigner(name, private, clock)
	if err != nil {
		t.Fatal(err)
	}
	return &onlooker{name: name, signer: s, key: proof.CosignerKey(name, public)}
}

func (w *onlooker) Name() string { return w.name }

func (w *onlooker) Cosign(ctx context.Context, head []byte, prove func(context.Context, int64, int64) (tlog.TreeProof, error)) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	text := string(head[:bytes.Index(head, []byte("\n\n"))+1])
	var size int64
	if _, err := fmt.Sscanf(strings.Split(text, "\n")[1], "%d", &size); err != nil {
		return nil, err
	}
	if w.size > 0 {
		if _, err := prove(ctx, w.size, size); err != nil {
			return nil, err
		}
	}
	w.size = size
	signed, err := note.Sign(&note.Note{Text: text}, w.signer)
	return signed[len(text)+1:], err
}

// A clerk time stamps by counting.
type clerk struct {
	mu sync.Mutex
	n  int
}

func (*clerk) Name() string { return "clerk" }

func (c *clerk) Stamp(_ context.Context, head []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return append([]byte("seen "), head[:10]...), nil
}

// publish runs a publisher until stop is called or the test ends.
func publish(t testing.TB, p *audit.Publisher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// holds reports whether an anchor keeps a head of a size.
func holds(t testing.TB, l *ledger, s *shelf, size int64) bool {
	t.Helper()
	head := s.kept()
	return head != nil && heldBy(t, l, head).Size == size
}

func withAnchors(t testing.TB, n int, anchors ...audit.Anchor) *ledger {
	t.Helper()
	l := newLedger(t)
	grow(t, l, 0, n)
	return l.restored(t, l.backup(t), anchors...)
}

func TestPublisherBringsEveryNewHead(t *testing.T) {
	anchor, w, c := &shelf{name: "a"}, newOnlooker(t, "w.example"), &clerk{}
	l := withAnchors(t, 3, anchor)
	p := &audit.Publisher{Log: l.Log, Write: l.commit, Witnesses: []audit.Witness{w}, Stampers: []audit.Stamper{c}, Every: time.Millisecond}
	stop := publish(t, p)
	eventually(t, "the first head", func() bool { return holds(t, l, anchor, 3) })
	if _, err := l.add(entry(3)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all have the second", func() bool {
		s := p.Status()
		return len(s) == 3 && s[0].Size == 4 && s[1].Size == 4 && s[2].Size >= 3
	})
	stop()
	for i, s := range p.Status() {
		want := []audit.Destination{{Name: "a", Kind: audit.KindAnchor}, {Name: "w.example", Kind: audit.KindWitness}, {Name: "clerk", Kind: audit.KindStamper}}[i]
		if s.Name != want.Name || s.Kind != want.Kind || s.Err != nil || s.At.IsZero() {
			t.Errorf("status %d = %+v", i, s)
		}
	}
	var cosigs, stamps int
	if err := errors.Join(l.read.Get(&cosigs, l.read.Rebind(`SELECT count(*) FROM audit_cosig WHERE key LIKE 'w.example+________' AND at = ?`), clock().Unix()),
		l.read.Get(&stamps, `SELECT count(*) FROM audit_stamp WHERE authority = 'clerk'`)); err != nil || cosigs < 1 || stamps != 1 || c.n != 1 {
		t.Errorf("%d cosignatures, %d time stamps of %d, %v; want one stamp a day", cosigs, stamps, c.n, err)
	}
	all, err := l.Stamps(t.Context())
	if err != nil || len(all) != 1 || all[0].Authority != "clerk" || len(all[0].Token) == 0 {
		t.Fatalf("%d time stamps, %v, want the one", len(all), err)
	}
	keys, err := proof.ParseKeys([]byte(l.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	if h, err := proof.OpenHead(all[0].Head, keys); err != nil || h.Size != all[0].Size {
		t.Errorf("the stamped head: size %d, %v, want %d", h.Size, err, all[0].Size)
	}
}

func TestPublisherNeverBlocksAppend(t *testing.T) {
	hung := &shelf{name: "hung", hang: make(chan struct{})}
	w := newOnlooker(t, "w.example")
	w.hang = true
	l := newLedger(t)
	grow(t, l, 0, 3)
	l.anchors = []audit.Anchor{hung}
	hang := hung.hang
	hung.hang = nil
	var err error
	if l.Log, err = l.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	hung.hang = hang
	defer close(hang)
	publish(t, &audit.Publisher{Log: l.Log, Write: l.commit, Witnesses: []audit.Witness{w}, Every: time.Millisecond})
	time.Sleep(20 * time.Millisecond)
	done := make(chan error, 1)
	go func() { _, err := l.add(entry(3), entry(4)); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the append waits for those outside")
	}
}

func TestOneHungAnchorDoesNotStopOthers(t *testing.T) {
	hung, sound, sick := &shelf{name: "hung"}, &shelf{name: "sound"}, &shelf{name: "sick"}
	l := withAnchors(t, 3, hung, sound, sick)
	hung.hang = make(chan struct{})
	defer close(hung.hang)
	sick.fail(errors.New("no route"))
	p := &audit.Publisher{Log: l.Log, Write: l.commit, Every: time.Millisecond, Wait: time.Second}
	stop := publish(t, p)
	eventually(t, "the others", func() bool { return holds(t, l, sound, 3) && len(p.Status()) == 3 && p.Status()[2].Err != nil })
	if s := p.Status(); s[0].Size != 0 || s[1].Size != 3 || s[1].Err != nil || s[2].Size != 0 {
		t.Errorf("status = %+v", s)
	}
	sick.fail(nil)
	eventually(t, "the sick one is tried again", func() bool { return holds(t, l, sick, 3) })
	began := time.Now()
	stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a hung anchor held up the stop for %s", took)
	}
}

func TestTheLastHeadIsPinnedAtTheEnd(t *testing.T) {
	anchor := &shelf{name: "a"}
	l := withAnchors(t, 3, anchor)
	stop := publish(t, &audit.Publisher{Log: l.Log, Write: l.commit, Every: time.Hour})
	if _, err := l.add(entry(3)); err != nil {
		t.Fatal(err)
	}
	stop()
	if !holds(t, l, anchor, 4) {
		t.Error("the last head was not pinned")
	}
}

// A log that was put back must not take its older head to where the newer one
// is kept.
func TestARefusedLogPublishesNothing(t *testing.T) {
	_, back, anchor := rolledBack(t, 2, 9)
	w := newOnlooker(t, "w.example")
	stop := publish(t, &audit.Publisher{Log: back.Log, Write: back.commit, Witnesses: []audit.Witness{w}, Every: time.Millisecond})
	time.Sleep(50 * time.Millisecond)
	stop()
	if !holds(t, back, anchor, 9) || anchor.stores > 0 || w.size > 0 {
		t.Errorf("published %d times to the anchor, size %d to the witness", anchor.stores, w.size)
	}
}

func TestAHeadThatIsNotCommittedIsNotPublished(t *testing.T) {
	anchor := &shelf{name: "a"}
	l := withAnchors(t, 3, anchor)
	tx := l.write.MustBegin()
	if _, err := l.Append(t.Context(), tx, entry(3)); err != nil {
		t.Fatal(err)
	}
	publish(t, &audit.Publisher{Log: l.Log, Write: l.commit, Every: time.Millisecond})()
	if !holds(t, l, anchor, 3) {
		t.Error("an anchor keeps a head that may never be")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
}

func TestCertificateCarriesCosignatures(t *testing.T) {
	a, b := newOnlooker(t, "a.example"), newOnlooker(t, "b.example")
	l := withAnchors(t, 1)
	certificate := func() []byte {
		text, err := l.Certificate(t.Context(), entryID(0))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	p := &audit.Publisher{Log: l.Log, Write: l.commit, Witnesses: []audit.Witness{a, b}, Every: time.Millisecond}
	cosigned := func(size int64, w ...audit.Witness) {
		p.Witnesses = w
		stop := publish(t, p)
		eventually(t, "cosigned", func() bool {
			for _, s := range p.Status() {
				if s.Size != size {
					return false
				}
			}
			return len(p.Status()) == len(w)
		})
		stop()
	}
	bare := certificate()
	grow(t, l, 1, 2)
	if !bytes.Equal(certificate(), bare) {
		t.Error("not the same bytes while no head is cosigned")
	}
	cosigned(2, a)
	one := certificate()
	grow(t, l, 2, 3)
	cosigned(3, a, b)
	two := certificate()
	grow(t, l, 3, 4)
	cosigned(4, a, b)
	if bytes.Equal(one, bare) || bytes.Equal(one, two) || !bytes.Equal(certificate(), two) {
		t.Error("want another certificate when a witness has signed, and when both have, and the same ever after")
	}
	for name, tt := range map[string]struct {
		text []byte
		size string
		keys []*onlooker
	}{"bare": {bare, "1", nil}, "one": {one, "2", []*onlooker{a}}, "two": {two, "3", []*onlooker{a, b}}} {
		c, err := proof.ParseCertificate(tt.text)
		if err != nil {
			t.Fatal(err)
		}
		var known []note.Verifier
		for _, w := range []*onlooker{a, b} {
			k, err := proof.ParseVerifyKey(w.key)
			if err != nil {
				t.Fatal(err)
			}
			known = append(known, k)
		}
		n, err := note.Open(c.Checkpoint, note.VerifierList(known...))
		if len(tt.keys) > 0 && (err != nil || len(n.Sigs) != len(tt.keys)) || strings.Split(string(c.Checkpoint), "\n")[1] != tt.size {
			t.Errorf("%s: %v, want %d cosignatures of size %s:\n%s", name, err, len(tt.keys), tt.size, c.Checkpoint)
		}
	}
}
