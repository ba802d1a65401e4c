package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jmoiron/sqlx"

	"lethe/store"
)

// pgTries is how often a transaction is tried that others are in the way of.
const pgTries = 5

// tx runs f in a transaction, again if others are in its way: f must bear that.
func (s *Postgres) tx(ctx context.Context, db *sqlx.DB, f func(tx *sqlx.Tx) error) error {
	for i := 1; ; i++ {
		err := once(ctx, db, f)
		if err == nil || i == pgTries || !errors.Is(err, store.ErrBusy) {
			return err
		}
	}
}

func once(ctx context.Context, db *sqlx.DB, f func(tx *sqlx.Tx) error) error {
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return pgCoded(ctx, err)
	}
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the server does it if the connection is gone
		return err
	}
	if err := store.Leave(ctx); err != nil {
		_ = tx.Rollback()
		return err
	}
	return pgCoded(ctx, tx.Commit())
}

// Erase implements store.Store. The files beside the database are committed
// first: a crash between leaves rows that a Find still finds, never what hangs
// on rows that nobody knows any more. A key that its place cannot hold is
// store.Refused, and the others of its batch are erased.
func (s *Postgres) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	receipt, err := s.erase(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	return receipt, nil
}

func (s *Postgres) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	batch, err := s.group(ids)
	if err != nil {
		return nil, err
	}
	if err := s.backlinks.begin(ctx, s); err != nil {
		return nil, s.lacking(ctx, err)
	}
	sel, err := still(ctx)
	if err != nil {
		return nil, err
	}
	gone := make(map[store.ID]bool) // beside, which stays so when the transaction is tried again
	var here, refused, kept map[store.ID]bool
	var read int
	var rest map[string][]string
	err = s.tx(ctx, s.db, func(tx *sqlx.Tx) (err error) {
		here, refused, kept = make(map[store.ID]bool), make(map[store.ID]bool), make(map[store.ID]bool)
		e := pgErasure{s: s, tx: tx, sel: sel, gone: here, refused: refused, kept: kept, read: &read}
		if rest, err = e.eraseIn(ctx, batch.keys); err != nil {
			return err
		}
		return e.beside(ctx, ids, batch.beside, gone)
	})
	if err != nil {
		return nil, s.lacking(ctx, err)
	}
	s.backlinks.forget(ctx, rest, read)
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		switch {
		case batch.refused[id] || refused[id]:
			receipt[i] = store.Refused
		case gone[id] || here[id]:
			receipt[i] = store.Erased
		case kept[id]:
			receipt[i] = store.Kept
		default:
			receipt[i] = store.Absent
		}
	}
	return receipt, nil
}

// still returns what an erasure is to be compared with, or nil.
func still(ctx context.Context) (*store.Selector, error) {
	sel, ok := store.Still(ctx)
	if !ok {
		return nil, nil
	}
	return &sel, comparable(sel)
}

// beside erases and commits in the files beside the database, while the database's
// locks keep other erasures of the same rows waiting.
//
// What goes along in either is told before both commit.
func (e pgErasure) beside(ctx context.Context, asked, ids []store.ID, gone map[store.ID]bool) error {
	ids = slices.DeleteFunc(slices.Clone(ids), func(id store.ID) bool { return e.kept[id] })
	if len(ids) == 0 {
		return store.Along(ctx, besides(asked, e.gone))
	}
	var along map[store.ID]bool
	receipt, err := e.s.beside.Erase(store.WithAlong(ctx, func(_ context.Context, also []store.ID) error {
		along = make(map[store.ID]bool, len(also))
		for _, id := range also {
			along[id] = true
		}
		return store.Along(ctx, besides(asked, gone, e.gone, along))
	}), ids)
	if err != nil {
		return fmt.Errorf("beside the database: %w", err)
	}
	for i, id := range ids {
		switch receipt[i] {
		case store.Erased:
			gone[id] = true
		case store.Kept:
			e.kept[id] = true
		}
	}
	maps.Copy(gone, along)
	return nil
}

