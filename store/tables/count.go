package tables

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	census, err := s.count(ctx, sels)
	if err != nil {
		return store.Census{}, fmt.Errorf("count: %w", err)
	}
	return census, nil
}

func (s *Store) count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	var census store.Census
	conn, err := s.readers.Connx(ctx)
	if err != nil {
		return census, coded(err)
	}
	defer conn.Close()
	c := counting{s, conn}
	if err := c.begin(ctx); err != nil {
		return census, err
	}
	found := make(map[string]int)
	for sel, err := range sels {
		if err != nil {
			return census, err
		}
		if err := c.pick(ctx, sel, found); err != nil {
			return census, err
		}
	}
	for _, name := range s.places() {
		census.Places = append(census.Places, store.PlaceCount{Place: name, Found: found[name]})
	}
	hanging := make(map[*part]int)
	for _, p := range s.topDown() {
		if hanging[p], err = c.hanging(ctx, p); err != nil {
			return census, err
		}
	}
	for _, p := range s.parts {
		if p.With != "" {
			census.Places = add(census.Places, s.m, p.Place, hanging[p])
		}
	}
	if err := s.totals(census.Places, func(p *part) (int, error) { return c.total(ctx, p) }); err != nil {
		return census, err
	}
	if census.Unattributable, err = c.unattributable(ctx); err != nil {
		return census, err
	}
	return census, c.clear(ctx)
}

// add adds what was found of a place whose rows hang on others.
func add(places []store.PlaceCount, m Map, p Place, found int) []store.PlaceCount {
	name, with := m.counted(p)
	for i := range places {
		if places[i].Place == name && places[i].With == with {
			places[i].Found += found
			return places
		}
	}
	return append(places, store.PlaceCount{Place: name, Found: found, With: with})
}

// topDown returns the parts whose rows hang on others, parents first.
func (s *Store) topDown() []*part {
	parts := slices.DeleteFunc(slices.Clone(s.parts), func(p *part) bool { return p.With == "" })
	slices.SortStableFunc(parts, func(a, b *part) int { return s.height(b.Name) - s.height(a.Name) })
	return parts
}

// A counting is one Count at work: a connection with temporary tables of keys,
// as SQLite writes them.
type counting struct {
	s    *Store
	conn *sqlx.Conn
}

