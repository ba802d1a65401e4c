package ledger_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/ledger"
)

// ended files a request under a law, carries it out and destroys its subject key.
func (b *book) ended(t *testing.T, regime, ticket string) jobs.Request {
	t.Helper()
	r, _, err := b.intake.Submit(t.Context(), jobs.Submission{
		By: jobs.ActorLocal, Selector: user("u"), Stores: []string{"notes"}, Ticket: ticket, Regime: regime, Ground: "art17-1-b", IdempotencyKey: ticket,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.finish(t, 2, 3)
	if err := b.keys.DestroySubject(r.ID); err != nil {
		t.Fatal(err)
	}
	if err := b.SubjectKeyGone(t.Context(), r.ID, &proof.SubjectKeyDestroyed{RequestID: r.ID, DestroyedAt: proof.At(b.Now())}); err != nil {
		t.Fatal(err)
	}
	return b.request(t, r.ID)
}

// outlive goes over what is outlived as the reconciler does, and returns how many went.
func (b *book) outlive(t *testing.T, keep time.Duration) (total int) {
	t.Helper()
	before, ccpa := jobs.Retention{Requests: keep}.Over(b.Now())
	for {
		n, err := b.Outlived(t.Context(), before, ccpa)
		if err != nil {
			t.Fatal(err)
		}
		if total += n; n == 0 {
			return total
		}
	}
}

// Of a record whose retention is over nothing is left but that there was a request,
// how it ended, and its certificate.
func TestAnOutlivedRecordLeavesItsCertificateAlone(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		const keep = 100 * 24 * time.Hour
		b := newBook(t, on)
		r := b.ended(t, jobs.GDPR, "TICKET-TO-FORGET")
		open := b.submit(t, "stays", "notes")
		b.advance(keep)
		if n := b.outlive(t, keep); n != 0 {
			t.Fatalf("%d records went before their time", n)
		}
		before := testutil.CollectAndCount(ledger.NewCollector(b.Ledger))
		b.advance(time.Millisecond)
		if n := b.outlive(t, keep); n != 1 {
			t.Fatalf("%d records went, want 1", n)
		}
		if n := b.outlive(t, keep); n != 0 {
			t.Errorf("%d records went again", n)
		}
		(scan{book: b, planted: []string{"TICKET-TO-FORGET"}}).clean(t, "outlived")
		got := b.request(t, r.ID)
		if got.OutlivedAt == nil || !got.OutlivedAt.Equal(b.Now()) || got.Ticket != "" || len(got.Jobs) != 0 || got.Status != jobs.Completed || !got.Certificate {
			t.Errorf("what is left: %+v", got)
		}
		if n := b.count(t, "batches b JOIN jobs j ON j.id = b.job WHERE j.request = ?", r.ID); n != 0 {
			t.Errorf("%d batches are left", n)
		}
		for what, cut := range map[string]func() ([]byte, error){
			"certificate": func() ([]byte, error) { return b.intake.Certificate(t.Context(), jobs.ActorLocal, r.ID) },
			"receipt":     func() ([]byte, error) { return b.intake.AcceptedReceipt(t.Context(), jobs.ActorLocal, r.ID) },
		} {
			text, err := cut()
			if err != nil {
				t.Errorf("the %s: %v", what, err)
				continue
			}
			keys, err := proof.ParseKeys([]byte(b.Log().Verifier()))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := proof.Verify(text, keys); err != nil {
				t.Errorf("the %s: %v", what, err)
			}
		}
		if after := testutil.CollectAndCount(ledger.NewCollector(b.Ledger)); after != before {
			t.Errorf("%d series, %d before", after, before)
		}
		if n := b.count(t, "requests WHERE status = 'completed'"); n != 1 {
			t.Errorf("%d completed requests are counted, want 1", n)
		}
		if got := b.request(t, open.ID); len(got.Jobs) != 1 || got.OutlivedAt != nil {
			t.Errorf("an open request: %+v", got)
		}
		if report, err := b.Log().Check(t.Context()); err != nil {
			t.Errorf("the log: %v, %+v", err, report)
		}
	})
}

