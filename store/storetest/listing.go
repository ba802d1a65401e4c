package storetest

import (
	"slices"

	"lethe/store"
)

// listed compares the rows of a store.Listing with what Find yields for each whom
// they name, and with what is older than noon.
func (c contract) listed(want map[store.Field]bool) {
	c.Helper()
	s, ok := c.s.(store.Listing)
	if !ok {
		return
	}
	rows := make(map[store.ID]store.Row)
	for r, err := range s.Rows(c.ctx) {
		if err != nil {
			c.Fatal(err)
		}
		if _, twice := rows[r.ID]; twice {
			c.Errorf("a row of %s is listed twice", r.ID.Place)
		}
		rows[r.ID] = r
	}
	for f := range want {
		mine := map[store.ID]bool{}
		for _, id := range c.find(f.Selector()) {
			mine[id] = true
			if r, ok := rows[id]; !ok || !slices.Contains(r.Who, f) {
				c.Errorf("%s %q: a row of %s is not listed as theirs", f.Name, f.Value, id.Place)
			}
		}
		for id, r := range rows {
			if slices.Contains(r.Who, f) && !mine[id] {
				c.Errorf("%s %q: a row of %s is listed as theirs, and is not", f.Name, f.Value, id.Place)
			}
		}
	}
	old := map[store.ID]bool{}
	for _, id := range c.find(store.Selector{CreatedBefore: noon()}) {
		old[id] = true
	}
	for id, r := range rows {
		if c.reaches(id.Place, store.Selector{CreatedBefore: noon()}) && (!r.Made.IsZero() && r.Made.Before(noon())) != old[id] {
			c.Errorf("a row of %s made at %v is listed, and before noon found: %v", id.Place, r.Made, old[id])
		}
	}
}
