package storetest_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"lethe/store"
)

// Notes keeps each memory in a file of a folder, named by its ID in hexadecimal.
type Notes struct{ Dir string }

// A Note is what such a file says. Metadata has kind and literal of a value.
type Note struct {
	Owner, Text string
	Metadata    map[string]string
}

func (n Notes) path(key string) string {
	return filepath.Join(n.Dir, hex.EncodeToString([]byte(key)))
}

// Find implements store.Store.
func (n Notes) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		keys, err := n.keys(ctx)
		if err = errors.Join(sel.Validate(), sel.Ageless(), few(len(sel.IDs)), err); err != nil {
			yield(store.ID{}, fmt.Errorf("find: %w", err))
			return
		}
		for _, key := range keys {
			selected, err := n.selected(ctx, key, sel)
			if err != nil {
				yield(store.ID{}, fmt.Errorf("find: %w", err))
			}
			if err != nil || selected && !yield(store.ID{Place: "memories", Key: key}, nil) {
				return
			}
		}
	}
}

// selected compares exactly and by type. Notes have an owner and metadata, so a
// selector with another key selects none. A file that has gone is no error.
func (n Notes) selected(ctx context.Context, key string, sel store.Selector) (bool, error) {
	var note Note
	text, err := os.ReadFile(n.path(key))
	switch {
	case ctx.Err() != nil || errors.Is(err, fs.ErrNotExist):
		return false, ctx.Err()
	case err != nil || json.Unmarshal(text, &note) != nil:
		return false, errors.New("a note cannot be read") // the error's own text names it
	case sel.ByID():
		return slices.Contains(sel.IDs, key), nil
	}
	for k, v := range sel.Metadata {
		if note.Metadata[k] != string(v.Kind())+v.Literal() {
			return false, nil
		}
	}
	return sel.AgentID+sel.AppID+sel.RunID == "" && (sel.UserID == "" || sel.UserID == note.Owner), nil
}

// Count implements store.Store.
func (n Notes) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	all, err := n.keys(ctx)
	if err != nil {
		return store.Census{}, fmt.Errorf("count: %w", err)
	}
	census := store.Census{Places: []store.PlaceCount{{Place: "memories", Total: len(all)}}}
	for sel, err := range sels {
		if err != nil {
			return store.Census{}, err
		}
		for _, err := range n.Find(ctx, sel) {
			if err != nil {
				return store.Census{}, fmt.Errorf("count: %w", err)
			}
			census.Places[0].Found++
		}
	}
	return census, nil
}

// Erase implements store.Store. If two erase one note, one of them removes it.
func (n Notes) Erase(ctx context.Context, ids []store.ID) (store.Receipt, error) {
	receipt := make(store.Receipt, len(ids))
	err := errors.Join(known(ids), ctx.Err())
	for i := 0; i < len(ids) && err == nil; i++ {
		err = os.Remove(n.path(ids[i].Key))
		switch {
		case err == nil:
			receipt[i] = store.Erased
		case errors.Is(err, fs.ErrNotExist):
			receipt[i], err = store.Absent, nil
		default:
			err = errors.New("a note cannot be removed")
		}
	}
	if err == nil {
		err = sync(n.Dir) // durable before it is said
	}
	if err != nil {
		return nil, fmt.Errorf("erase: %w", err)
	}
	return receipt, nil
}

// Remaining implements store.Store. It lists the folder, which Erase does not.
func (n Notes) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	keys, err := n.keys(ctx)
	if err := errors.Join(known(ids), err); err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	gone := func(id store.ID) bool { return !slices.Contains(keys, id.Key) }
	return slices.DeleteFunc(slices.Clone(ids), gone), nil
}

// Close implements store.Store.
func (Notes) Close() error { return nil }
