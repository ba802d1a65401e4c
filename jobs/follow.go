package jobs

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/audit/proof"
)

// Request implements Book.
func (in *Intake) Request(ctx context.Context, by Actor, id string) (Request, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return Request{}, err
	}
	return in.look(ctx, id)
}

// look reads a request as it is now.
func (in *Intake) look(ctx context.Context, id string) (Request, error) {
	r, err := in.Ledger.Request(ctx, id)
	in.explain(&r)
	in.tellTime(&r)
	return r, err
}

// explain notes which jobs of r wait for a store that is down now. The note
// that the ledger keeps is that of the last attempt, and nobody makes one while
// a store is down.
func (in *Intake) explain(r *Request) {
	if in.Down == nil || r.Status.Ended() {
		return
	}
	for i := range r.Jobs {
		j := &r.Jobs[i]
		switch down := in.Down(j.Store); {
		case down && j.Stage != StageDone:
			j.Note = NoteStoreDown
		case !down && j.Note == NoteStoreDown:
			j.Note = ""
		}
	}
}

// List implements Book.
func (in *Intake) List(ctx context.Context, by Actor, statuses []Status, limit int, cursor string) ([]Request, string, error) {
	if err := by.Check(ActRead); err != nil {
		return nil, "", err
	}
	if cursor != "" && uuid.Validate(cursor) != nil {
		return nil, "", &Invalid{"cursor", "must be the next_cursor of an answer"}
	}
	filedBy := by.ID
	if by.SeesAll() || fault.Bug("door/foreign-seen") {
		filedBy = ""
	}
	list, err := in.Ledger.List(ctx, filedBy, statuses, limit+1, cursor)
	for i := range list {
		in.explain(&list[i])
		in.tellTime(&list[i])
	}
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	list = list[:limit]
	return list, list[limit-1].ID, nil
}

// Cancel implements Book.
func (in *Intake) Cancel(ctx context.Context, by Actor, id string) (Request, error) {
	if err := in.sees(ctx, by, ActCancel, id); err != nil {
		return Request{}, err
	}
	if fault.Bug("jobs/cancel-untold") {
		return in.Ledger.Request(ctx, id)
	}
	if err := in.Ledger.Stop(ctx, by, id); err != nil {
		return Request{}, err
	}
	fault.Point("jobs/cancel-marked")
	if err := in.EndStopped(ctx, id); err != nil {
		return Request{}, err
	}
	return in.look(ctx, id)
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
func (in *Intake) Certificate(ctx context.Context, by Actor, id string) ([]byte, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return nil, err
	}
	entry, err := in.ending(ctx, id)
	if err != nil {
		return nil, err
	}
	return in.Ledger.Certificate(ctx, entry)
}

// AcceptedReceipt implements Book.
func (in *Intake) AcceptedReceipt(ctx context.Context, by Actor, id string) ([]byte, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return nil, err
	}
	return in.Ledger.Certificate(ctx, proof.EntryID(id, proof.KindAccepted))
}

// Reissue implements Book.
func (in *Intake) Reissue(ctx context.Context, by Actor, id string, accepted bool) ([]byte, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return nil, err
	}
	if accepted {
		return in.Ledger.CertificateAt(ctx, proof.EntryID(id, proof.KindAccepted), true)
	}
	entry, err := in.ending(ctx, id)
	if err != nil {
		return nil, err
	}
	return in.Ledger.CertificateAt(ctx, entry, true)
}

// ending returns the ID of the entry that a request ended with. A ledger that
// was put back to an older state does not know every request that its log,
// which was imported, has the end of: then the log is asked.
func (in *Intake) ending(ctx context.Context, id string) (string, error) {
	rec, err := in.Ledger.Record(ctx, id)
	switch {
	case err == nil && rec.Entry == "":
		return "", fmt.Errorf("%w: the request has not ended", ErrTooLate)
	case !errors.Is(err, ErrNotFound):
		return rec.Entry, err
	}
	for _, kind := range []string{proof.KindCompleted, proof.KindCancelled, proof.KindRejected} {
		entry := proof.EntryID(id, kind)
		if _, logged := in.Ledger.Certificate(ctx, entry); !errors.Is(logged, ErrNotFound) {
			return entry, logged
		}
	}
	return "", err
}

// SubjectKey implements Book.
func (in *Intake) SubjectKey(ctx context.Context, by Actor, id string) ([]byte, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return nil, err
	}
	rec, err := in.Ledger.Record(ctx, id)
	if err != nil {
		return nil, err
	}
	if rec.KeyGone {
		return nil, ErrGone
	}
	return in.Keys.Subject(rec.ID)
}