// A pgBatch is IDs by who keeps them.
type pgBatch struct {
	keys    map[string][]string // in the database, by place
	beside  []store.ID          // in the files beside it
	refused map[store.ID]bool   // nowhere: no key of their place
}

func (s *Postgres) group(ids []store.ID) (pgBatch, error) {
	b := pgBatch{keys: make(map[string][]string), refused: make(map[store.ID]bool)}
	if len(ids) > store.MaxBatch {
		return b, fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(ids), store.MaxBatch)
	}
	for _, id := range ids {
		here := s.m.stands(id.Place)
		beside := s.beside != nil && s.beside.m.stands(id.Place)
		if !here && !beside || id.Key == "" {
			return b, fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
		if here && !s.holds(id) {
			b.refused[id] = true
			continue
		}
		if here {
			b.keys[id.Place] = append(b.keys[id.Place], id.Key)
		}
		if beside {
			b.beside = append(b.beside, id)
		}
	}
	return b, nil
}

// holds reports whether a place can hold a key, written as the database does.
func (s *Postgres) holds(id store.ID) bool {
	return slices.ContainsFunc(s.parts, func(p *pgPart) bool { return p.Name == id.Place && p.With == "" && p.id.holds(id.Key) })
}

// A pgErasure is one transaction of Erase.
type pgErasure struct {
	s   *Postgres
	tx  *sqlx.Tx
	sel *store.Selector // what must still select the rows, or nil

	gone, refused, kept map[store.ID]bool
	read                *int // of the links that the transaction knows: see pgBacklinks.refresh
}

