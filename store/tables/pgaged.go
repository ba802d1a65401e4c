package tables

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Now implements store.Sweepable: it is the clock of the server.
func (s *Postgres) Now(ctx context.Context) (now time.Time, err error) {
	if err := s.db.GetContext(ctx, &now, "SELECT clock_timestamp()"); err != nil {
		return now, fmt.Errorf("now: %w", pgCoded(ctx, err))
	}
	return now.UTC(), nil
}

// Span implements store.Sweepable.
func (s *Postgres) Span(ctx context.Context, sel store.Selector) (oldest, newest time.Time, err error) {
	var all span
	err = s.judge(ctx, sel, func(p *pgPart, e pgEvidence, columns []sql.NullString) {
		if p.confirms(sel, e, columns) {
			all.add(sel, p.ages(e, columns))
		}
	})
	if err == nil && s.beside != nil {
		var some span
		some.oldest, some.newest, err = s.beside.Span(ctx, sel)
		if !some.oldest.IsZero() {
			all.reach(some.oldest)
			all.reach(some.newest)
		}
	}
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("span: %w", err)
	}
	return all.oldest, all.newest, nil
}

// Undated implements store.Sweepable.
func (s *Postgres) Undated(ctx context.Context, sel store.Selector) (counts map[string]int, err error) {
	counts = make(map[string]int)
	if s.beside != nil {
		if counts, err = s.beside.Undated(ctx, sel); err != nil {
			return nil, err
		}
	}
	err = s.judge(ctx, sel, func(p *pgPart, e pgEvidence, columns []sql.NullString) {
		if p.means(sel, e, columns) && p.ages(e, columns).undated(sel) {
			counts[p.Name]++
		}
	})
	if err != nil {
		return nil, fmt.Errorf("undated: %w", err)
	}
	return counts, nil
}

