package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"lethe/store"
)

// Erase implements store.Store. The server deletes one memory at a time: after
// an error those before are gone. store.Leave is asked before each.
func (s *Server) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	if err := allOfServer(ids); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	select {
	case s.erasing <- struct{}{}:
		defer func() { <-s.erasing }()
	case <-ctx.Done():
		return nil, fmt.Errorf("erase: %w", ctx.Err())
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	keys := serverIDs(keysOf(ids))
	outcomes := make(store.Receipt, len(keys))
	err := eachAtOnce(keys, serverDeletes, func(i int) (err error) {
		outcomes[i], err = s.delete(ctx, keys[i])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	erased := make(map[string]bool)
	for i, key := range keys {
		erased[key] = outcomes[i] == store.Erased
	}
	receipt := make(store.Receipt, len(ids))
	for i, id := range ids {
		receipt[i] = store.Absent
		if key := serverID(id.Key); erased[key] {
			receipt[i] = store.Erased
			delete(erased, key) // what is named twice was there once
		}
	}
	return receipt, nil
}

// delete erases one memory. That there is none, the server must say itself: a
// proxy's "not found" says nothing of memories.
func (s *Server) delete(ctx context.Context, id string) (store.Outcome, error) {
	_, err := ask[serverSaid](ctx, s.client, call{
		method: http.MethodDelete, route: serverOne, args: []string{id},
		destroys: true, by: s.client.now().Add(fenceTime),
	})
	switch {
	case errors.Is(err, errNotFound):
		return store.Absent, nil
	case err != nil:
		return 0, err
	}
	return store.Erased, nil
}

// A serverSaid is the answer to a delete.
type serverSaid struct {
	Message string `json:"message"`
}

func (a *serverSaid) lacks() string {
	if !strings.HasPrefix(a.Message, "Memory deleted") {
		return "message"
	}
	return ""
}

// Remaining implements store.Store. It reads each memory.
func (s *Server) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	if err := allOfServer(ids); err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	rows, err := s.read(ctx, serverIDs(keysOf(ids)))
	if err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	return among(ids, rows, func(*serverRow) bool { return true }), nil
}

// Matching implements store.Matcher. It reads each memory rather than the list
// of whom a hold protects, which may be cut off.
func (s *Server) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	if err := allOfServer(ids); err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	listed := make(map[string]bool)
	for _, id := range serverIDs(sel.IDs) {
		listed[id] = true
	}
	var keys []string
	for _, key := range serverIDs(keysOf(ids)) {
		if !sel.ByID() || listed[key] {
			keys = append(keys, key)
		}
	}
	rows, err := s.read(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	return among(ids, rows, func(r *serverRow) bool { return sel.ByID() || r.selectedBy(sel) }), nil
}

// among returns those of ids whose memories are in rows and are meant, each
// once, in order.
func among(ids []store.ID, rows []serverRow, meant func(*serverRow) bool) (list []store.ID) {
	there := make(map[string]bool)
	for i := range rows {
		there[rows[i].ID] = meant(&rows[i])
	}
	for _, id := range ids {
		if key := serverID(id.Key); there[key] {
			list = append(list, id)
			delete(there, key)
		}
	}
	return list
}

// allOfServer refuses what no store of this kind has given out.
func allOfServer(ids []store.ID) error {
	if len(ids) > store.MaxBatch {
		return tooManyForServer(len(ids))
	}
	for _, id := range ids {
		if id.Place != serverPlace || id.Key == "" {
			return fmt.Errorf("%w: an id of no place of this store", store.ErrRefused)
		}
	}
	return nil
}

func keysOf(ids []store.ID) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = id.Key
	}
	return keys
}