// Records under the CCPA are kept for 24 months, however short the rest is kept.
func TestRecordsUnderTheCCPAAreKeptForTwoYears(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		const keep = 100 * 24 * time.Hour
		b := newBook(t, on)
		end := b.Now()
		california := b.ended(t, jobs.CCPA, "T-1")
		europe := b.ended(t, jobs.GDPR, "T-2")
		b.advance(keep + time.Second)
		if n := b.outlive(t, keep); n != 1 || b.request(t, europe.ID).OutlivedAt == nil {
			t.Errorf("%d records went, want the one under the GDPR", n)
		}
		b.advance(end.AddDate(0, 24, 0).Sub(b.Now()))
		if n := b.outlive(t, keep); n != 0 {
			t.Errorf("%d records went after exactly 24 months", n)
		}
		b.advance(time.Second)
		if n := b.outlive(t, keep); n != 1 || b.request(t, california.ID).OutlivedAt == nil {
			t.Errorf("%d records went after 24 months, want 1", n)
		}
	})
}

// A record is kept while its subject key is, and while somebody is still to be told.
func TestARecordThatIsStillNeededIsKept(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		b.notifies()
		told := b.notify(t, "notes")
		b.finish(t, 1)
		b.advance(1000 * 24 * time.Hour)
		if n := b.outlive(t, time.Hour); n != 0 {
			t.Errorf("%d records went whose key is there", n)
		}
		if err := b.SubjectKeyGone(t.Context(), told.ID, &proof.SubjectKeyDestroyed{RequestID: told.ID, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		if n := b.outlive(t, time.Hour); n != 0 {
			t.Errorf("%d records went of which somebody is to be told", n)
		}
		for range 10 {
			notices, err := b.Notices(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range notices {
				if err := b.NoticeDone(t.Context(), n); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := b.outlive(t, time.Hour); n != 1 {
			t.Errorf("%d records went once all is told, want 1", n)
		}
	})
}

// A record is kept while a replay needs it: it says when that was erased of which
// there are digests.
func TestARecordIsKeptWhileThereAreDigestsOfWhatItErased(t *testing.T) {
	onEach(t, func(t *testing.T, on where) {
		b := newBook(t, on)
		request, _ := b.forgotten(t, "u1", 3)
		if err := b.SubjectKeyGone(t.Context(), request, &proof.SubjectKeyDestroyed{RequestID: request, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		b.advance(1000 * 24 * time.Hour)
		if n := b.outlive(t, time.Hour); n != 0 || b.graves(t, time.Time{})[request] == 0 {
			t.Errorf("%d records went of whose IDs there are digests", n)
		}
		var epoch string
		if err := b.raw.Get(&epoch, `SELECT epoch FROM marks`); err != nil {
			t.Fatal(err)
		}
		if err := b.ForgetEpoch(t.Context(), epoch, &proof.SuppressionDestroyed{Epoch: epoch, DestroyedAt: proof.At(b.Now())}); err != nil {
			t.Fatal(err)
		}
		if n := b.outlive(t, time.Hour); n != 1 {
			t.Errorf("%d records went with the digests, want 1", n)
		}
	})
}

// While a reader keeps the write-ahead log from being emptied, what was deleted may
// stand in it, and no record counts as deleted.
func TestARecordThatMayStandInTheWriteAheadLogIsNotSaidToBeGone(t *testing.T) {
	t.Parallel()
	b := newBook(t, onSQLite)
	r := b.ended(t, jobs.GDPR, "TICKET-TO-FORGET")
	b.advance(1000 * 24 * time.Hour)
	reader, err := b.raw.Beginx()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.Get(&n, `SELECT COUNT(*) FROM requests`); err != nil {
		t.Fatal(err)
	}
	before, ccpa := jobs.Retention{Requests: time.Hour}.Over(b.Now())
	if n, err := b.Outlived(t.Context(), before, ccpa); err == nil || n != 0 || b.request(t, r.ID).OutlivedAt != nil {
		t.Errorf("%d records are said to be gone while they can be read, %v", n, err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := b.outlive(t, time.Hour); n != 1 {
		t.Errorf("%d records went, want 1", n)
	}
	(scan{book: b, planted: []string{"TICKET-TO-FORGET"}}).clean(t, "outlived")
}
