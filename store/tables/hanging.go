package tables

import (
	"context"
	"fmt"
	"iter"

	"github.com/jmoiron/sqlx"
)

// hanging yields the keys that the rows of a part hang on, each row's once, ""
// for a row that hangs on nothing.
func (s *Store) hanging(ctx context.Context, p *part) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		pages := s.pages(p)
		for {
			var keys []string
			more, err := pages.next(ctx, func(conn *sqlx.Conn, from, to int64) (err error) {
				keys, err = texts(ctx, conn, "SELECT coalesce(CAST(t."+quote(p.By[0])+" AS TEXT), '') FROM "+p.table+
					" t WHERE t.rowid BETWEEN ? AND ?", from, to)
				return err
			})
			if err != nil {
				yield("", fmt.Errorf("place %s: %w", p.Name, err))
				return
			}
			for _, k := range keys {
				if !yield(k, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}
