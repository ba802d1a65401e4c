package jobs

import (
	"context"
	"fmt"

	"lethe/audit/fault"
)

// sees returns nil if the actor may do something with a request. One that is not
// his to see costs and answers what one that is not there does.
func (in *Intake) sees(ctx context.Context, by Actor, do Act, id string) error {
	if err := by.Check(do); err != nil || by.SeesAll() || fault.Bug("door/foreign-seen") {
		return err
	}
	switch filedBy, err := in.Ledger.FiledBy(ctx, id); {
	case err != nil:
		return err
	case !by.Sees(filedBy):
		return fmt.Errorf("read request: %w", ErrNotFound) // in the words of FiledBy
	}
	return nil
}

// keysOf says whose idempotency keys they are: nobody's key replays, or tells of,
// another's request. "open" has those from before there were tokens.
func keysOf(a Actor) string {
	if a.ID == ActorOpen.ID || fault.Bug("door/keys-shared") {
		return "idempotency"
	}
	return "idempotency of " + a.ID
}
