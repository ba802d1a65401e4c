package web

import (
	"context"
	"fmt"

	"lethe/store"
)

// maxPasses is how often a list that changes while it is read is read again.
const maxPasses = 6

// everything reads all pages of a list, and again until one reading was of a
// list that held still: while others write and delete, rows move between pages,
// and one reading would miss some. It returns what any reading had, each once,
// in order.
func everything[T any](fetch func(page int) (page[T], error), key func(T) string) ([]T, error) {
	var all []T
	seen := map[string]bool{}
	for range maxPasses {
		still, err := onePass(fetch, key, func(one T) {
			if k := key(one); !seen[k] {
				seen[k] = true
				all = append(all, one)
			}
		})
		if err != nil {
			return nil, err
		}
		if still || bug("platform/one-reading") {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list: %w: it changes while it is read", store.ErrBusy)
}

// onePass reads all pages once. still says that no page told of another number
// of rows, and that there were as many.
func onePass[T any](fetch func(page int) (page[T], error), key func(T) string, keep func(T)) (still bool, err error) {
	distinct := map[string]bool{}
	count, rows := -1, 0
	still = true
	for n := 1; ; n++ {
		p, err := fetch(n)
		if err != nil {
			return false, err
		}
		still = still && (count < 0 || count == *p.Count)
		count = *p.Count
		for _, one := range *p.Results {
			distinct[key(one)] = true
			keep(one)
		}
		rows += len(*p.Results)
		if p.Next.Kind() == 'n' || len(*p.Results) == 0 {
			return still && len(distinct) == count, nil
		}
		if rows > 2*count+10*listPage {
			return false, fmt.Errorf("list: %w: it has no end", store.ErrSchema)
		}
	}
}

// Sizes of pages: of memories the most that the API allows.
const (
	listPage   = 200
	entityPage = 100
	eventPage  = 100
)

// A condition is one of a filter.
type condition map[string]any

// anyone is a condition that every memory meets: a filter has to name somebody.
func anyone() condition {
	return condition{"OR": []condition{{"user_id": "*"}, {"agent_id": "*"}, {"app_id": "*"}, {"run_id": "*"}}}
}

// scopes are the filters to ask with, so that none leaves out what another way of
// reading it would: a filter that does not name an identity may mean that it is
// null. The second names each, with a value that nobody has: "ne" lets null pass.
func (p *Platform) scopes(conditions []condition) []condition {
	plain := condition{"AND": conditions}
	wide := append([]condition(nil), conditions...)
	for _, name := range []string{"user_id", "agent_id", "app_id", "run_id"} {
		if !names(conditions, name) {
			wide = append(wide, condition{name: condition{"ne": p.nobody}})
		}
	}
	if len(wide) == len(conditions) {
		return []condition{plain}
	}
	return []condition{plain, {"AND": wide}}
}

func names(conditions []condition, name string) bool {
	for _, c := range conditions {
		if _, ok := c[name]; ok {
			return true
		}
		if list, ok := c["OR"].([]condition); ok && names(list, name) {
			return true
		}
	}
	return false
}

// list returns all memories that meet the conditions, by whatever scope, hidden
// ones too. The API may read a condition more widely than it is meant.
func (p *Platform) list(ctx context.Context, conditions ...condition) ([]memory, error) {
	var all []memory
	seen := map[string]bool{}
	for _, filter := range p.scopes(conditions) {
		some, err := everything(func(n int) (page[memory], error) { return p.listPage(ctx, filter, n, listPage) }, func(m memory) string { return m.id })
		if err != nil {
			return nil, err
		}
		for _, m := range some {
			if !seen[m.id] {
				seen[m.id] = true
				all = append(all, m)
			}
		}
	}
	return all, nil
}
