package tables

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// dates reports whether the place's rows say all the times that sel asks for.
func (p Place) dates(sel store.Selector) bool {
	created, expires := p.Created != nil, p.Expires != nil
	if p.Document != nil {
		created, expires = len(p.Document.Created) > 0, len(p.Document.Expires) > 0
	}
	return (sel.CreatedBefore.IsZero() || created) && (sel.ExpiredBefore.IsZero() || expires)
}

// A said is what a row of SQLite says that is not compared by SQLite: its session
// scope, where the place has one, and the times that were asked for.
type said struct {
	Scope string
	ages
}

// says is the columns of a said for a row t. They are empty for what is not asked
// for.
func (p *part) says(created, expires bool) string {
	scope, made, ends := "''", "NULL", "NULL"
	if p.Scope != "" {
		scope = "CASE typeof(t." + quote(p.Scope) + ") WHEN 'text' THEN t." + quote(p.Scope) + " ELSE '' END"
	}
	if created {
		made = p.time(p.Created, func(d *Document) []string { return d.Created })
	}
	if expires {
		ends = p.time(p.Expires, func(d *Document) []string { return d.Expires })
	}
	return scope + " AS scope, " + made + " AS created, " + ends + " AS expires"
}

// time is what t says about a time, as readTime reads it, NULL for nothing.
func (p *part) time(m *Member, names func(*Document) []string) string {
	const value = "CASE e.type WHEN 'text' THEN e.value WHEN 'integer' THEN e.value WHEN 'real' THEN e.value WHEN 'null' THEN NULL ELSE 0 END"
	in := func(object, name string) string {
		return "(SELECT " + value + " FROM json_each(" + object + ") e WHERE e.key = " + literal(name) + " ORDER BY e.id DESC LIMIT 1)"
	}
	var all []string
	switch {
	case p.Document != nil:
		for _, name := range names(p.Document) {
			all = append(all, in(p.object(), name))
		}
	case m == nil:
	case len(m.Path) > 0:
		last := len(m.Path) - 1
		all = append(all, in(m.object(m.Path[:last]), m.Path[last]))
	default:
		column := "t." + quote(m.Column)
		all = append(all, "CASE typeof("+column+") WHEN 'blob' THEN 0 ELSE "+column+" END")
	}
	if len(all) == 0 {
		return "NULL"
	}
	return "json_array(" + strings.Join(all, ", ") + ")"
}

// confirms decides about a row that SQLite has let through, for what it says.
func (p *part) confirms(sel store.Selector, s said) bool {
	return (p.Scope == "" || inScope(s.Scope, sel)) && s.old(sel)
}

// Now implements store.Sweepable: SQLite has the clock of this machine.
func (s *Store) Now(ctx context.Context) (time.Time, error) { return time.Now().UTC(), ctx.Err() }

// Span implements store.Sweepable.
func (s *Store) Span(ctx context.Context, sel store.Selector) (oldest, newest time.Time, err error) {
	var all span
	err = s.judge(ctx, sel, func(p *part, r said) {
		if p.confirms(sel, r) {
			all.add(sel, r.ages)
		}
	})
	if err != nil {
		return time.Time{}, time.Time{}, fmt.Errorf("span: %w", err)
	}
	return all.oldest, all.newest, nil
}

// Undated implements store.Sweepable.
func (s *Store) Undated(ctx context.Context, sel store.Selector) (map[string]int, error) {
	counts := make(map[string]int)
	err := s.judge(ctx, sel, func(p *part, r said) {
		if (p.Scope == "" || inScope(r.Scope, sel)) && r.undated(sel) {
			counts[p.Name]++
		}
	})
	if err != nil {
		return nil, fmt.Errorf("undated: %w", err)
	}
	return counts, nil
}

// judge calls f with what each row says that SQLite lets through for sel, of all
// places that are selected by age.
func (s *Store) judge(ctx context.Context, sel store.Selector, f func(*part, said)) error {
	if err := sel.Validate(); err != nil || !sel.ByAge() {
		return err
	}
	for _, p := range s.parts {
		_, err := s.rows(ctx, p, sel, func(r row) (bool, error) {
			f(p, r.said)
			return true, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Kept implements store.Sweepable.
func (s *Store) Kept(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	b, err := s.still(sel, ids)
	if err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	var kept map[store.ID]bool
	err = s.apart(ctx, func() (err error) {
		kept, err = s.kept(ctx, s.second.conn, sel, b.keys)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	return inOrder(ids, kept), nil
}

// still groups IDs that are to be compared with sel.
func (s *Store) still(sel store.Selector, ids []store.ID) (batch, error) {
	b, err := s.group(ids)
	if err == nil {
		err = comparable(sel)
	}
	return b, err
}

// comparable returns an error for a selector that no row can be compared with.
func comparable(sel store.Selector) error {
	if sel.ByID() {
		return fmt.Errorf("%w: explicit IDs are no reason to keep others", store.ErrRefused)
	}
	return sel.Validate()
}

// kept returns the IDs whose rows are there and are not selected by sel. It reads
// in the transaction of a desk, whose indexes are up to date.
func (s *Store) kept(ctx context.Context, conn *sqlx.Conn, sel store.Selector, keys map[string][]string) (map[store.ID]bool, error) {
	all := make(map[store.ID]bool)
	for place, some := range keys {
		find := s.unselected
		if sel.Orphaned {
			find = s.attached
		}
		found, err := find(ctx, conn, sel, place, some)
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
func (s *Store) unselected(ctx context.Context, conn *sqlx.Conn, sel store.Selector, place string, keys []string) ([]string, error) {
	var all []string
	for _, p := range s.named(place) {
		b, err := p.id.batch(keys)
		if err != nil {
			return nil, err
		}
		these := p.table + " AS t WHERE " + p.idIn() + " AND " + p.kind() + " AND " + p.held()
		there, err := p.id.keys(ctx, conn, "SELECT "+p.id.text("t.")+" FROM "+these, b)
		if err != nil {
			return nil, err
		}
		selected, err := s.among(ctx, conn, p, sel, these, b)
		if err != nil {
			return nil, err
		}
		all = append(all, without(there, selected)...)
	}
	return all, nil
}

// among returns the keys of those rows of a part that sel selects.
func (s *Store) among(ctx context.Context, conn *sqlx.Conn, p *part, sel store.Selector, these, batch string) ([]string, error) {
	c, columns, ok := p.selects(sel)
	if !ok {
		return nil, nil
	}
	var rows []row
	err := sqlx.SelectContext(ctx, conn, &rows, "SELECT "+p.id.text("t.")+" AS key, "+columns+" FROM "+these+" AND "+c.sql, append([]any{batch}, c.args...)...)
	if err != nil {
		return nil, coded(err)
	}
	var selected []string
	for _, r := range rows {
		if key, known := p.id.read(r.Key); known && p.confirms(sel, r.said) {
			selected = append(selected, key)
		}
	}
	return selected, nil
}
