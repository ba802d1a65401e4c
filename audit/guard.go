package audit

import "context"

// Guard makes sure that the log is what it was: that its newest head is signed
// and is the root of the stored hashes, that these cover every entry, and that
// the newest 256 bodies hash to them; if not, the error wraps [ErrBroken].
func (l *Log) Guard(ctx context.Context) error {
	h, err := l.trusted(ctx, l.db, l.reader(ctx, l.db))
	if err != nil {
		return err
	}
	return l.checkEdge(ctx, h)
}
