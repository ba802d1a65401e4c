package storetest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"lethe/store"
)

// latest is the last instant that a text can mean, for a Memory: a time with or
// without an offset, or a date. It reads no fraction of a second.
func latest(text string) (time.Time, bool) {
	const west = 12 * time.Hour
	for layout, late := range map[string]time.Duration{
		time.RFC3339: time.Second, "2006-01-02 15:04:05": west + time.Second, time.DateOnly: west + 24*time.Hour,
	} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1990 {
			return t.Add(late - 1).UTC(), true
		}
	}
	return time.Time{}, false
}

// A reason is whether and how a row's times bear on a selector.
type reason byte

const (
	tooYoung reason = iota
	unread
	oldEnough
)

// before compares a time that a row says with a cut-off; the zero time is none.
func before(text string, cutoff time.Time) reason {
	at, ok := latest(text)
	switch {
	case cutoff.IsZero() || ok && at.Before(cutoff):
		return oldEnough
	case !ok:
		return unread
	}
	return tooYoung
}

// age says whether a record is as old as sel wants it. One without an end has none.
func (r Record) age(sel store.Selector) reason {
	created, expires := before(r.Created, sel.CreatedBefore), before(r.Expires, sel.ExpiredBefore)
	switch {
	case r.Expires == "" && !sel.ExpiredBefore.IsZero():
		return tooYoung
	default:
		return min(created, expires)
	}
}

// Now implements store.Sweepable.
func (m *Memory) Now(ctx context.Context) (time.Time, error) { return time.Now().UTC(), ctx.Err() }

// Span implements store.Sweepable.
func (m *Memory) Span(ctx context.Context, sel store.Selector) (oldest, newest time.Time, err error) {
	if err := sel.Validate(); err != nil {
		return oldest, newest, fmt.Errorf("span: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		text := r.record.Created
		if !sel.ExpiredBefore.IsZero() {
			text = r.record.Expires
		}
		at, ok := latest(text)
		if !ok || !sel.ByAge() || !m.selects(r, sel) {
			continue
		}
		if oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
		if at.After(newest) {
			newest = at
		}
	}
	return oldest, newest, ctx.Err()
}

// Undated implements store.Sweepable.
func (m *Memory) Undated(ctx context.Context, sel store.Selector) (map[string]int, error) {
	if err := sel.Validate(); err != nil {
		return nil, fmt.Errorf("undated: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make(map[string]int)
	for id, r := range m.rows {
		if m.means(r, sel) && r.record.age(sel) == unread {
			counts[id.Place]++
		}
	}
	return counts, ctx.Err()
}

// Kept implements store.Sweepable.
func (m *Memory) Kept(ctx context.Context, sel store.Selector, ids []store.ID) ([]store.ID, error) {
	if err := sel.Validate(); err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	if err := m.enter(ctx, Kept, ids); err != nil {
		return nil, fmt.Errorf("kept: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var kept []store.ID
	for _, id := range ids {
		if m.keeps(sel, id) && !slices.Contains(kept, id) {
			kept = append(kept, id)
		}
	}
	return kept, nil
}

// keeps reports whether a row is there and sel does not select it.
func (m *Memory) keeps(sel store.Selector, id store.ID) bool {
	r, there := m.rows[id]
	return there && !m.selects(r, sel)
}

// orphans are the memories that are gone and have a history.
func (m *Memory) orphans() []store.ID {
	var ids []store.ID
	for key := range m.history {
		if id := (store.ID{Place: "memories", Key: key}); !m.has(id) && m.left(id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b store.ID) int { return strings.Compare(a.Key, b.Key) })
	return ids
}

// Unreached implements store.Limiter. Sessions have no end.
func (m *Memory) Unreached(sel store.Selector) []string {
	if sel.ByID() || !session(sel) {
		return []string{"messages"}
	}
	return nil
}

// session reports whether sel can select a session, which is tied to no app, has no
// metadata and no end.
func session(sel store.Selector) bool {
	return sel.AppID == "" && len(sel.Metadata) == 0 && sel.ExpiredBefore.IsZero()
}

// Identifiers implements store.Identifying.
func (m *Memory) Identifiers(ctx context.Context) iter.Seq2[store.Identifier, error] {
	return func(yield func(store.Identifier, error) bool) {
		for _, id := range m.identifiers() {
			if err := ctx.Err(); err != nil {
				yield(store.Identifier{}, fmt.Errorf("identifiers: %w", err))
				return
			}
			if !yield(id, nil) {
				return
			}
		}
	}
}

func (m *Memory) identifiers() []store.Identifier {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []store.Identifier
	for id, r := range m.rows {
		for _, f := range r.record.identity() {
			if id.Place == "messages" && f.Name == "app_id" {
				continue
			}
			i := slices.IndexFunc(all, func(x store.Identifier) bool { return x.Field == f })
			if i < 0 {
				i, all = len(all), append(all, store.Identifier{Field: f})
			}
			seen(&all[i], r.record.Created)
		}
	}
	return all
}

func seen(id *store.Identifier, created string) {
	id.Rows++
	at, ok := latest(created)
	if !ok {
		id.Undated++
		return
	}
	if id.Oldest.IsZero() || at.Before(id.Oldest) {
		id.Oldest = at
	}
	if at.After(id.Newest) {
		id.Newest = at
	}
}

// Rows implements store.Listing.
func (m *Memory) Rows(ctx context.Context) iter.Seq2[store.Row, error] {
	return func(yield func(store.Row, error) bool) {
		for _, r := range m.listed() {
			if err := ctx.Err(); err != nil {
				yield(store.Row{}, fmt.Errorf("rows: %w", err))
				return
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (m *Memory) listed() []store.Row {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []store.Row
	for id, r := range m.rows {
		who := r.record.identity()
		if id.Place == "messages" {
			who = slices.DeleteFunc(who, func(f store.Field) bool { return f.Name == "app_id" })
		}
		made, _ := latest(r.record.Created)
		all = append(all, store.Row{ID: id, Who: who, Made: made})
	}
	return all
}
