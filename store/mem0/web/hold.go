package web

import (
	"context"
	"fmt"

	"lethe/store"
)

// Matching implements store.Matcher. With a memory that sel selects it holds the
// entities that the memory is of: they go when it has gone.
func (p *Platform) Matching(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	held, err := p.held(ctx, sel, ids)
	if err != nil {
		return nil, fmt.Errorf("matching: %w", err)
	}
	return held, nil
}

func (p *Platform) held(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, err
	}
	if err := acceptable(ctx, ids); err != nil {
		return nil, err
	}
	selects := selecting(sel)
	var keys []string
	there := map[string]bool(nil)
	for _, id := range ids {
		switch {
		case id.Place == memories:
			keys = append(keys, id.Key)
		case there == nil:
			var err error
			if there, err = p.known(ctx); err != nil {
				return nil, err
			}
		}
	}
	found, err := p.look(ctx, keys)
	if err != nil {
		return nil, err
	}
	is := map[store.ID]bool{}
	for _, m := range found {
		is[store.ID{Place: memories, Key: m.id}] = selects(m)
	}
	var held []store.ID
	seen := map[store.ID]bool{}
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if e, ok := entityKey(id.Key); ok && id.Place == entities && there[id.Key] {
			if is[id], err = p.holds(ctx, sel, e, selects); err != nil {
				return nil, err
			}
		}
		if is[id] {
			held = append(held, id)
		}
	}
	return held, nil
}

// selecting returns how to tell whether sel selects a memory.
func selecting(sel store.Selector) func(memory) bool {
	if !sel.ByID() {
		return func(m memory) bool { return m.matches(sel) }
	}
	listed := make(map[string]bool, len(sel.IDs))
	for _, id := range sel.IDs {
		listed[id] = true
	}
	return func(m memory) bool { return listed[m.id] }
}

// holds reports whether sel names e, or selects a memory of e.
func (p *Platform) holds(ctx context.Context, sel store.Selector, e entity, selects func(memory) bool) (bool, error) {
	for _, named := range naming(sel) {
		if named == e {
			return true, nil
		}
	}
	conditions := []condition{{e.field(): e.Name}}
	if !sel.ByID() {
		for _, f := range sel.Identity() {
			if f.Name != e.field() {
				conditions = append(conditions, condition{f.Name: f.Value})
			} else if f.Value != e.Name {
				return false, nil
			}
		}
	}
	theirs, err := p.list(ctx, conditions...)
	if err != nil {
		return false, err
	}
	for _, m := range theirs {
		if selects(m) {
			return true, nil
		}
	}
	return false, nil
}
