package tables_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lethe/store"
	"lethe/store/tables"
)

func heldOf(t *testing.T, s store.Store, sel store.Selector, ids ...store.ID) []string {
	t.Helper()
	held, err := s.(store.Matcher).Matching(t.Context(), sel, ids)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, id := range held {
		keys = append(keys, id.String())
	}
	slices.Sort(keys)
	return keys
}

// A row of several people is held whichever of them a hold is about: what becomes
// of it for one changes it for the others.
func TestASharedRowIsHeldForEachOfItsPeople(t *testing.T) {
	onBoth(t, func(t *testing.T, open engine) {
		const ddl = `CREATE TABLE letters (id integer PRIMARY KEY, sender text, recipient text, body text);
			INSERT INTO letters VALUES (1, 'alice', 'bob', 'x'), (2, 'alice', 'carol', 'x'), (3, 'bob', 'alice', 'x'), (4, 'alice', NULL, 'x'), (5, NULL, 'bob', 'x')`
		s, db, err := open(t, ddl, tables.Place{
			Name: "letters", File: "f", Table: "letters", ID: []string{"id"}, Explicit: true,
			Ties: &tables.Ties{Key: "user_id", Columns: []string{"sender", "recipient"}, Shared: tables.Delete},
		})
		if err != nil {
			t.Fatal(err)
		}
		var ids []store.ID
		for id, err := range s.Find(t.Context(), store.Selector{UserID: "alice"}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		for name, tt := range map[string]struct {
			hold store.Selector
			want []string
		}{
			"the other":  {store.Selector{UserID: "bob"}, []string{"letters.recipient/3", "letters.sender/1"}},
			"herself":    {store.Selector{UserID: "alice"}, []string{"letters.recipient/3", "letters.sender/1", "letters.sender/2", "letters.sender/4"}},
			"its ID":     {store.Selector{IDs: []string{"2", "9"}}, []string{"letters.sender/2"}},
			"a stranger": {store.Selector{UserID: "Bob"}, nil},
		} {
			if diff := cmp.Diff(tt.want, heldOf(t, s, tt.hold, ids...)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
		held := heldOf(t, s, store.Selector{UserID: "bob"}, ids...)
		free := slices.DeleteFunc(ids, func(id store.ID) bool { return slices.Contains(held, id.String()) })
		if _, err := s.Erase(t.Context(), free); err != nil {
			t.Fatal(err)
		}
		var left []int
		if err := db.Select(&left, `SELECT id FROM letters WHERE sender = 'bob' OR recipient = 'bob' ORDER BY id`); err != nil || !slices.Equal(left, []int{1, 3, 5}) {
			t.Errorf("bob's are %v, %v", left, err)
		}
	})
}

// A row on which a held one hangs, however far down, is held: it would go with it.
func TestARowIsHeldWithWhatHangsOnIt(t *testing.T) {
	onBoth(t, func(t *testing.T, open engine) {
		const ddl = `CREATE TABLE rooms (id text PRIMARY KEY, owner text);
			CREATE TABLE talks (id integer PRIMARY KEY, room text);
			CREATE TABLE words (id integer PRIMARY KEY, talk integer, author text);
			INSERT INTO rooms VALUES ('r1', 'alice'), ('r2', 'alice'), ('r3', 'alice'), ('r4', 'bob');
			INSERT INTO talks VALUES (1, 'r1'), (2, 'r2'), (3, 'r2'), (4, 'r4');
			INSERT INTO words VALUES (1, 1, 'alice'), (2, 3, 'bob'), (3, 2, 'Bob'), (4, 4, 'alice')`
		s, db, err := open(t, ddl,
			tables.Place{Name: "words", File: "f", Table: "words", ID: []string{"id"}, Explicit: true, Match: map[string]tables.Member{"user_id": {Column: "author"}}},
			tables.Place{Name: "words", File: "f", Table: "words", ID: []string{"id"}, With: "talks", By: []string{"talk"}},
			tables.Place{Name: "talks", File: "f", Table: "talks", ID: []string{"id"}, With: "rooms", By: []string{"room"}},
			tables.Place{Name: "rooms", File: "f", Table: "rooms", ID: []string{"id"}, Match: map[string]tables.Member{"user_id": {Column: "owner"}}},
		)
		if err != nil {
			t.Fatal(err)
		}
		rooms := []store.ID{{Place: "rooms", Key: "r1"}, {Place: "rooms", Key: "r2"}, {Place: "rooms", Key: "r3"}, {Place: "rooms", Key: "r4"}}
		for name, tt := range map[string]struct {
			hold store.Selector
			want []string
		}{
			"who wrote in it": {store.Selector{UserID: "bob"}, []string{"rooms/r2", "rooms/r4"}},
			"who owns it":     {store.Selector{UserID: "alice"}, []string{"rooms/r1", "rooms/r2", "rooms/r3", "rooms/r4"}},
			"a word's ID":     {store.Selector{IDs: []string{"3"}}, []string{"rooms/r2"}},
			"no word's ID":    {store.Selector{IDs: []string{"r1", "7"}}, nil},
		} {
			if diff := cmp.Diff(tt.want, heldOf(t, s, tt.hold, rooms...)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", name, diff)
			}
		}
		if _, err := s.Erase(t.Context(), []store.ID{rooms[0], rooms[2]}); err != nil {
			t.Fatal(err)
		}
		var left []int
		if err := db.Select(&left, `SELECT id FROM words ORDER BY id`); err != nil || !slices.Equal(left, []int{2, 3, 4}) {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

// A store that may not go on commits nothing.
func TestNothingIsCommittedWithoutLeave(t *testing.T) {
	onBoth(t, func(t *testing.T, open engine) {
		s, db, err := open(t, `CREATE TABLE rooms (id text PRIMARY KEY, owner text); INSERT INTO rooms VALUES ('r1', 'alice')`,
			tables.Place{Name: "rooms", File: "f", Table: "rooms", ID: []string{"id"}, Match: map[string]tables.Member{"user_id": {Column: "owner"}}})
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		ctx := store.WithLeave(t.Context(), func() error {
			asked++
			return errors.New("no leave")
		})
		if _, err := s.Erase(ctx, []store.ID{{Place: "rooms", Key: "r1"}}); err == nil || asked == 0 {
			t.Errorf("err = %v, asked %d times", err, asked)
		}
		var left int
		if err := db.Get(&left, `SELECT COUNT(*) FROM rooms`); err != nil || left != 1 {
			t.Errorf("%d rows, %v", left, err)
		}
		if r, err := s.Erase(t.Context(), []store.ID{{Place: "rooms", Key: "r1"}}); err != nil || r.Count(store.Erased) != 1 {
			t.Errorf("after: %s, %v", r, err)
		}
	})
}
