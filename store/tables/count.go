package tables

import (
	"context"
	"fmt"
	"iter"
	"slices"

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
	for _, p := range s.parts {
		if p.With != "" {
			n, err := c.sum(ctx, p, c.hangs(p))
			if err != nil {
				return census, err
			}
			census.Places = append(census.Places, store.PlaceCount{Place: p.Name, Found: n, With: p.With})
		}
	}
	if census.Unattributable, err = c.unattributable(ctx); err != nil {
		return census, err
	}
	return census, c.clear(ctx)
}

// A counting is one Count at work: a connection with two temporary tables.
type counting struct {
	s    *Store
	conn *sqlx.Conn
}

// begin makes the tables picked, the selected IDs, and linked, the keys that
// links name. Connections come back, so they may be there already.
func (c counting) begin(ctx context.Context) error {
	err := exec(ctx, c.conn, `CREATE TEMP TABLE IF NOT EXISTS picked (place TEXT, key TEXT, PRIMARY KEY (place, key)) WITHOUT ROWID;
		CREATE TEMP TABLE IF NOT EXISTS linked (place TEXT, key TEXT, PRIMARY KEY (place, key)) WITHOUT ROWID`)
	if err != nil {
		return err
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
	return exec(ctx, c.conn, "DELETE FROM temp.picked; DELETE FROM temp.linked")
}

// pick runs Find and keeps what it yields.
func (c counting) pick(ctx context.Context, sel store.Selector, found map[string]int) error {
	batch := make(map[string][]string)
	flush := func(place string) error {
		keys, err := list(batch[place])
		if err != nil {
			return err
		}
		batch[place] = batch[place][:0]
		return exec(ctx, c.conn, "INSERT OR IGNORE INTO temp.picked SELECT ?, value FROM json_each(?)", place, keys)
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

// hangs says that a row of t hangs on a picked one.
func (c counting) hangs(p *part) string { return among("picked", p) }

// among says that a temporary table has the key that t hangs on. It looks the
// key up for each row: SQLite would copy the operand of an IN, a million keys
// perhaps, for each page.
func among(table string, p *part) string {
	return "EXISTS (SELECT 1 FROM temp." + table + " m WHERE m.place = " + literal(p.With) +
		" AND m.key = t." + quote(p.By[0]) + " COLLATE BINARY)"
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
// that is gone, sessions that do not parse, documents that are not objects.
func (c counting) unattributable(ctx context.Context) (int, error) {
	total := 0
	seen := make(map[string]bool)
	for _, p := range c.s.parts {
		var n int
		var err error
		switch {
		case slices.Contains(c.s.m.Elsewhere, p.With):
			// Only who knows the other database can tell.
		case p.With != "":
			n, err = c.sum(ctx, p, c.orphan(p))
		case p.Scope != "":
			n, err = c.unparsed(ctx, p)
		case p.Document != nil && !seen[p.table]:
			seen[p.table] = true
			n, err = c.sum(ctx, p, "NOT ("+p.wellFormed()+")")
		}
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

// orphan says that the row that t hangs on is neither there, nor linked to,
// nor asked for.
func (c counting) orphan(p *part) string {
	by := "t." + quote(p.By[0])
	orphan := "NOT (" + c.hangs(p) + ")" +
		" AND NOT " + among("linked", p)
	for _, parent := range c.s.named(p.With) {
		orphan += " AND NOT EXISTS (SELECT 1 FROM " + parent.table + " r WHERE r." + quote(parent.ID[0]) + " = " + by + ")"
	}
	return "(" + by + " IS NULL OR " + orphan + ")"
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
