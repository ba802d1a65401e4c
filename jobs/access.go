package jobs

import (
	"fmt"
	"slices"

	"lethe/audit/fault"
)

// An Act is something that an Actor may be allowed to do. Every route and every
// page names one, and the Book asks again: no door can forget it.
type Act string

// The acts.
const (
	ActOpen     Act = "open"     // what is everyone's: the log, the probes
	ActFile     Act = "file"     // file a request, or ask what one would erase
	ActRead     Act = "read"     // see requests and their proofs; a submitter only those of his own
	ActCancel   Act = "cancel"   // stop a request; a submitter only one of his own
	ActDecide   Act = "decide"   // approve, reject, extend, exempt
	ActHold     Act = "hold"     // place and release holds
	ActHolds    Act = "holds"    // see holds
	ActSweep    Act = "sweep"    // run a policy, or ask what it would erase
	ActPolicies Act = "policies" // see policies and what became of them
	ActReplay   Act = "replay"   // compare a store with what was erased, and have it erased again
	ActMetrics  Act = "metrics"  // see the metrics; on loopback everybody
	ActPeople   Act = "people"   // make, list and revoke tokens
	ActInspect  Act = "inspect"  // ask what is weak or broken about the service
	ActBackup   Act = "backup"   // take a copy of the ledger

	ActSuppression Act = "suppression" // ask whether somebody was forgotten
)

// Acts returns every Act that can be given away.
func Acts() []Act {
	return []Act{ActOpen, ActFile, ActRead, ActCancel, ActDecide, ActHold, ActHolds, ActSweep, ActReplay, ActSuppression, ActPolicies, ActMetrics, ActPeople, ActInspect, ActBackup}
}

// Allowed returns the roles that may do something besides an admin, who may do
// everything. It is the one table of who may do what.
func (a Act) Allowed() []Role {
	switch a {
	case ActFile, ActCancel:
		return []Role{RoleSubmitter}
	case ActRead, ActSuppression:
		return []Role{RoleSubmitter, RoleApprover, RoleAuditor}
	case ActDecide, ActHold:
		return []Role{RoleApprover}
	case ActHolds, ActPolicies:
		return []Role{RoleApprover, RoleAuditor}
	case ActMetrics, ActInspect:
		return []Role{RoleAuditor}
	case ActOpen:
		return Roles()
	}
	return nil // admins alone
}

// May reports whether the actor's role allows something. Whether he may see a
// certain request is another question: see Sees.
func (a Actor) May(do Act) bool {
	return a.ID != "" && slices.Contains(Acts(), do) && a.Is(do.Allowed()...)
}

// Check returns an error wrapping ErrForbidden if the actor's role does not
// allow something.
func (a Actor) Check(do Act) error {
	if a.May(do) || fault.Bug("door/role-ignored") {
		return nil
	}
	return fmt.Errorf("%w: role %s may not %s", ErrForbidden, a.Role, do)
}
