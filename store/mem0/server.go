package mem0

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"lethe/store"
	"lethe/store/tables"
)

// A ServerConfig says where Mem0's self-hosted server keeps its rows, and what
// a purge may do.
type ServerConfig struct {
	PostgresConfig
	AppDSN  string // of the database mem0_app, with the request log; "" to leave it alone
	Rewrite bool   // the store is a store.Purger: see tables.Rewriter
}

// OpenServer opens what [OpenPostgres] does, and the request log of the app
// database, whose paths name users and memories. The store returned is a
// store.Checker and a store.Limiter too.
func OpenServer(ctx context.Context, c ServerConfig) (_ store.Store, err error) {
	memories, err := OpenPostgres(ctx, c.PostgresConfig)
	if err != nil {
		return nil, err
	}
	s := &server{Postgres: memories}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", KindPostgres, err), s.Close())
		}
	}()
	if c.AppDSN != "" {
		if s.logs, err = tables.OpenPostgres(ctx, requestLog(c.AppDSN)); err != nil {
			return nil, fmt.Errorf("app database: %w", err)
		}
	}
	if !c.Rewrite {
		return s, nil
	}
	return s.rewriting(ctx)
}

// A server is Mem0's tables and, if it is told of them, the rows of the request
// log in another database.
type server struct {
	*tables.Postgres
	logs *tables.Postgres // or nil
}

// Close implements store.Store.
func (s *server) Close() error {
	if s.logs == nil {
		return s.Postgres.Close()
	}
	return errors.Join(s.Postgres.Close(), s.logs.Close())
}

// Check implements store.Checker.
func (s *server) Check(ctx context.Context) ([]store.Finding, error) {
	findings, err := s.Postgres.Check(ctx)
	if err != nil || s.logs == nil {
		return findings, err
	}
	more, err := s.logs.Check(ctx)
	return append(findings, more...), err
}

// MapVersion implements store.Mapper.
func (s *server) MapVersion() string {
	if s.logs == nil {
		return s.Postgres.MapVersion()
	}
	return s.Postgres.MapVersion() + "+" + s.logs.MapVersion()
}

// Unreached implements store.Limiter.
func (s *server) Unreached(sel store.Selector) []string {
	places := s.Postgres.Unreached(sel)
	if s.logs != nil && (sel.ByID() || len(sel.Metadata) > 0 || sel.ByAge() && !sel.Orphaned) {
		places = append(slices.Clone(places), requests)
	}
	return places
}

