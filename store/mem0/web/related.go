package web

import (
	"context"
	"slices"

	"lethe/store"
)

// runsAtOnce is how many runs a filter names.
const runsAtOnce = 100

// saidAbout returns what an agent said in the runs of the user that sel selects:
// such facts have no user. Where others took part in a run it cannot be told about
// whom they are; those are counted and left.
func (p *Platform) saidAbout(ctx context.Context, sel store.Selector, found []memory) (about []memory, unattributable int, err error) {
	if sel.UserID == "" {
		return nil, 0, nil
	}
	var runs []any
	seen := map[string]bool{"": true}
	for _, m := range found {
		if run := m.of["run_id"]; !seen[run] {
			seen[run] = true
			runs = append(runs, run)
		}
	}
	others := sel
	others.UserID, others.Metadata = "", nil
	for some := range slices.Chunk(runs, runsAtOnce) {
		listed, err := p.list(ctx, condition{"run_id": condition{"in": some}})
		if err != nil {
			return nil, 0, err
		}
		shared := map[string]bool{}
		for _, m := range listed {
			if m.user() != "" && m.user() != sel.UserID {
				shared[m.of["run_id"]] = true
			}
		}
		for _, m := range listed {
			if m.user() != "" || m.of["agent_id"] == "" || !slices.Contains(some, any(m.of["run_id"])) || !m.matches(others) {
				continue
			}
			if shared[m.of["run_id"]] && !bug("platform/related-of-others") {
				unattributable++
			} else {
				about = append(about, m)
			}
		}
	}
	return about, unattributable, nil
}

// superseded returns the memories that those of a list of IDs have replaced, and
// what these had replaced: they come back into sight when their successor goes.
// Only those of the same user count or, where there is none, of the same agent,
// app and run.
func (p *Platform) superseded(ctx context.Context, found []memory) ([]memory, error) {
	gone := make(map[string]memory, len(found))
	var owners []condition
	for _, m := range found {
		gone[m.id] = m
		if owner := m.owner(); owner != nil && !slices.ContainsFunc(owners, owner.equal) {
			owners = append(owners, owner)
		}
	}
	var chain []memory
	for _, owner := range owners {
		theirs, err := p.list(ctx, owner)
		if err != nil {
			return nil, err
		}
		for again := true; again; {
			again = false
			for _, m := range theirs {
				_, known := gone[m.id]
				by, replaced := gone[m.replacedBy]
				if known || !replaced || !m.sameOwner(by) {
					continue
				}
				gone[m.id] = m
				chain = append(chain, m)
				again = true
			}
		}
	}
	return chain, nil
}

// owner is a condition that what is of the same person meets.
func (m memory) owner() condition {
	for _, name := range []string{"user_id", "run_id", "agent_id", "app_id"} {
		if v := m.of[name]; v != "" {
			return condition{name: v}
		}
	}
	return nil
}

func (c condition) equal(d condition) bool {
	for name, v := range c {
		if d[name] != v {
			return false
		}
	}
	return len(c) == len(d)
}

func (m memory) sameOwner(n memory) bool {
	if m.user() != "" || n.user() != "" {
		return m.user() == n.user()
	}
	return m.of["agent_id"] == n.of["agent_id"] && m.of["app_id"] == n.of["app_id"] && m.of["run_id"] == n.of["run_id"]
}
