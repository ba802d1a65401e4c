//go:build torture

package main

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/store"
)

// judgeOthers compares the rows that the request is not about with what they
// were. What the store took away by itself, the book must have noticed, and
// nothing of it may have been asked for.
func (l *lies) judgeOthers(s *liar, before map[store.ID]string) error {
	for id := range s.asked {
		if _, others := before[id]; others && !s.misled[id] {
			return fmt.Errorf("the store was told to erase a row of somebody else")
		}
	}
	lost := 0
	for id, user := range before {
		if now, ok := s.rows[id]; ok && now == user {
			continue
		}
		if lost++; !s.excess[id] && !s.misled[id] {
			return fmt.Errorf("a row of somebody else is gone, and not by the store's own doing")
		}
	}
	was := func(id store.ID) bool { _, was := before[id]; return was } // and did not arrive meanwhile
	if lost == 0 && slices.ContainsFunc(slices.Collect(maps.Keys(s.excess)), was) {
		return fmt.Errorf("the store erased too much and the book did not notice")
	}
	l.tally("others' rows that a store took by itself, all noticed", lost)
	return nil
}

// judgeStore compares a certificate with the ledger and with what is true.
func (l *lies) judgeStore(r jobs.Request, j jobs.Job, c proof.StoreProof) error {
	if c.Erased != j.Erased || c.Absent != j.Absent || c.Found != j.Found || c.Requested != j.Requested || c.Batches != j.BatchesTotal || c.Held != j.Held {
		return fmt.Errorf("the certificate says %+v and the ledger %+v", c, j)
	}
	if j.VerifiedAt == nil || r.CompletedAt == nil {
		return fmt.Errorf("completed and never verified")
	}
	s := l.stores[j.Store]
	for _, one := range s.lives {
		if one.from.After(*j.VerifiedAt) || !one.to.IsZero() && one.to.Before(*j.VerifiedAt) || !l.promised(s, one) {
			continue
		}
		if why := s.excuse(one, *j.VerifiedAt); why != "" {
			return fmt.Errorf("certified while a row of the subject was there: %s", why)
		}
		l.tally("rows hidden on every path (beyond what can be known)", 1)
	}
	if slices.ContainsFunc(spoils(), func(k string) bool { return s.done[k] > 0 }) {
		return nil
	}
	erased := 0
	for _, n := range s.erasures {
		erased += n
	}
	// A row that comes back between two tries of one batch is erased twice and
	// counted once; and what one worker is told is held, another, which had lost
	// its lease in the middle of the same call, may still have erased.
	again := s.done["erase-resurrects"]+s.done["erase-history"]+s.done["erase-holds"] > 0
	if c.Erased > erased || c.Erased < erased && !again {
		return fmt.Errorf("the certificate says %d erased, and it was %d", c.Erased, erased)
	}
	return nil
}

// promised reports whether the certificate says of something that it is gone:
// what the selector selects, and all that hangs on a row that was planned.
func (l *lies) promised(s *liar, one lifespan) bool {
	if len(l.keys) > 0 {
		return one.id.Place == "memories" && slices.Contains(l.keys, one.id.Key)
	}
	if s.asked[one.id] {
		return true
	}
	return !one.history && l.own[one.user]
}

// excuse returns "" if the store hid something on every path by which it was
// read after a moment, and otherwise how Lethe could have known of it.
func (l *liar) excuse(one lifespan, since time.Time) string {
	found, counted, read := false, false, false
	for _, sh := range l.showings {
		if !sh.at.After(since) || !one.to.IsZero() && sh.at.After(one.to) {
			continue
		}
		switch sh.path {
		case "find":
			found = true
			if sh.shown[one.id] {
				return "find showed it"
			}
		case "count":
			counted = true
			// A stranger's row that Find yielded is none that Count could count.
			if !sh.low && !one.history && (l.subject(one.user) || l.selected(one.id.Key)) {
				return "count counted it"
			}
		case "remaining":
			if sh.about[one.id] {
				read = true
				if sh.shown[one.id] {
					return "remaining showed it"
				}
			}
		}
	}
	switch {
	case !found:
		return "find was not asked"
	case !counted:
		return "count was not asked"
	case l.asked[one.id] && !read:
		return "remaining was not asked"
	}
	return ""
}
