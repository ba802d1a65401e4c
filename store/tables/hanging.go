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
			var keys []*string
			more, err := pages.next(ctx, func(conn *sqlx.Conn, from, to int64) error {
				keys = keys[:0] // a page may be read twice
				return coded(sqlx.SelectContext(ctx, conn, &keys, "SELECT "+p.by.text("t.")+" FROM "+p.table+
					" t WHERE t.rowid BETWEEN ? AND ?", from, to))
			})
			if err != nil {
				yield("", fmt.Errorf("place %s: %w", p.Name, err))
				return
			}
			for _, text := range keys {
				key, _ := p.by.read(text)
				if !yield(key, nil) {
					return
				}
			}
			if !more {
				return
			}
		}
	}
}
