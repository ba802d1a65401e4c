package jobs

import (
	"errors"
	"slices"
)

// ErrForbidden is wrapped when who asks may not do this.
var ErrForbidden = errors.New("forbidden")

// A Role says what an Actor may do.
type Role string

// The roles. An admin may do all that the others may, but for approving what he
// himself has filed: nobody may.
const (
	RoleSubmitter Role = "submitter" // files requests, sees and cancels those of his own
	RoleApprover  Role = "approver"  // sees all; approves, rejects, extends; places and releases holds
	RoleAuditor   Role = "auditor"   // sees all, changes nothing
	RoleAdmin     Role = "admin"
)

// Roles returns every Role.
func Roles() []Role { return []Role{RoleSubmitter, RoleApprover, RoleAuditor, RoleAdmin} }

// An Actor is who asks the Book to change or tell something. ID is opaque: a
// code that stands in the ledger and the log, and names no person.
type Actor struct {
	ID   string
	Role Role
}

// The actors that need no token. Nobody changes them.
//
//nolint:gochecknoglobals // Go has no constants of structs
var (
	// ActorOpen is whoever reaches a service that has no tokens, on loopback. It
	// is one actor, so nobody there is a second person.
	ActorOpen = Actor{ID: "open", Role: RoleAdmin}

	// ActorLocal works on the ledger directly, with --data or --config.
	ActorLocal = Actor{ID: "local", Role: RoleAdmin}

	// ActorSystem is Lethe itself, for what happens by the clock.
	ActorSystem = Actor{ID: "system", Role: RoleAdmin}
)

// Is reports whether the actor has one of the roles, or is an admin.
func (a Actor) Is(roles ...Role) bool { return a.Role == RoleAdmin || slices.Contains(roles, a.Role) }

// Sees reports whether the actor may be told of what another actor filed.
func (a Actor) Sees(filedBy string) bool {
	return a.SeesAll() || a.ID == filedBy
}

// SeesAll reports whether the actor may be told of whatever was filed.
func (a Actor) SeesAll() bool { return a.Is(RoleApprover, RoleAuditor) }
