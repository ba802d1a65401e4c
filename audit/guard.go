package audit

import "context"

// Guard makes sure that the log is what it was: that its newest head is signed
// and is the root of the stored hashes, that these cover every entry, and that
// the newest 256 bodies hash to them; if not, the error wraps [ErrBroken].
func (l *Log) Guard(ctx context.Context) error {
	var h Head
	err := l.snapshot(ctx, func(q querier) (err error) {
		h, err = l.trusted(ctx, q, l.reader(ctx, q))
		return err
	})
	if err != nil {
		return err
	}
	return l.checkEdge(ctx, h)
}
