package jobs

import (
	"context"
	"fmt"

	"lethe/audit/proof"
)

// Request implements Book.
func (in *Intake) Request(ctx context.Context, id string) (Request, error) {
	return in.Ledger.Request(ctx, id)
}

// List implements Book.
func (in *Intake) List(ctx context.Context, statuses []Status, limit int, cursor string) ([]Request, string, error) {
	list, err := in.Ledger.List(ctx, statuses, limit+1, cursor)
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	list = list[:limit]
	return list, list[limit-1].ID, nil
}

// Cancel implements Book.
func (in *Intake) Cancel(ctx context.Context, id string) (Request, error) {
	if err := in.Ledger.Stop(ctx, id); err != nil {
		return Request{}, err
	}
	if err := in.EndStopped(ctx, id); err != nil {
		return Request{}, err
	}
	return in.Ledger.Request(ctx, id)
}

// EndStopped ends a request that has been stopped, unless a task of it still
// runs: the Reconciler comes back for those.
func (in *Intake) EndStopped(ctx context.Context, id string) error {
	now := in.Now()
	entry := func(r Record) proof.Entry { return cancelledEntry(r, now) }
	_, err := in.Ledger.EndCancelled(ctx, id, entry, now.Add(in.KeepKey))
	return err
}

// Certificate implements Book.
func (in *Intake) Certificate(ctx context.Context, id string) ([]byte, error) {
	rec, err := in.Ledger.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	if rec.Entry == "" {
		return nil, fmt.Errorf("%w: the request has not ended", ErrTooLate)
	}
	return in.Ledger.Certificate(ctx, rec.Entry)
}

// AcceptedReceipt implements Book.
func (in *Intake) AcceptedReceipt(ctx context.Context, id string) ([]byte, error) {
	if _, err := in.Ledger.Record(ctx, id); err != nil {
		return nil, err
	}
	return in.Ledger.Certificate(ctx, proof.EntryID(id, proof.KindAccepted))
}

// Reissue implements Book.
func (in *Intake) Reissue(ctx context.Context, id string, accepted bool) ([]byte, error) {
	rec, err := in.Ledger.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	entry := rec.Entry
	if accepted {
		entry = proof.EntryID(id, proof.KindAccepted)
	}
	if entry == "" {
		return nil, fmt.Errorf("%w: the request has not ended", ErrTooLate)
	}
	return in.Ledger.CertificateAt(ctx, entry, true)
}

// SubjectKey implements Book.
func (in *Intake) SubjectKey(ctx context.Context, id string) ([]byte, error) {
	rec, err := in.Ledger.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	if rec.KeyGone {
		return nil, ErrGone
	}
	return in.Keys.Subject(rec.ID)
}