// Find implements store.Store.
func (s *server) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	if s.logs == nil {
		return s.Postgres.Find(ctx, sel)
	}
	return func(yield func(store.ID, error) bool) {
		found := make(map[store.ID]bool) // of an explicit list
		for id, err := range s.Postgres.Find(ctx, sel) {
			if sel.ByID() {
				found[id] = true
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
		s.findLogged(ctx, sel, found, yield)
	}
}

// findLogged yields the rows that name whom sel asks for, and the memories of
// an explicit list that rows name and nothing else has.
func (s *server) findLogged(ctx context.Context, sel store.Selector, found map[store.ID]bool, yield func(store.ID, error) bool) {
	asked := canonical(sel.IDs)
	whom, ok := whole(sel)
	if !ok && len(asked) == 0 {
		return
	}
	for row, err := range s.logs.Texts(ctx, requests, logColumn, false) {
		if err != nil {
			yield(store.ID{}, fmt.Errorf("find: %w", err))
			return
		}
		n, names := named(row.Text)
		id := store.ID{Place: requests, Key: row.Key}
		if n.kind == ofMemory {
			id = store.ID{Place: memoriesPlace, Key: n.id}
		}
		wanted := names && (ok && n == whom || n.kind == ofMemory && asked[n.id])
		if !wanted || found[id] {
			continue
		}
		if n.kind == ofMemory {
			found[id] = true
		}
		if !yield(id, nil) {
			return
		}
	}
}

// canonical are those of IDs that are memories', as the database writes them.
func canonical(ids []string) map[string]bool {
	all := make(map[string]bool)
	for _, id := range ids {
		if n, ok := named("/memories/" + id); ok && len(id) == len(n.id) {
			all[n.id] = true
		}
	}
	return all
}

// Erase implements store.Store. The rows of the log go first: what a crash
// leaves is memories that a Find still finds, never rows that name memories
// which nobody has.
func (s *server) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	if s.logs == nil {
		return s.Postgres.Erase(ctx, ids)
	}
	if err := s.known(ids); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	var receipt store.Receipt
	err := s.logs.Alone(ctx, func() (err error) {
		receipt, err = s.erase(ctx, ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return receipt, nil
}

func (s *server) known(ids []store.ID) error {
	if len(ids) > store.MaxBatch {
		return fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, len(ids), store.MaxBatch)
	}
	for _, id := range ids {
		if !slices.Contains([]string{requests, memoriesPlace, "entities", "messages"}, id.Place) || id.Key == "" {
			return fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
	}
	return nil
}

func (s *server) erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	outcome := make(map[store.ID]store.Outcome, len(ids))
	going, err := s.leave(ctx, ids, outcome)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	logged, rest := divided(going)
	rows, err := s.rowsOf(ctx, rest, false)
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	theirs := store.WithoutStill(ctx) // of what hangs on others nobody asks
	if err := eraseFrom(theirs, s.logs, logged, outcome); err != nil {
		return nil, err
	}
	gone := make(map[store.ID]store.Outcome, len(rows))
	if err := eraseFrom(theirs, s.logs, slices.Collect(maps.Keys(rows)), gone); err != nil {
		return nil, err
	}
	for row, memory := range rows {
		if gone[row] == store.Erased {
			outcome[memory] = store.Erased
		}
	}
	if err := eraseFrom(ctx, s.Postgres, rest, outcome); err != nil {
		return nil, err
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		receipt[i] = outcome[id]
	}
	return receipt, nil
}

// eraseFrom erases in one database, and notes what became of each ID unless
// more of it was erased elsewhere.
func eraseFrom(ctx context.Context, in store.Store, ids []store.ID, outcome map[store.ID]store.Outcome) error {
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		receipt, err := in.Erase(ctx, batch)
		if err != nil {
			return err
		}
		for i, id := range batch {
			if outcome[id] != store.Erased || receipt[i] == store.Kept {
				outcome[id] = receipt[i]
			}
		}
	}
	return nil
}

// divided parts the IDs of the log from the others.
func divided(ids []store.ID) (logged, rest []store.ID) {
	for _, id := range ids {
		if id.Place == requests {
			logged = append(logged, id)
		} else {
			rest = append(rest, id)
		}
	}
	return logged, rest
}

// rowsOf returns the rows of the log that hang on memories, with those.
func (s *server) rowsOf(ctx context.Context, ids []store.ID, again bool) (map[store.ID]store.ID, error) {
	asked := make(map[string]bool)
	for _, id := range ids {
		if id.Place == memoriesPlace {
			asked[id.Key] = true
		}
	}
	rows := make(map[store.ID]store.ID)
	if len(asked) == 0 {
		return rows, nil
	}
	for row, err := range s.logs.Texts(ctx, requests, logColumn, again) {
		if err != nil {
			return nil, err
		}
		if n, ok := named(row.Text); ok && n.kind == ofMemory && asked[n.id] {
			rows[store.ID{Place: requests, Key: row.Key}] = store.ID{Place: memoriesPlace, Key: n.id}
		}
	}
	return rows, nil
}

// Matching implements store.Matcher. A row of the log that names a memory hangs
// on it, and one that names a person is the person's.
func (s *server) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if s.logs == nil {
		return s.Postgres.Matching(ctx, sel, ids)
	}
	if err := s.known(ids); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	logged, rest := divided(ids)
	found, err := s.Postgres.Matching(ctx, sel, rest)
	if err != nil {
		return nil, err
	}
	held := make(map[store.ID]bool)
	for _, id := range found {
		held[id] = true
	}
	if err := s.matchingLogged(ctx, sel, logged, rest, held); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	var list []store.ID
	for _, id := range ids {
		if held[id] {
			list = append(list, id)
			delete(held, id)
		}
	}
	return list, nil
}

// matchingLogged adds the rows that name whom sel means, and the memories of an
// explicit list that rows name.
func (s *server) matchingLogged(ctx context.Context, sel store.Selector, logged, rest []store.ID, held map[store.ID]bool) error {
	asked := canonical(sel.IDs)
	whom, ok := whole(sel)
	among := make(map[store.ID]bool, len(logged)+len(rest))
	for _, id := range slices.Concat(logged, rest) {
		among[id] = true
	}
	if ok && len(logged) == 0 || !ok && len(asked) == 0 {
		return nil
	}
	for row, err := range s.logs.Texts(ctx, requests, logColumn, true) {
		if err != nil {
			return err
		}
		n, names := named(row.Text)
		id := store.ID{Place: requests, Key: row.Key}
		if names && n.kind == ofMemory {
			id = store.ID{Place: memoriesPlace, Key: n.id}
		}
		if names && among[id] && (ok && n == whom || n.kind == ofMemory && asked[n.id]) {
			held[id] = true
		}
	}
	return nil
}

// Remaining implements store.Store.
func (s *server) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	if s.logs == nil {
		return s.Postgres.Remaining(ctx, ids)
	}
	if err := s.known(ids); err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	logged, rest := divided(ids)
	rows, err := s.rowsOf(ctx, rest, true)
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	left := make(map[store.ID]bool)
	for _, memory := range rows {
		left[memory] = true
	}
	for in, some := range map[*tables.Postgres][]store.ID{s.logs: logged, s.Postgres: rest} {
		found, err := in.Remaining(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			left[id] = true
		}
	}
	var remaining []store.ID
	for _, id := range ids {
		if left[id] {
			remaining = append(remaining, id)
			delete(left, id)
		}
	}
	return remaining, nil
}
