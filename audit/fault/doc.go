// Package fault marks where the crash lab (cmd/torture) may pull the plug, and
// which safeguards it may take out. Without the build tag torture all of it is
// empty functions that the compiler removes: a released binary has no fault
// points, and a test makes sure of that. With the tag, variables of the
// environment say what happens:
//
//	LETHE_FAULT  plans, separated by commas: POINT:HIT:ACTION
//	LETHE_BUG    names of planted bugs, separated by commas
//	LETHE_FAULT_PACE  by how many times the waits are shortened that ask [Pace]
//
// A plan acts once, at the HIT-th time that the process passes the POINT. The
// POINT "*" counts all points together; "POINT~KEY" counts only those calls of
// [Among] that are about a thing that reads KEY, and its HIT may be "*", for
// every time. The ACTION is one of
//
//	kill         SIGKILL to itself
//	term         SIGTERM to itself; the point goes on
//	stop         SIGSTOP to itself; somebody else sends SIGCONT
//	panic        a panic
//	error        an error, at points that can return one; others go on
//	sleep=1500   so many milliseconds
//
// Every pass is written as a line, "POINT HIT MILLISECONDS" and the ACTION if
// there is one, to the file that LETHE_FAULT_HITS names, before the action.
//
// # Decisions
//
// 2026-11-29. Own points of forty lines, and not gofail: it rewrites sources,
// and fails to compile two points in one scope. The points have slashes and
// dashes in their names, so that none can be mistaken for a symbol.
//
// 2026-11-29. The lab shortens the minute of retention sweeps, by Pace, so that many
// ticks fall into a case. The road not taken, to set the clock forward, would have
// the service refuse to sweep, and rightly so.
package fault
