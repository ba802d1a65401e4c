package tables

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
)

// Kin are the rows that hang on those of a place or link to them. Where the
// customer's table has no index for that question, each desk keeps one of its
// own, in memory: pairs of a parent's key and a row number.
type kin struct {
	*part
	parent string // place
	key    keyed  // of the parent, in the columns of the index
	index  string // temporary table of the desk
	build  string
}

func kinIn(parts []*part) []kin {
	var all []kin
	for _, p := range parts {
		k := kin{part: p, index: fmt.Sprintf("temp.kin_%d", len(all))}
		switch {
		case p.With != "":
			k.parent = p.With
			k.key.types = p.by.types
			var columns []string
			var known condition
			for _, c := range p.By {
				columns = append(columns, "t."+quote(c))
				known.and("t." + quote(c) + " IS NOT NULL")
			}
			k.build = "SELECT " + strings.Join(columns, ", ") + ", t.rowid FROM " + p.table + " t WHERE " + known.sql
		case p.Document != nil && p.Document.LinksTo != "":
			k.parent = p.Document.LinksTo
			k.key.types = linkKey().types
			k.build = "SELECT l.value, t.rowid FROM " + p.table + " t " + p.joinLinks() + " WHERE " + p.isLink() + " AND " + p.kind()
		default:
			continue
		}
		for i := range k.key.types {
			k.key.columns = append(k.key.columns, fmt.Sprintf("key_%d", i))
		}
		all = append(all, k)
	}
	return all
}

// ddl makes the index.
func (k kin) ddl() string {
	var columns []string
	for i, c := range k.quoted() {
		columns = append(columns, c+" "+map[keyType]string{textKey: "TEXT", integerKey: "INTEGER"}[k.key.types[i]])
	}
	return "CREATE TABLE " + k.index + " (" + strings.Join(columns, ", ") + ", row INTEGER, PRIMARY KEY (" +
		strings.Join(k.quoted(), ", ") + ", row)) WITHOUT ROWID"
}

// own reports whether the desks keep an index.
func (k kin) own() bool { return k.With == "" || !k.indexed }

// in says that a row of t hangs on one of a bound batch.
func (k kin) in() string {
	switch {
	case k.own():
		return k.rowIn() + " AND " + k.by.in()
	case len(k.By) > 1:
		return k.by.find(k.table)
	default:
		return k.by.in()
	}
}

// rowIn says that a row of t is listed for one of the keys of a bound batch.
func (k kin) rowIn() string {
	return "t.rowid IN (SELECT row FROM " + k.index + " WHERE " + among(k.quoted()) + ")"
}

// quoted are the columns of the index.
func (k kin) quoted() []string {
	columns := make([]string, len(k.key.columns))
	for i, c := range k.key.columns {
		columns[i] = quote(c)
	}
	return columns
}

func (s *Store) kinOf(place string) []kin {
	var of []kin
	for _, k := range s.kin {
		if k.parent == place {
			of = append(of, k)
		}
	}
	return of
}

// height is how many rows can hang on each other below a row of a place. Links
// count as one, and lead no further.
func (s *Store) height(place string) int {
	height := 0
	for _, k := range s.kinOf(place) {
		below := 1
		if k.With != "" {
			below += s.height(k.Name)
		}
		height = max(height, below)
	}
	return height
}

// bottomUp orders the places so that rows go before those on which others of
// their kind hang: an entity that is asked for must not go unnoticed with its
// last link, nor a message with its conversation.
func (s *Store) bottomUp() []string {
	order := s.places()
	slices.SortStableFunc(order, func(a, b string) int { return s.height(s.family(a)) - s.height(s.family(b)) })
	return order
}

// joinLinks joins the elements l of the arrays of links of t, and isLink says
// which of them are links.
func (p *part) joinLinks() string {
	return "CROSS JOIN json_each(" + p.object() + ") e " +
		"CROSS JOIN json_each(CASE e.type WHEN 'array' THEN e.value ELSE '[]' END) l"
}

func (p *part) isLink() string {
	return "e.key IN (" + literals(p.Document.Links) + ") AND l.type = 'text'"
}

// prepare makes the temporary tables of a new desk.
func (d *desk) prepare(ctx context.Context, all []kin) error {
	ddl := "CREATE TEMP TABLE kin_state (file TEXT PRIMARY KEY, version INTEGER, change INTEGER)"
	for _, k := range all {
		if k.own() {
			ddl += "; " + k.ddl()
		}
	}
	return exec(ctx, d.conn, ddl)
}

// refresh brings the writer's indexes up to date, inside a transaction, and
// returns for each file the number of times that anyone but the writer has
// changed it. SQLite's data version tells: it stands still for the
// connection's own commits. State and indexes are in one temporary database,
// so a rollback takes both back.
func (s *Store) refresh(ctx context.Context, conn *sqlx.Conn) (map[string]int64, error) {
	changes := make(map[string]int64)
	for i, f := range s.files {
		version, err := number(ctx, conn, "PRAGMA "+schemaName(i, f)+".data_version")
		if err != nil {
			return nil, err
		}
		same, err := number(ctx, conn, "SELECT count(*) FROM temp.kin_state WHERE file = ? AND version = ?", f.Name, version)
		if err != nil {
			return nil, err
		}
		change, err := number(ctx, conn, "SELECT coalesce(max(change), 0) FROM temp.kin_state WHERE file = ?", f.Name)
		if err != nil {
			return nil, err
		}
		if same == 0 {
			change++
			if err := s.rebuild(ctx, conn, f.Name, version, change); err != nil {
				return nil, err
			}
		}
		changes[f.Name] = change
	}
	return changes, nil
}

// follow brings the second desk's indexes up to date with changes, which were
// counted before its transaction began. Between two equal counts only the
// writer has written, and the writer only takes away: the index then lists too
// much, never too little, and whoever uses it looks at the rows themselves.
func (s *Store) follow(ctx context.Context, conn *sqlx.Conn, changes map[string]int64) error {
	for file, change := range changes {
		same, err := number(ctx, conn, "SELECT count(*) FROM temp.kin_state WHERE file = ? AND change = ?", file, change)
		if err != nil {
			return err
		}
		if same == 1 {
			continue
		}
		if err := s.rebuild(ctx, conn, file, 0, change); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) rebuild(ctx context.Context, conn *sqlx.Conn, file string, version, change int64) error {
	for _, k := range s.kin {
		if k.File != file || !k.own() {
			continue
		}
		if err := exec(ctx, conn, "DELETE FROM "+k.index); err != nil {
			return err
		}
		if err := exec(ctx, conn, "INSERT OR IGNORE INTO "+k.index+" "+k.build); err != nil {
			return err
		}
	}
	return exec(ctx, conn, "INSERT OR REPLACE INTO temp.kin_state VALUES (?, ?, ?)", file, version, change)
}

// changes asks the writer's desk how often others have changed each file.
func (s *Store) changes(ctx context.Context) (changes map[string]int64, err error) {
	release, err := s.writer.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	err = patiently(ctx, func() error {
		return tx(ctx, s.writer.conn, "BEGIN", func() error {
			changes, err = s.refresh(ctx, s.writer.conn)
			return err
		})
	})
	return changes, err
}
