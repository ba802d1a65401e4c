package jobs

import "context"

// Urgent returns up to limit requests that the actor may see and that have one of
// the statuses, those with the nearest deadline first, and a cursor for the next
// page or "".
func (in *Intake) Urgent(ctx context.Context, by Actor, statuses []Status, limit int, cursor string) ([]Request, string, error) {
	return in.page(ctx, in.Ledger.Urgent, by, statuses, limit, cursor)
}

// Commitment returns the subject commitment of a request, as it stands in the
// log. It names nobody.
func (in *Intake) Commitment(ctx context.Context, by Actor, id string) (string, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return "", err
	}
	rec, err := in.Ledger.Record(ctx, id)
	return rec.Subject, err
}
