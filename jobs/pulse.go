package jobs

// A Pulse is how a loop shows that it lives. Each part of a loop that goes round by
// itself calls it once, before its first turn, and calls what it returns at the end
// of every turn: also of one in which there was nothing to do, or nothing may be done
// now, but not of one that could not do its work. So a loop that hangs, or fails time
// and again, stands still, which an alert sees. A nil Pulse is nobody's.
type Pulse func() (turned func())

// Begin calls p, if there is one.
func (p Pulse) Begin() (turned func()) {
	if p == nil {
		return func() {}
	}
	return p()
}
