package web

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// Find implements store.Store. The memories come first, then what is related to
// them, then the entity, which goes when none of its memories is left. It waits
// for writes that are queued for who is selected.
func (p *Platform) Find(ctx context.Context, sel store.Selector) iter.Seq2[store.ID, error] {
	return func(yield func(store.ID, error) bool) {
		ids, err := p.find(ctx, sel)
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

func (p *Platform) find(ctx context.Context, sel store.Selector) ([]store.ID, error) {
	if err := valid(ctx, sel); err != nil {
		return nil, err
	}
	if err := p.settled(ctx, sel); err != nil {
		return nil, err
	}
	s, err := p.survey(ctx, sel)
	if err != nil {
		return nil, err
	}
	ids := make([]store.ID, 0, len(s.found)+1)
	for _, m := range s.selected(sel) {
		ids = append(ids, store.ID{Place: memories, Key: m.id})
	}
	if s.names = naming(sel); len(s.names) > 0 {
		known, err := p.known(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range s.names {
			if known[e.key()] {
				ids = append(ids, store.ID{Place: entities, Key: e.key()})
			}
		}
	}
	return ids, nil
}

func valid(ctx context.Context, sel store.Selector) error {
	if err := errors.Join(sel.Validate(), sel.Ageless()); err != nil {
		return err
	}
	if n := len(sel.IDs); n > store.MaxBatch {
		return tooMany(n)
	}
	return ctx.Err()
}

func tooMany(n int) error {
	return fmt.Errorf("%w: %d ids at once, at most %d", store.ErrRefused, n, store.MaxBatch)
}

// naming returns the entities that sel names, each once.
func naming(sel store.Selector) []entity {
	if e, ok := entityOf(sel); ok {
		return []entity{e}
	}
	var all []entity
	for _, id := range sel.IDs {
		if e, ok := entityKey(id); ok && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	return all
}

// A survey is what one selector means in the Platform.
type survey struct {
	found          []memory // selected
	related        []memory // about who is selected, and not selected
	names          []entity
	unattributable int // about them or about others who took part in the same run
}

// selected is what Find yields.
func (s *survey) selected(sel store.Selector) []memory {
	if !sel.Related {
		return s.found
	}
	return append(slices.Clip(s.found), s.related...)
}

func (p *Platform) survey(ctx context.Context, sel store.Selector) (s survey, err error) {
	if sel.ByID() {
		if s.found, err = p.look(ctx, sel.IDs); err != nil {
			return s, err
		}
		s.related, err = p.superseded(ctx, s.found)
		return s, err
	}
	if s.found, err = p.matching(ctx, sel); err != nil {
		return s, err
	}
	s.related, s.unattributable, err = p.saidAbout(ctx, sel, s.found)
	return s, err
}

// matching returns the memories that sel, which lists no IDs, selects: those of
// the list, and those that only search has. One that search shows although it is
// gone is among them, so that nothing is certified before search forgets it.
func (p *Platform) matching(ctx context.Context, sel store.Selector) ([]memory, error) {
	conditions := asked(sel)
	listed, err := p.list(ctx, conditions...)
	if err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(listed, func(m memory) bool { return !m.matches(sel) && !bug("platform/whatever-is-listed") })
	seen := make(map[string]bool, len(found))
	for _, m := range found {
		seen[m.id] = true
	}
	for _, filter := range p.scopes(conditions) {
		hits, err := p.search(ctx, filter)
		if err != nil {
			return nil, err
		}
		for _, hit := range hits {
			if seen[hit.ID] || hit.contradicts(sel) {
				continue
			}
			seen[hit.ID] = true
			m, there, err := p.get(ctx, hit.ID)
			switch {
			case err != nil:
				return nil, err
			case !there:
				found = append(found, memory{id: hit.ID})
			case m.matches(sel):
				found = append(found, m)
			}
		}
	}
	return found, nil
}

// plainKey is a metadata key that can be nothing but a name.
var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// asked is what to filter by for sel. Of metadata only texts under plain names are
// left to the API; numbers and truths it may compare in its own way, so it is
// asked for more, and all is compared again here.
func asked(sel store.Selector) []condition {
	var all []condition
	for _, f := range sel.Identity() {
		all = append(all, condition{f.Name: f.Value})
	}
	if len(all) == 0 {
		all = append(all, anyone())
	}
	for _, key := range sel.MetadataKeys() {
		if v := sel.Metadata[key]; v.Kind() == store.KindString && plainKey.MatchString(key) {
			all = append(all, condition{"metadata": map[string]any{key: jsontext.Value(quoted(v.Literal()))}})
		}
	}
	return all
}

func quoted(text string) []byte {
	b, err := jsontext.AppendQuote(nil, text)
	if err != nil { // not UTF-8: it has been validated
		return []byte(`""`)
	}
	return b
}

// fewIDs is up to how many IDs that the list does not show are asked for one by
// one.
const fewIDs = 20

// look returns those of the memories with the IDs that are there, in the order of
// the list.
func (p *Platform) look(ctx context.Context, ids []string) ([]memory, error) {
	missing := map[string]bool{}
	var want []string
	for _, id := range ids {
		if canonical(id) && !missing[id] {
			missing[id] = true
			want = append(want, id)
		}
	}
	var found []memory
	for some := range slices.Chunk(want, listPage) {
		listed, err := p.list(ctx, condition{"memory_ids": some}, anyone())
		if err != nil {
			return nil, err
		}
		for _, m := range listed {
			if missing[m.id] {
				delete(missing, m.id)
				found = append(found, m)
			}
		}
	}
	if len(missing) > fewIDs {
		return found, nil
	}
	for _, id := range want {
		if !missing[id] {
			continue
		}
		m, there, err := p.get(ctx, id)
		if err != nil {
			return nil, err
		}
		if there {
			found = append(found, m)
		}
	}
	return found, nil
}

// Count implements store.Store.
func (p *Platform) Count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (store.Census, error) {
	c, err := p.count(ctx, sels)
	if err != nil {
		return store.Census{}, fmt.Errorf("count: %w", err)
	}
	return c, nil
}

func (p *Platform) count(ctx context.Context, sels iter.Seq2[store.Selector, error]) (c store.Census, err error) {
	found, named := 0, map[entity]bool{}
	for sel, err := range sels {
		if err != nil {
			return c, err
		}
		if err := valid(ctx, sel); err != nil {
			return c, err
		}
		s, err := p.survey(ctx, sel)
		if err != nil {
			return c, err
		}
		found += len(s.selected(sel))
		c.Related += len(s.related)
		c.Unattributable += s.unattributable
		for _, e := range naming(sel) {
			named[e] = true
		}
	}
	total, err := p.total(ctx)
	if err != nil {
		return c, err
	}
	known, err := p.known(ctx)
	if err != nil {
		return c, err
	}
	there := 0
	for e := range named {
		if known[e.key()] {
			there++
		}
	}
	c.Places = []store.PlaceCount{
		{Place: memories, Found: found, Total: max(total, found)},
		{Place: entities, Found: there, Total: len(known)},
	}
	return c, nil
}
