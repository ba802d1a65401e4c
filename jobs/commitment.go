package jobs

import "context"

// Commitment returns the subject commitment of a request, as it stands in the
// log. It names nobody.
func (in *Intake) Commitment(ctx context.Context, by Actor, id string) (string, error) {
	if err := in.sees(ctx, by, ActRead, id); err != nil {
		return "", err
	}
	rec, err := in.Ledger.Record(ctx, id)
	return rec.Subject, err
}