// judge calls f with what is read of each row that match lets through for sel, of
// all places that are selected by age.
func (s *Postgres) judge(ctx context.Context, sel store.Selector, f func(*pgPart, pgEvidence, []sql.NullString)) error {
	if err := sel.Validate(); err != nil || !sel.ByAge() {
		return err
	}
	for _, p := range s.parts {
		if _, ok := p.match(sel, 0); !ok {
			continue
		}
		evidence := p.evidence(sel)
		_, err := s.rows(ctx, p, p.selecting(sel), evidence, "", func(r pgRow) (bool, error) {
			f(p, evidence, r.rest)
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Kept implements store.Sweepable.
func (s *Postgres) Kept(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	kept, err := s.keptOf(ctx, sel, ids)
	if err != nil {
		return nil, fmt.Errorf("kept: %w", s.lacking(ctx, err))
	}
	return inOrder(ids, kept), nil
}

func (s *Postgres) keptOf(ctx context.Context, sel store.Selector, ids []store.ID) (kept map[store.ID]bool, err error) {
	batch, err := s.group(ids)
	if err == nil {
		err = comparable(sel)
	}
	if err != nil {
		return nil, err
	}
	err = s.tx(ctx, s.second, func(tx *sqlx.Tx) error {
		now, err := s.moment(ctx, tx, false)
		if err != nil {
			return err
		}
		if _, err := s.seen.refresh(ctx, tx, now); err != nil {
			return err
		}
		kept, err = s.kept(ctx, tx, s.seen, sel, batch.keys)
		return err
	})
	if err != nil || len(batch.beside) == 0 {
		return kept, err
	}
	more, err := s.beside.Kept(ctx, sel, batch.beside)
	for _, id := range more {
		kept[id] = true
	}
	return kept, err
}

// kept returns the IDs whose rows are there and are not selected by sel. The
// backlinks must be those of the transaction.
func (s *Postgres) kept(ctx context.Context, tx *sqlx.Tx, links *pgBacklinks, sel store.Selector, keys map[string][]string) (map[store.ID]bool, error) {
	all := make(map[store.ID]bool)
	for place, some := range keys {
		var found []string
		var err error
		if sel.Orphaned {
			found, err = s.there(ctx, tx, links, place, some)
		} else {
			found, err = s.unselected(ctx, tx, sel, place, some)
		}
		if err != nil {
			return nil, err
		}
		for _, key := range found {
			all[store.ID{Place: place, Key: key}] = true
		}
	}
	return all, nil
}

// unselected returns the keys of rows of a place that are there and that sel does
// not select.
func (s *Postgres) unselected(ctx context.Context, tx *sqlx.Tx, sel store.Selector, place string, keys []string) ([]string, error) {
	var all []string
	for _, p := range s.named(place) {
		judged := p.judged(sel, len(p.id))
		args := append(p.id.bind(keys), judged.args...)
		err := p.id.read(ctx, tx, "SELECT "+p.id.texts("t.")+judged.sql+" FROM "+p.table+" t WHERE "+p.id.among("t.", 1)+" AND "+p.kind()+" AND "+p.held(),
			args, judged.width(), func(key string, rest []sql.NullString) {
				if !judged.selects(p, rest) {
					all = append(all, key)
				}
			})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// A pgJudged is columns of a row that say whether a selector selects it: whether
// match does, and evidence.
type pgJudged struct {
	sel      store.Selector
	sql      string
	args     []any
	evidence pgEvidence
}

// judged has parameters numbered after the first n.
func (p *pgPart) judged(sel store.Selector, n int) pgJudged {
	c, ok := p.match(sel, n)
	if !ok {
		c = condition{sql: "false"}
	}
	j := pgJudged{sel: sel, args: c.args, evidence: p.evidence(sel)}
	j.sql = ", CASE WHEN " + c.sql + " THEN 'match' END" + j.evidence.sql
	return j
}

func (j pgJudged) width() int { return 1 + j.evidence.width() }

func (j pgJudged) selects(p *pgPart, columns []sql.NullString) bool {
	return columns[0].Valid && p.confirms(j.sel, j.evidence, slices.Clone(columns[1:]))
}

// leave takes out of a batch what Still keeps, as it is when the transaction
// begins. What changes after that, rows sees.
func (e pgErasure) leave(ctx context.Context, keys map[string][]string) (map[string][]string, error) {
	if e.sel == nil {
		return keys, nil
	}
	kept, err := e.s.kept(ctx, e.tx, e.s.backlinks, *e.sel, keys)
	if err != nil {
		return nil, err
	}
	rest := make(map[string][]string, len(keys))
	for place, some := range keys {
		rest[place] = slices.DeleteFunc(slices.Clone(some), func(key string) bool { return kept[store.ID{Place: place, Key: key}] })
	}
	for id := range kept {
		e.kept[id] = true
	}
	return rest, nil
}

// rowsStill deletes the rows of a place as rows does, and returns an error wrapping
// store.ErrBusy if one of them was not selected any more: somebody has changed it
// since leave looked. The transaction is then undone and done again. A row cannot
// be locked before, for want of the privilege.
func (e pgErasure) rowsStill(ctx context.Context, parts []*pgPart, keys []string) ([][]string, error) {
	gone := make([][]string, len(parts))
	for i, p := range parts {
		judged := p.judged(*e.sel, len(p.id))
		if e.sel.Orphaned {
			judged = pgJudged{sql: ", NULL"} // none is there
		}
		changed := false
		err := p.id.read(ctx, e.tx, "DELETE FROM "+p.table+" AS t WHERE "+p.id.among("t.", 1)+" AND "+p.kind()+" AND "+p.whole()+
			" RETURNING "+p.id.texts("t.")+judged.sql, append(p.id.bind(keys), judged.args...), judged.width(), func(key string, rest []sql.NullString) {
			gone[i] = append(gone[i], key)
			changed = changed || !judged.selects(p, rest)
		})
		if err == nil && changed {
			err = fmt.Errorf("%w: a row of place %s has changed since it was selected", store.ErrBusy, p.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	return gone, nil
}