// eraseIn erases a batch, with all that hangs on it, and returns it without what
// was kept.
func (e pgErasure) eraseIn(ctx context.Context, keys map[string][]string) (map[string][]string, error) {
	if err := e.begin(ctx, keys); err != nil {
		return nil, err
	}
	links, err := e.links(ctx, keys)
	if err != nil {
		return nil, err
	}
	if err := e.lock(ctx, links, keys); err != nil {
		return nil, err
	}
	if keys, err = e.leave(ctx, keys); err != nil {
		return nil, err
	}
	for _, place := range e.s.bottomUp() {
		if len(keys[place]) == 0 {
			continue
		}
		if err := e.place(ctx, place, keys[place], links); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// place erases rows of one place, after what hangs on them.
func (e pgErasure) place(ctx context.Context, place string, keys []string, links []*pgLinks) error {
	whole, err := e.s.whole(ctx, e.tx, place, keys)
	if err != nil {
		return err
	}
	for _, l := range links {
		if err := e.unlink(ctx, l, place, whole); err != nil {
			return err
		}
	}
	if err := e.kin(ctx, place, whole); err != nil {
		return err
	}
	parts := e.s.named(place)
	for _, p := range parts {
		if err := e.share(ctx, p, keys); err != nil {
			return err
		}
	}
	if len(whole) == 0 {
		return nil
	}
	if err := e.rows(ctx, parts, whole, links); err != nil {
		return err
	}
	for _, p := range parts {
		if err := e.still(ctx, p, whole); err != nil {
			return err
		}
	}
	return nil
}

// begin keeps others from changing the tables while the transaction lasts, and
// makes sure that nobody has since the store was opened.
func (e pgErasure) begin(ctx context.Context, keys map[string][]string) error {
	var names []string
	for _, p := range e.s.parts {
		of := func(family string) bool { return len(e.s.ofFamily(family, keys)) > 0 }
		touched := p.With == "" && len(keys[p.Name]) > 0 || p.changes() && of(p.Document.LinksTo) || slices.ContainsFunc(e.s.above(p), of)
		if touched {
			names = append(names, p.table)
		}
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	// All in one message: it is texts of ours, and binds nothing.
	_, err := e.tx.ExecContext(ctx, "LOCK TABLE "+strings.Join(slices.Compact(names), ", ")+" IN "+e.lockMode()+" MODE; "+pgSteady, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return pgCoded(ctx, err)
	}
	now, err := e.s.moment(ctx, e.tx, true)
	if err != nil {
		return err
	}
	*e.read, err = e.s.backlinks.refresh(ctx, e.tx, now)
	return err
}

// pgSteady makes the rest of the transaction go through each table in one order:
// two erasures of overlapping batches must not take the same rows in different
// orders. Most users may not lock rows in an order of their own, since that
// needs the privilege to change them.
const pgSteady = `SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_hashagg = off`

// kin deletes what hangs on a batch of a place. There may be no index for it,
// and where the only way is one that it may not go, the server plans at random.
func (e pgErasure) kin(ctx context.Context, place string, keys []string) error {
	family := e.s.family(place)
	if len(e.s.kinOf(family)) == 0 {
		return nil
	}
	if _, err := e.tx.ExecContext(ctx, `SET LOCAL enable_seqscan = on`); err != nil {
		return pgCoded(ctx, err)
	}
	if err := e.below(ctx, family, place, keys); err != nil {
		return err
	}
	_, err := e.tx.ExecContext(ctx, `SET LOCAL enable_seqscan = off`)
	return pgCoded(ctx, err)
}

// below deletes what hangs on the rows of a place or family, the lowest first.
// All of it hangs on a batch of keys of the place root, which is credited.
func (e pgErasure) below(ctx context.Context, with, root string, keys []string) error {
	family := e.s.family(root)
	for _, p := range e.s.kinOf(with) {
		if err := e.below(ctx, p.Name, root, keys); err != nil {
			return err
		}
		statement, args := "DELETE FROM "+p.table+" AS t WHERE "+e.s.hangs(p, family), e.s.bind(family, keys)
		if with != family {
			if _, err := e.tx.ExecContext(ctx, statement, args...); err != nil {
				return pgCoded(ctx, err)
			}
			continue
		}
		gone, err := p.by.list(ctx, e.tx, "WITH gone AS ("+statement+" RETURNING "+p.by.columns("t.")+") SELECT DISTINCT "+p.by.texts("")+" FROM gone", args...)
		e.took(root, gone)
		if err != nil {
			return err
		}
	}
	return nil
}

// rows deletes the rows of a place that have one of some keys, from all of its
// tables in one statement.
func (e pgErasure) rows(ctx context.Context, parts []*pgPart, keys []string, links []*pgLinks) error {
	gone, err := e.delete(ctx, parts, keys)
	if err != nil {
		return err
	}
	for i, p := range parts {
		for _, l := range links {
			if l.oid == p.oid {
				l.drop(gone[i])
			}
		}
		e.tookOf(p, gone[i])
	}
	return nil
}

// delete deletes the rows and returns their keys, by part.
func (e pgErasure) delete(ctx context.Context, parts []*pgPart, keys []string) (gone [][]string, err error) {
	if e.sel != nil {
		return e.rowsStill(ctx, parts, keys)
	}
	deletes, reads := make([]string, len(parts)), make([]string, len(parts))
	for i, p := range parts {
		deletes[i] = fmt.Sprintf("p%d AS (DELETE FROM %s AS t WHERE %s AND %s AND %s RETURNING %s)", i, p.table, p.id.among("t.", 1), p.kind(), p.whole(), p.id.columns("t."))
		reads[i] = fmt.Sprintf("SELECT %s, '%d' FROM p%[2]d", p.id.texts(""), i)
	}
	gone = make([][]string, len(parts))
	id, place := parts[0].id, parts[0].of()
	err = id.read(ctx, e.tx, "WITH "+strings.Join(deletes, ", ")+" "+strings.Join(reads, " UNION ALL "), e.s.bind(place, keys), 1,
		func(key string, rest []sql.NullString) {
			i, _ := strconv.Atoi(rest[0].String)
			gone[i] = append(gone[i], key)
		})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// tookOf takes the keys of rows of p that are gone, under each place that they had.
func (e pgErasure) tookOf(p *pgPart, keys []string) {
	for _, same := range e.s.parts {
		if same == p || same.tie != "" && same.of() == p.of() {
			e.took(same.Name, keys)
		}
	}
}

func (e pgErasure) took(place string, keys []string) {
	for _, k := range keys {
		e.gone[store.ID{Place: place, Key: k}] = true
	}
}
