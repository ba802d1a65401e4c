package tables_test

import (
	"slices"

	"pgregory.net/rapid"

	"lethe/store"
)

// held are the keys that both selectors select.
func (w world) held(sel, hold store.Selector) []string {
	var keys []string
	for _, x := range w.things {
		if w.selects(sel, x) && w.selects(hold, x) {
			keys = append(keys, w.key(x))
		}
	}
	slices.Sort(keys)
	return keys
}

func matching(t *rapid.T, s store.Store, hold store.Selector, ids []store.ID) []string {
	held, err := s.(store.Matcher).Matching(t.Context(), hold, ids)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, id := range held {
		keys = append(keys, id.Key)
	}
	slices.Sort(keys)
	return keys
}
