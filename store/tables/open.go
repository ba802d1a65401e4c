package tables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// Limits of patience with other processes. A wait is short, so that it ends
// soon after the context does, and is repeated.
const (
	waitMS = 250
	waits  = 20
)

// A Store erases what a Map declares. It is a store.Store, a store.Purger and
// a store.Checker.
type Store struct {
	m     Map
	files []File // resolved
	there []os.FileInfo
	parts []*part
	kin   []kin
	order []string            // the places whose rows stand on their own, in the order of erasing
	live  map[string]liveFile // when opened

	readers *sqlx.DB
	writer  *desk // for Erase alone
	second  *desk // for Remaining alone: its own connection, read only
}

// A part is a Place as statements see it. A place with Ties has a part for each.
type part struct {
	Place
	schema   string // of its file
	table    string // with its schema, quoted
	id, by   keyed
	exact    bool     // the table has an index of id that serves to compare byte for byte
	indexed  bool     // and one of by
	integers []string // columns of integers that Match names
}

// Open opens the files of m, which must exist, and compares them with m. The
// error wraps store.ErrRefused for a map that cannot be used,
// store.ErrUnavailable for a file that is missing, no database or read only,
// and store.ErrSchema for tables that are not as m says.
func Open(ctx context.Context, m Map) (*Store, error) {
	if err := m.Validate(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	files, err := resolve(m.Files)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s := &Store{m: m, files: files, live: make(map[string]liveFile)}
	if s.there, err = s.standing(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	s.readers = connector{files, "ro", waitMS}.open()
	s.readers.SetMaxIdleConns(2)
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open: %w", err), s.Close())
	}
	return s, nil
}

// start connects the writer first: only a connection that may write can roll
// back what a crash of the application has left.
func (s *Store) start(ctx context.Context) error {
	var err error
	if s.writer, err = sit(ctx, connector{s.files, "rw", waitMS}); err != nil {
		return err
	}
	for i, f := range s.files {
		if s.live[f.Name], err = inspect(ctx, s.writer.conn, schemaName(i, f)); err != nil {
			return err
		}
	}
	for _, p := range s.m.Places {
		live := s.live[p.File]
		t, ok := live.table(p.Table)
		if !ok && p.Optional {
			continue
		}
		if err := s.m.suits(p, live); err != nil {
			return err
		}
		for _, p := range p.spread() {
			s.parts = append(s.parts, s.part(p, t))
		}
	}
	if err := s.related(); err != nil {
		return err
	}
	s.kin = kinIn(s.parts)
	s.order = s.bottomUp()
	if s.second, err = sit(ctx, connector{s.files, "ro", waitMS}); err != nil {
		return err
	}
	for _, d := range []*desk{s.writer, s.second} {
		if err := d.prepare(ctx, s.kin); err != nil {
			return err
		}
	}
	return s.writable(ctx)
}

func (s *Store) part(p Place, t liveTable) *part {
	i := slices.IndexFunc(s.files, func(f File) bool { return f.Name == p.File })
	schema := schemaName(i, s.files[i])
	of := func(columns []string) keyed {
		k := keyed{columns: columns}
		for _, name := range columns {
			c, _ := t.column(name)
			kind, _ := keyTypeOf(c)
			k.types = append(k.types, kind)
		}
		return k
	}
	out := &part{Place: p, schema: schema, table: schema + "." + quote(p.Table), id: of(p.ID), by: of(p.By), exact: t.finds(p.ID), indexed: t.finds(p.By)}
	for _, m := range p.Match {
		if c, _ := t.column(m.Column); affinity(c.Type) == "INTEGER" {
			out.integers = append(out.integers, m.Column)
		}
	}
	return out
}

// idIn says that t is a row of the batch that is bound as ?1.
func (p *part) idIn() string {
	if len(p.ID) == 1 && p.exact {
		return p.id.in()
	}
	return p.id.find(p.table)
}

// related returns an error wrapping store.ErrSchema if rows cannot hang on each
// other as the map says, since their columns hold different types.
func (s *Store) related() error {
	for _, p := range s.parts {
		for _, parent := range s.parts {
			if p.With == parent.of() && p.With != "" && !p.by.same(parent.id) {
				return fmt.Errorf("%w: place %s: want (%s) in table %s to have the types of (%s) in table %s",
					store.ErrSchema, p.Name, strings.Join(p.By, ", "), p.Table, strings.Join(parent.ID, ", "), parent.Table)
			}
			if d := p.Document; d != nil && d.LinksTo == parent.of() && !parent.id.same(linkKey()) {
				return fmt.Errorf("%w: place %s: links lead to a table whose ID is one column of TEXT, and table %s has (%s)",
					store.ErrSchema, p.Name, parent.Table, strings.Join(parent.ID, ", "))
			}
		}
	}
	return nil
}

// linkKey is what links hold.
func linkKey() keyed { return keyed{types: keying{textKey}} }

// Close implements store.Store.
func (s *Store) Close() error {
	return errors.Join(s.readers.Close(), s.writer.close(), s.second.close())
}

// unchanged returns an error wrapping store.ErrSchema if a file's tables are
// not those that were there when the store was opened, and
// store.ErrUnavailable if the file itself is not.
func (s *Store) unchanged(ctx context.Context, q sqlx.QueryerContext) error {
	if err := s.inPlace(); err != nil {
		return err
	}
	for i, f := range s.files {
		var version int64
		if err := sqlx.GetContext(ctx, q, &version, "PRAGMA "+schemaName(i, f)+".schema_version"); err != nil {
			return coded(err)
		}
		if version == s.live[f.Name].version {
			continue
		}
		// VACUUM changes the version too, and nothing else.
		now, err := inspect(ctx, q, schemaName(i, f))
		if err != nil {
			return err
		}
		if !slices.EqualFunc(now.tables, s.live[f.Name].tables, func(a, b liveTable) bool {
			return a.Type == b.Type && a.Name == b.Name && a.SQL == b.SQL
		}) {
			return fmt.Errorf("%w: file %s has changed since the store was opened", store.ErrSchema, f.Name)
		}
		for _, p := range s.parts {
			if t, _ := now.table(p.Table); p.File == f.Name && s.m.problem(p.Place, t) != "" { // an index is gone
				return fmt.Errorf("%w: %s since the store was opened", store.ErrSchema, s.m.problem(p.Place, t))
			}
		}
	}
	return nil
}

// named returns the parts of a place whose rows stand on their own.
func (s *Store) named(place string) []*part {
	var parts []*part
	for _, p := range s.parts {
		if p.Name == place && p.With == "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// family is the name under which others hang on the rows of a place.
func (s *Store) family(place string) string {
	for _, p := range s.named(place) {
		return p.of()
	}
	return place
}

// A batch is keys by place, and the IDs that no row of theirs can have.
type batch struct {
	keys    map[string][]string
	refused map[store.ID]bool
}

// group returns an error for IDs that are too many or name a place whose rows
// cannot be erased on their own.
func (s *Store) group(ids []store.ID) (batch, error) {
	b := batch{make(map[string][]string), make(map[store.ID]bool)}
	if len(ids) > store.MaxBatch {
		return b, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(ids), store.MaxBatch)
	}
	for _, id := range ids {
		if !s.m.stands(id.Place) || id.Key == "" {
			return b, fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
		if !s.holds(id) {
			b.refused[id] = true
			continue
		}
		b.keys[id.Place] = append(b.keys[id.Place], id.Key)
	}
	return b, nil
}

// holds reports whether a row of the ID's place can have its key. Of places
// that are not here others know.
func (s *Store) holds(id store.ID) bool {
	parts := s.named(id.Place)
	return len(parts) == 0 || slices.ContainsFunc(parts, func(p *part) bool {
		_, ok := p.id.types.parse(id.Key)
		return ok
	})
}