// begin makes the tables picked, for the selected rows and what hangs on them,
// linked, for what links name, and lost, for rows that hang on nothing.
// Connections come back, so they may be there already.
func (c counting) begin(ctx context.Context) error {
	for _, name := range []string{"picked", "linked", "lost"} {
		err := exec(ctx, c.conn, "CREATE TEMP TABLE IF NOT EXISTS "+name+" (place TEXT, key TEXT, PRIMARY KEY (place, key)) WITHOUT ROWID")
		if err != nil {
			return err
		}
	}
	if err := c.clear(ctx); err != nil {
		return err
	}
	for _, k := range c.s.kin {
		if k.With != "" {
			continue
		}
		err := c.each(ctx, k.part, func(from, to int64) error {
			return exec(ctx, c.conn, "INSERT OR IGNORE INTO temp.linked SELECT "+literal(k.parent)+", key FROM (SELECT l.value AS key FROM "+
				k.table+" t "+k.joinLinks()+" WHERE t.rowid BETWEEN ? AND ? AND "+k.isLink()+" AND "+k.kind()+")", from, to)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c counting) clear(ctx context.Context) error {
	return exec(ctx, c.conn, "DELETE FROM temp.picked; DELETE FROM temp.linked; DELETE FROM temp.lost")
}

// pick runs Find and keeps what it yields.
func (c counting) pick(ctx context.Context, sel store.Selector, found map[string]int) error {
	batch := make(map[string][]string)
	flush := func(place string) error {
		keys := batch[place]
		batch[place] = keys[:0]
		return c.note(ctx, place, keys)
	}
	for id, err := range c.s.Find(ctx, sel) {
		if err != nil {
			return err
		}
		found[id.Place]++
		batch[id.Place] = append(batch[id.Place], id.Key)
		if len(batch[id.Place]) == store.MaxBatch {
			if err := flush(id.Place); err != nil {
				return err
			}
		}
	}
	for place := range batch {
		if err := flush(place); err != nil {
			return err
		}
	}
	return nil
}

// note keeps the keys of selected rows that would go, as SQLite writes them.
func (c counting) note(ctx context.Context, place string, keys []string) error {
	keys, err := c.s.whole(ctx, c.conn, place, keys)
	if err != nil {
		return err
	}
	types := c.s.typesOf(place)
	as := "value"
	bound, err := list(keys)
	if len(types) > 1 {
		var rows [][]string
		for _, key := range keys {
			values, _ := types.parse(key)
			rows = append(rows, values)
		}
		var values []string
		for i := range types {
			values = append(values, fmt.Sprintf("value ->> %d", i))
		}
		as = "json_array(" + strings.Join(values, ", ") + ")"
		bound, err = list(rows)
	}
	if err != nil {
		return err
	}
	return exec(ctx, c.conn, "INSERT OR IGNORE INTO temp.picked SELECT ?, "+as+" FROM json_each(?)", c.s.family(place), bound)
}

// typesOf returns the types of a place's keys; of one that is kept elsewhere,
// those of what hangs on it.
func (s *Store) typesOf(place string) keying {
	for _, p := range s.named(place) {
		return p.id.types
	}
	for _, k := range s.kinOf(place) {
		return k.key.types
	}
	return keying{textKey}
}

// hanging counts the rows of a part that hang on picked ones, and picks them.
func (c counting) hanging(ctx context.Context, p *part) (int, error) {
	if len(c.s.kinOf(p.Name)) > 0 {
		if err := c.keep(ctx, "picked", p, c.hangs(p)); err != nil {
			return 0, err
		}
	}
	return c.sum(ctx, p, c.hangs(p))
}

// keep puts the keys of the rows for which a condition holds into a table.
func (c counting) keep(ctx context.Context, table string, p *part, condition string) error {
	return c.each(ctx, p, func(from, to int64) error {
		return exec(ctx, c.conn, "INSERT OR IGNORE INTO temp."+table+" SELECT "+literal(p.of())+", key FROM (SELECT "+p.id.text("t.")+
			" AS key FROM "+p.table+" t WHERE t.rowid BETWEEN ? AND ? AND "+condition+") WHERE key IS NOT NULL", from, to)
	})
}

// hangs says that a row of t hangs on a picked one.
func (c counting) hangs(p *part) string { return p.hangsOn("picked") }

// hangsOn says that a temporary table has the key that t hangs on. It looks the
// key up for each row: SQLite would copy the operand of an IN, a million keys
// perhaps, for each page.
func (p *part) hangsOn(table string) string {
	return "EXISTS (SELECT 1 FROM temp." + table + " m WHERE m.place = " + literal(p.With) +
		" AND m.key = " + p.by.text("t.") + " COLLATE BINARY)"
}

// sum counts the rows of a part for which a condition holds, page by page.
func (c counting) sum(ctx context.Context, p *part, condition string) (int, error) {
	var total int
	err := c.each(ctx, p, func(from, to int64) error {
		n, err := number(ctx, c.conn, "SELECT count(*) FROM "+p.table+" t WHERE t.rowid BETWEEN ? AND ? AND "+condition, from, to)
		total += int(n)
		return err
	})
	return total, err
}

func (c counting) each(ctx context.Context, p *part, read func(from, to int64) error) error {
	pages := c.s.pages(p)
	pages.conn = c.conn
	for {
		more, err := pages.next(ctx, func(_ *sqlx.Conn, from, to int64) error { return read(from, to) })
		if err != nil || !more {
			return err
		}
	}
}

// unattributable counts what nothing ties to anyone: rows that hang on a row
// that is gone or is lost itself, sessions that do not parse, documents that are
// not objects.
func (c counting) unattributable(ctx context.Context) (int, error) {
	total := 0
	add := func(n int, err error) error {
		total += n
		return err
	}
	seen := make(map[string]bool)
	for _, p := range c.s.parts {
		if p.Scope != "" {
			if err := add(c.unparsed(ctx, p)); err != nil {
				return 0, err
			}
		}
		if bad := p.malformed(); bad != "" && !seen[p.table+bad] {
			seen[p.table+bad] = true
			if err := add(c.sum(ctx, p, bad)); err != nil {
				return 0, err
			}
		}
	}
	for _, p := range c.s.topDown() {
		if slices.Contains(c.s.m.Elsewhere, p.With) {
			continue // only who knows the other database can tell
		}
		if slices.ContainsFunc(c.s.named(p.Name), func(own *part) bool { return own.table == p.table }) {
			continue // its rows have owners of their own
		}
		if len(c.s.kinOf(p.Name)) > 0 {
			if err := c.keep(ctx, "lost", p, c.orphan(p)); err != nil {
				return 0, err
			}
		}
		if err := add(c.sum(ctx, p, c.orphan(p))); err != nil {
			return 0, err
		}
	}
	return total, nil
}

// malformed says that a document in which the part looks for anyone is no
// object. It is empty for a part that looks in none. A column that is NULL beside
// others says nothing, which is no fault.
func (p *part) malformed() string {
	if p.Document != nil {
		return "NOT (" + wellFormed(p.doc()) + ")"
	}
	var bad []string
	for _, column := range p.documents() {
		doc := "t." + quote(column)
		bad = append(bad, "("+doc+" IS NOT NULL AND NOT ("+wellFormed(doc)+"))")
	}
	if len(bad) == 0 {
		return ""
	}
	return "(" + strings.Join(bad, " OR ") + ")"
}

// orphan says that the row that t hangs on is neither there, nor linked to,
// nor asked for, or that it is lost itself.
func (c counting) orphan(p *part) string {
	orphan := "NOT (" + c.hangs(p) + ") AND NOT " + p.hangsOn("linked")
	for _, parent := range c.s.parts {
		if parent.of() == p.With && (parent.tie == "" || parent.tie == parent.Ties.Columns[0]) {
			orphan += " AND NOT EXISTS (SELECT 1 FROM " + parent.table + " r WHERE " + p.by.equals("r", parent.id) + ")"
		}
	}
	orphan = p.by.text("t.") + " IS NULL OR (" + orphan + ")"
	if slices.ContainsFunc(c.s.parts, func(parent *part) bool { return parent.Name == p.With && parent.With != "" }) {
		orphan += " OR " + p.hangsOn("lost")
	}
	return "(" + orphan + ")"
}

func (c counting) unparsed(ctx context.Context, p *part) (int, error) {
	total := 0
	err := c.each(ctx, p, func(from, to int64) error {
		scopes, err := texts(ctx, c.conn, "SELECT CASE typeof(t."+quote(p.Scope)+") WHEN 'text' THEN t."+quote(p.Scope)+
			" ELSE '' END FROM "+p.table+" t WHERE t.rowid BETWEEN ? AND ?", from, to)
		for _, scope := range scopes {
			if _, err := ParseScope(scope); err != nil {
				total++
			}
		}
		return err
	})
	return total, err
}
