package storetest

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"

	"lethe/store"
)

// Memory is an in-memory Store that can do what a Store may. Its places are messages and
// memories, and history, which hangs on memories. The zero Memory is not
// usable: see NewMemory.
type Memory struct {
	mu      sync.Mutex
	faults  Faults
	calls   map[Op]int
	rows    map[store.ID]row
	next    int
	history map[string][]string // by memory
	residue []string            // what erased rows have left in the "files"
	undone  []row               // come back with the next Find
}

type row struct {
	id     store.ID
	record Record
	order  int // of arrival
}

// NewMemory returns a Memory that holds records.
func NewMemory(records ...Record) *Memory {
	m := &Memory{calls: make(map[Op]int), rows: make(map[store.ID]row), history: make(map[string][]string)}
	m.Add(records...)
	return m
}

// Add puts records into the store. A memory of the same ID is replaced.
func (m *Memory) Add(records ...Record) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.add(records)
}

func (m *Memory) add(records []Record) {
	for _, r := range records {
		m.put(store.ID{Place: "memories", Key: r.ID}, r)
		m.history[r.ID] = append(m.history[r.ID], r.Text)
		if r.Message {
			m.put(store.ID{Place: "messages", Key: "of-" + r.ID}, r)
		}
	}
}

func (m *Memory) put(id store.ID, r Record) {
	m.remove(id)
	m.rows[id] = row{id, r, m.next}
	m.next++
}

// AddHistory writes to a memory's history, whether or not there is a memory.
func (m *Memory) AddHistory(memory, text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.history[memory] = append(m.history[memory], text)
}

// Len returns how many rows stand on their own.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.rows)
}

func (m *Memory) has(id store.ID) bool {
	_, ok := m.rows[id]
	return ok
}

// remove takes a row away, if it is there.
func (m *Memory) remove(id store.ID) {
	if r, ok := m.rows[id]; ok {
		m.residue = append(m.residue, r.record.Text)
		delete(m.rows, id)
	}
}

// Find implements store.Store.
func (m *Memory) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		ids, err := m.find(ctx, sel)
		if err != nil {
			yield(store.ID{}, fmt.Errorf("find: %w", err))
			return
		}
		for _, id := range ids {
			if err := ctx.Err(); err != nil {
				yield(store.ID{}, fmt.Errorf("find: %w", err))
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (m *Memory) find(ctx context.Context, sel store.Selector) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	if len(sel.IDs) > store.MaxBatch {
		return nil, tooMany(len(sel.IDs))
	}
	if err := m.enter(ctx, Find, nil); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.undone {
		m.put(r.id, r.record)
	}
	m.undone = nil
	var ids []store.ID
	if sel.ByID() {
		for _, key := range sel.IDs {
			if id := (store.ID{Place: "memories", Key: key}); m.left(id) && !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
		return append(ids, m.related(sel)...), nil
	}
	if sel.Orphaned {
		return m.orphans(), nil
	}
	var found []row
	for _, r := range m.rows {
		if m.selects(r, sel) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b row) int {
		// Messages first, then memories.
		return cmp.Or(-strings.Compare(a.id.Place, b.id.Place), cmp.Compare(a.order, b.order))
	})
	for _, r := range found {
		ids = append(ids, r.id)
	}
	return append(ids, m.related(sel)...), nil
}

// related returns what a Selector that says Related selects besides.
func (m *Memory) related(sel store.Selector) (ids []store.ID) {
	for id, r := range m.rows {
		if sel.Related && id.Place == "memories" && r.record.related(sel) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b store.ID) int { return strings.Compare(a.Key, b.Key) })
	return ids
}

// left reports whether anything of id is there.
func (m *Memory) left(id store.ID) bool {
	return m.has(id) || id.Place == "memories" && len(m.history[id.Key]) > 0
}

// Count implements store.Store.
func (m *Memory) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	var (
		ids   []store.ID
		about = make(map[store.ID]bool)
	)
	for sel, err := range sels {
		if err != nil {
			return store.Census{}, fmt.Errorf("count: %w", err)
		}
		m.mu.Lock()
		for id, r := range m.rows {
			if id.Place == "memories" && r.record.related(sel) {
				about[id] = true
			}
		}
		m.mu.Unlock()
		some, err := m.find(ctx, sel)
		if err != nil {
			return store.Census{}, fmt.Errorf("count: %w", err)
		}
		ids = append(ids, some...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	found := make(map[string]int)
	picked := make(map[store.ID]bool)
	orphans := 0
	for _, id := range ids {
		picked[id] = true
		found[id.Place]++
		if id.Place == "memories" {
			found["history"] += len(m.history[id.Key])
		}
	}
	total := make(map[string]int)
	for id := range m.rows {
		total[id.Place]++
	}
	for key, h := range m.history {
		total["history"] += len(h)
		id := store.ID{Place: "memories", Key: key}
		if !m.has(id) && !picked[id] {
			orphans += len(h)
		}
	}
	return store.Census{Unattributable: orphans, Related: len(about), Places: []store.PlaceCount{
		{Place: "messages", Found: found["messages"], Total: total["messages"]},
		{Place: "memories", Found: found["memories"], Total: total["memories"]},
		{Place: "history", Found: found["history"], Total: total["history"], With: "memories"},
	}}, nil
}

// Remaining implements store.Store.
func (m *Memory) Remaining(ctx context.Context, ids []store.ID) ([]store.ID, error) {
	if err := m.enter(ctx, Remaining, ids); err != nil {
		return nil, fmt.Errorf("remaining: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var remaining []store.ID
	seen := make(map[store.ID]bool)
	for _, id := range ids {
		if m.left(id) && !seen[id] {
			remaining = append(remaining, id)
		}
		seen[id] = true
	}
	return remaining, nil
}

// MapVersion implements store.Mapper.
func (m *Memory) MapVersion() string { return "memory v1" }

// Check implements store.Checker.
func (m *Memory) Check(ctx context.Context) ([]store.Finding, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return []store.Finding{
		{Place: "messages", Table: "messages"}, {Place: "memories", Table: "memories"}, {Place: "history", Table: "history"},
	}, nil
}

// Close implements store.Store. The Memory stays usable.
func (m *Memory) Close() error { return nil }

func tooMany(n int) error {
	return fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, n, store.MaxBatch)
}
