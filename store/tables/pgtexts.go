package tables

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// A Text is what one column of a row holds.
type Text struct{ Key, Text string }

// Texts yields every row of a place with the text of a column, in the order of
// its only ID column, for who must compare it as no Map can say. Again reads on
// connections of their own that cannot write, as Remaining does.
func (s *Postgres) Texts(ctx context.Context, place, column string, again bool) iter.Seq2[Text, error] {
	db := s.db
	if again {
		db = s.second
	}
	return func(yield func(Text, error) bool) {
		fail := func(err error) { yield(Text{}, fmt.Errorf("read place %s: %w", place, err)) }
		i := slices.IndexFunc(s.parts, func(p *pgPart) bool { return p.Name == place && len(p.ID) == 1 })
		if i < 0 {
			fail(store.ErrRefused)
			return
		}
		if err := s.unchanged(ctx, db); err != nil {
			fail(err)
			return
		}
		for after := ""; ; {
			found, err := s.texts(ctx, db, s.parts[i], column, after)
			if err != nil {
				fail(err)
				return
			}
			for _, t := range found {
				if !yield(t, nil) {
					return
				}
			}
			if len(found) < pgTextRows {
				return
			}
			after = found[len(found)-1].Key
		}
	}
}

const pgTextRows = 5000 // a page

// texts reads the page after a key, or the first. The column is one of the
// layout that the map asks for.
func (s *Postgres) texts(ctx context.Context, db *sqlx.DB, p *pgPart, column string, after string) (found []Text, err error) {
	i := slices.IndexFunc(p.Layout, func(c Column) bool { return c.Name == column })
	if i < 0 {
		return nil, store.ErrRefused
	}
	text, id := quote(p.Layout[i].Name), quote(p.ID[0])
	if after == "" {
		err = db.SelectContext(ctx, &found, "SELECT "+id+"::text AS key, coalesce("+text+"::text, '') AS text FROM "+p.table+
			" ORDER BY "+id+" LIMIT $1", pgTextRows)
	} else {
		err = db.SelectContext(ctx, &found, "SELECT "+id+"::text AS key, coalesce("+text+"::text, '') AS text FROM "+p.table+
			" WHERE "+id+" > $2 ORDER BY "+id+" LIMIT $1", pgTextRows, after)
	}
	return found, pgCoded(ctx, err)
}

// Alone runs f while no other Alone runs with this store's tables, in whatever
// process.
// The error wraps store.ErrBusy if another one took its time.
func (s *Postgres) Alone(ctx context.Context, f func() error) (err error) {
	const ours = 0x6c657468 // "leth"
	table := int32(s.parts[0].oid)
	conn, err := s.db.Connx(ctx)
	if err != nil {
		return pgCoded(ctx, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1, $2)`, ours, table); err != nil {
		return pgCoded(ctx, err)
	}
	err = f()
	// With a connection that is gone, the lock is too.
	_, lost := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1, $2)`, ours, table)
	return errors.Join(err, pgCoded(ctx, lost))
}
