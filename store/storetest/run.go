package storetest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"lethe/store"
)

// A Fixture is an empty store, and the means to write to it and to look at it
// that do not belong to the Store under test.
type Fixture interface {
	// Store returns the store under test, open.
	Store() store.Store

	// Add writes records as the application would, with all that hangs on
	// them. A record whose ID is there may be an error.
	Add(ctx context.Context, records ...Record) error

	// AddHistory writes one more row to the history of a memory, or returns
	// errors.ErrUnsupported where nothing hangs on memories.
	AddHistory(ctx context.Context, memory, text string) error

	// Rows returns what every row of every table holds, by a name that stays
	// the row's own when others go.
	Rows(ctx context.Context) (map[string]string, error)

	// Bytes returns what all files of the store hold, journals too.
	Bytes(ctx context.Context) ([]byte, error)
}

// A Gatherer is a Fixture of a store with a place whose rows stand for all
// memories of somebody, and can go only when these have: a hold on one of the
// memories holds such a row too.
type Gatherer interface{ Gathers() (place string) }

// Short is a Fixture of a store behind an API that lists no more than so many
// memories, and has no second page. Find yields those; the rest once they are
// gone.
type Short interface{ Listed() int }

// Run holds a Store to its contract. Each call of open returns a new Fixture.
func Run(t *testing.T, open func(t *testing.T) Fixture) {
	promises := []struct {
		name string
		keep func(c contract)
	}{
		{"FindSeesEveryPlace", findSeesEveryPlace},
		{"FindMatchesByType", findMatchesByType},
		{"FindByIDSeesWhatIsLeft", findByIDSeesWhatIsLeft},
		{"FindMayBeLeftEarly", findMayBeLeftEarly},
		{"NeighboursAreUntouched", neighboursAreUntouched},
		{"SizesAroundABatch", sizesAroundABatch},
		{"CountEqualsFind", countEqualsFind},
		{"CountChangesNothing", countChangesNothing},
		{"MatchingEqualsFind", matchingEqualsFind},
		{"WhatLinksIsHeld", whatLinksIsHeld},
		{"MatchingChangesNothing", matchingChangesNothing},
		{"CountKnowsTheWhole", countKnowsTheWhole},
		{"RefusesEmptySelector", refusesEmptySelector},
		{"BatchOverLimitIsRefused", batchOverLimitIsRefused},
		{"UnknownPlaceIsRefused", unknownPlaceIsRefused},
		{"EraseIsIdempotent", eraseIsIdempotent},
		{"KeysAreExact", keysAreExact},
		{"OthersAreUntouched", othersAreUntouched},
		{"TellsWhatGoesAlong", tellsWhatGoesAlong},
		{"HistoryWrittenLaterGoesToo", historyWrittenLaterGoesToo},
		{"RemainingSeesWhatEraseMissed", remainingSeesWhatEraseMissed},
		{"ConcurrentErasesAgree", concurrentErasesAgree},
		{"StopsOnCancel", stopsOnCancel},
		{"ErrorsNameNobody", errorsNameNobody},
		{"LeavesNoCopy", leavesNoCopy},
		{"AgeIsNotIgnored", ageIsNotIgnored},
		{"SelectsByAgeExactly", selectsByAgeExactly},
		{"AnUnreadableTimeIsNeverOld", anUnreadableTimeIsNeverOld},
		{"WhatIsNotSelectedIsKept", whatIsNotSelectedIsKept},
		{"OrphansAreFoundAndNothingElse", orphansAreFoundAndNothingElse},
		{"IdentifiersAreAll", identifiersAreAll},
		{"CheckFindsNoProblem", checkFindsNoProblem},
	}
	for _, p := range promises {
		t.Run(p.name, func(t *testing.T) {
			f := open(t)
			p.keep(contract{t, t.Context(), f, f.Store()})
		})
	}
}

// A contract is one promise put to the test.
type contract struct {
	*testing.T
	ctx context.Context
	fix Fixture
	s   store.Store
}

// marker stands in everything that is alice's, and in nothing else.
const marker = "SECRET-alice"

// of returns n records of a user, every one of whose texts holds SECRET-user.
func of(user string, n int) []Record {
	records := make([]Record, n)
	for i := range records {
		id := user + "-" + string(rune('a'+i%26)) + "-" + itoa(i)
		records[i] = Record{ID: id, UserID: user, Text: "SECRET-" + user + " is number " + itoa(i)}
		if i%3 == 0 {
			records[i].Entities = []string{"SECRET-" + user + " knows " + itoa(i%2)}
			records[i].Message = true
		}
	}
	return records
}

func (c contract) add(records ...Record) {
	c.Helper()
	if err := c.fix.Add(c.ctx, records...); err != nil {
		c.Fatalf("add: %v", err)
	}
}

func (c contract) find(sel store.Selector) []store.ID {
	c.Helper()
	var ids []store.ID
	for id, err := range c.s.Find(c.ctx, sel) {
		if err != nil {
			c.Fatalf("find: %v", err)
		}
		ids = append(ids, id)
	}
	return ids
}

// memories returns the keys of the memories that sel selects, sorted.
func (c contract) memories(sel store.Selector) []string {
	c.Helper()
	keys := []string{}
	for _, id := range c.find(sel) {
		if id.Place == "memories" {
			keys = append(keys, id.Key)
		}
	}
	slices.Sort(keys)
	return keys
}

// erase erases ids in batches and returns the whole receipt.
func (c contract) erase(ids []store.ID) store.Receipt {
	c.Helper()
	var all store.Receipt
	for batch := range slices.Chunk(ids, store.MaxBatch) {
		r, err := c.s.Erase(c.ctx, batch)
		if err != nil {
			c.Fatalf("erase: %v", err)
		}
		if len(r) != len(batch) {
			c.Fatalf("receipt has %d outcomes for %d ids", len(r), len(batch))
		}
		all = append(all, r...)
	}
	return all
}

func (c contract) remaining(ids []store.ID) []store.ID {
	c.Helper()
	left, err := c.s.Remaining(c.ctx, ids)
	if err != nil {
		c.Fatalf("remaining: %v", err)
	}
	return left
}

func (c contract) rows() map[string]string {
	c.Helper()
	rows, err := c.fix.Rows(c.ctx)
	if err != nil {
		c.Fatalf("rows: %v", err)
	}
	return rows
}

// history writes to a memory's history, or skips the promise.
func (c contract) history(memory, text string) {
	c.Helper()
	err := c.fix.AddHistory(c.ctx, memory, text)
	if errors.Is(err, errors.ErrUnsupported) {
		c.Skip("nothing hangs on memories here")
	}
	if err != nil {
		c.Fatalf("add history: %v", err)
	}
}
