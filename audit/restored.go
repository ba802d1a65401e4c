package audit

import (
	"errors"

	"lethe/audit/fault"
	"lethe/audit/proof"
)

// vouchedFor returns an error for a log that was put back from a backup, unless
// nothing is found against it and an anchor keeps a head of its very size: as far as
// anybody outside knows, it has not gone on. What is found to be false says more.
func (l *Log) vouchedFor(now proof.Head, keys *chain, pins []pin, found error) error {
	if !l.restored.Load() || l.closed || isFalse(found) || fault.Bug("audit/trusts-a-backup") {
		return nil
	}
	for _, p := range pins {
		if p.err != nil || p.head == nil || found != nil {
			continue
		}
		if kept, err := l.openHead(p.head, keys, now.Size); err == nil && kept.Origin == now.Origin && kept.Size == now.Size {
			l.restored.Store(false)
			return nil
		}
	}
	return ErrRestored
}

// isRestored tells the doubt about a backup from what a guard can find anew.
func isRestored(err error) bool { return errors.Is(err, ErrRestored) }
