package tables

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

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
	live  map[string]liveFile // when opened

	readers *sqlx.DB
	writer  *desk // for Erase alone
	second  *desk // for Remaining alone: its own connection, read only
}

// A part is a Place as statements see it.
type part struct {
	Place
	schema string // of its file
	table  string // with its schema, quoted
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
		if _, ok := s.live[p.File].table(p.Table); !ok && p.Optional {
			continue
		}
		if err := suits(p, s.live[p.File]); err != nil {
			return err
		}
		if err := p.simple(); err != nil {
			return err
		}
		s.parts = append(s.parts, s.part(p))
	}
	s.kin = kinIn(s.parts)
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

func (s *Store) part(p Place) *part {
	i := slices.IndexFunc(s.files, func(f File) bool { return f.Name == p.File })
	schema := schemaName(i, s.files[i])
	return &part{Place: p, schema: schema, table: schema + "." + quote(p.Table)}
}

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
	}
	return nil
}

// named returns the parts of a place.
func (s *Store) named(place string) []*part {
	var parts []*part
	for _, p := range s.parts {
		if p.Name == place && p.With == "" {
			parts = append(parts, p)
		}
	}
	return parts
}

// group returns keys by place, and an error for a batch that is too large or
// names a place whose rows cannot be erased on their own.
func (s *Store) group(ids []store.ID) (map[string][]string, error) {
	if len(ids) > store.MaxBatch {
		return nil, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(ids), store.MaxBatch)
	}
	keys := make(map[string][]string)
	for _, id := range ids {
		if !s.m.stands(id.Place) || id.Key == "" {
			return nil, fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
		keys[id.Place] = append(keys[id.Place], id.Key)
	}
	return keys, nil
}
