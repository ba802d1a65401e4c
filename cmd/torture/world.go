//go:build torture

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	_ "github.com/mattn/go-sqlite3" // the world's own connections

	"lethe/store/mem0"
)

// A world is what the stores hold, in files that the oracle has written row by
// row and of which it keeps its own account.
type world struct {
	token  string // stands in every identifier and text of this world, and nowhere else
	people []string
	stores []*installation
}

// An installation is one Mem0 on SQLite files.
type installation struct {
	name  string
	files mem0.SQLiteConfig
	rows  []*thing
	first map[string]string // every row of every table as it was written; see snapshot
}

// A thing is a row that stands for itself, with what the oracle knows of it.
type thing struct {
	place  string // memories, entities, messages
	id     string
	user   string
	links  []string // an entity's
	secret string   // stands in this row, its history and its message, and nowhere else
	late   *lateness
	age    *aging            // if a policy is about it
	wrote  map[string]string // what snapshot reads of it, if it is late
}

// lateness is when a row was written while the service was at work, by the
// oracle's clock, in Unix milliseconds.
type lateness struct{ begun, written int64 }

// names are people who are easily taken for each other. The accented ones
// differ in normalization only.
func names(token string) []string {
	var all []string
	for _, n := range []string{"alice", "Alice", "al_ce", "alxce", "al%", "caf\u00e9", "cafe\u0301", "alice ", "07", "7", "bob", "o'hara", "a\"b", "*al*"} {
		all = append(all, n+"."+token)
	}
	return all
}

// newToken is long enough never to be somewhere by chance.
func newToken(rng *rand.Rand) string {
	const letters = "bcdfghjkmnpqrstvwxz"
	b := make([]byte, 12)
	for i := range b {
		b[i] = letters[rng.IntN(len(letters))]
	}
	return string(b)
}

// scale says how large a world is to be.
type scale struct {
	stores, people, each int
	big                  int // memories of the first person in the first store, beyond a batch
}

func makeWorld(ctx context.Context, rng *rand.Rand, dir string, sc scale) (*world, error) {
	w := &world{token: newToken(rng)}
	all := names(w.token)
	for i := len(all); i < sc.people; i++ { // and some who are not taken for anybody
		all = append(all, fmt.Sprintf("guest%d.%s", i, w.token))
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	w.people = all[:min(sc.people, len(all))]
	for i := range sc.stores {
		in := &installation{name: []string{"assistant", "crm"}[i]}
		home := filepath.Join(dir, "mem0-"+in.name)
		if err := os.Mkdir(home, 0o700); err != nil {
			return nil, err
		}
		var err error
		if in.files, err = mem0.CreateSQLite(ctx, home); err != nil {
			return nil, err
		}
		for _, p := range w.people {
			in.invent(rng, w.token, p, 1+rng.IntN(sc.each))
		}
		if i == 0 && sc.big > 0 {
			for range sc.big {
				in.rows = append(in.rows, &thing{place: "memories", id: newID(rng), user: w.people[0], secret: w.token + newToken(rng)})
			}
		}
		in.shareEntities(rng, w)
		if err := in.write(ctx, in.rows); err != nil {
			return nil, err
		}
		if in.first, err = in.snapshot(ctx); err != nil {
			return nil, err
		}
		w.stores = append(w.stores, in)
	}
	return w, nil
}

func newID(rng *rand.Rand) string { // version 4, from the seed
	var b [16]byte
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return uuid.UUID(b).String()
}

// invent makes n memories of a person, an entity that links to some of them,
// and a message.
func (in *installation) invent(rng *rand.Rand, token, person string, n int) {
	var own []string
	for range n {
		m := &thing{place: "memories", id: newID(rng), user: person, secret: token + newToken(rng)}
		in.rows = append(in.rows, m)
		own = append(own, m.id)
	}
	if rng.IntN(2) == 0 {
		in.rows = append(in.rows, &thing{place: "entities", id: newID(rng), user: person, links: slices.Clone(own[:1+rng.IntN(len(own))]), secret: token + newToken(rng)})
	}
	if rng.IntN(3) == 0 {
		in.rows = append(in.rows, &thing{place: "messages", id: newID(rng), user: person, secret: token + newToken(rng)})
	}
}

// shareEntities adds an entity of one person that links to memories of another,
// and one that links to nothing else.
func (in *installation) shareEntities(rng *rand.Rand, w *world) {
	a, b := in.memoriesOf(w.people[0]), in.memoriesOf(w.people[1])
	if len(a) > 5 {
		a = a[:5]
	}
	unasked := w.people[len(w.people)-1] // else it would depend on who comes first whether they are found
	for _, links := range [][]string{{a[0], b[0]}, {a[rng.IntN(len(a))]}} {
		in.rows = append(in.rows, &thing{place: "entities", id: newID(rng), user: unasked, links: links, secret: w.token + newToken(rng)})
	}
}

func (in *installation) memoriesOf(person string) []string {
	var ids []string
	for _, t := range in.rows {
		if t.place == "memories" && t.user == person {
			ids = append(ids, t.id)
		}
	}
	return ids
}

// write adds rows, as Mem0 would.
func (in *installation) write(ctx context.Context, rows []*thing) error {
	of := map[string]string{"memories": in.files.Vectors, "entities": in.files.Entities, "messages": in.files.History}
	txs := map[string]*sql.Tx{}
	for _, path := range []string{in.files.Vectors, in.files.Entities, in.files.History} {
		db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=20000&_txlock=immediate&_synchronous=OFF")
		if err != nil {
			return err
		}
		defer db.Close()
		if txs[path], err = db.BeginTx(ctx, nil); err != nil {
			return err
		}
		defer func() { _ = txs[path].Rollback() }() // of no effect once it is committed
	}
	for _, t := range rows {
		if err := t.write(ctx, txs[of[t.place]], txs[in.files.History]); err != nil {
			return err
		}
	}
	// History first: a memory without one can be made up for, a history without
	// its memory belongs to nobody.
	for _, path := range []string{in.files.Entities, in.files.History, in.files.Vectors} {
		if err := txs[path].Commit(); err != nil {
			return err
		}
	}
	return nil
}

func (t *thing) write(ctx context.Context, own, history *sql.Tx) error {
	switch t.place {
	case "messages":
		scope, made := t.session()
		_, err := own.ExecContext(ctx, `INSERT INTO messages (id, session_scope, role, content, created_at) VALUES (?, ?, 'user', ?, ?)`, t.id, scope, t.secret+" was said", made)
		return err
	case "entities":
		return insert(ctx, own, t, map[string]any{"user_id": t.user, "data": t.secret, "entityType": "PROPER", "linkedMemoryIds": t.links})
	}
	payload := map[string]any{"user_id": t.user, "data": t.secret + " is the number of the locker", "createdAt": "2026-11-22"}
	if t.age != nil {
		t.age.tell(payload)
	}
	if err := insert(ctx, own, t, payload); err != nil {
		return err
	}
	done, err := history.ExecContext(ctx, `INSERT INTO memory_history (memory_id, new_value, action, created_at) VALUES (?, ?, 'ADD', '2026-11-22')`, t.id, t.secret)
	if err != nil || t.late == nil {
		return err
	}
	n, err := done.LastInsertId()
	number := strconv.FormatInt(n, 10)
	t.wrote["memory.db memory_history "+number] = asText(number, t.id, "", t.secret, "ADD", "2026-11-22", "", "0")
	return err
}

func insert(ctx context.Context, tx *sql.Tx, t *thing, payload map[string]any) error {
	text, err := json.Marshal(payload)
	if err != nil {
		return err
	}
	if t.late != nil {
		t.wrote = map[string]string{"vector_store.db vectors " + t.id: asText(t.id, t.id, string(text))}
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO vectors (id, vector, payload) VALUES (?, ?, ?)`, t.id, []byte(t.id), string(text))
	return err
}

// snapshot reads every row of every table of an installation: file, table and
// row number to the row as text.
func (in *installation) snapshot(ctx context.Context) (map[string]string, error) {
	rows := map[string]string{}
	for _, path := range []string{in.files.Vectors, in.files.Entities, in.files.History} {
		if err := readAll(ctx, path, rows); err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
		}
	}
	return rows, nil
}

func readAll(ctx context.Context, path string, rows map[string]string) error {
	db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=20000")
	if err != nil {
		return err
	}
	defer db.Close()
	names, err := column(ctx, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'`)
	if err != nil {
		return err
	}
	for _, table := range names {
		found, err := db.QueryContext(ctx, `SELECT * FROM "`+table+`"`)
		if err != nil {
			return err
		}
		defer found.Close()
		columns, err := found.Columns()
		if err != nil {
			return err
		}
		for found.Next() {
			values := make([]sql.NullString, len(columns))
			into := make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			if err := found.Scan(into...); err != nil {
				return err
			}
			texts := make([]string, len(values))
			for i, v := range values {
				texts[i] = v.String
			}
			rows[filepath.Base(path)+" "+table+" "+values[0].String] = asText(texts...)
		}
		if err := found.Err(); err != nil {
			return err
		}
	}
	return nil
}

func asText(values ...string) string { return fmt.Sprintf("%q", values) }

func column(ctx context.Context, db *sql.DB, query string, args ...any) ([]string, error) {
	found, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []string
	for found.Next() {
		var s string
		if err := found.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, found.Err()
}

// key is how snapshot calls the row of a thing.
func (t *thing) key(in *installation) string {
	switch t.place {
	case "messages":
		return filepath.Base(in.files.History) + " messages " + t.id
	case "entities":
		return filepath.Base(in.files.Entities) + " vectors " + t.id
	}
	return filepath.Base(in.files.Vectors) + " vectors " + t.id
}

// expected is the snapshot that an installation should have when the things in
// gone are erased: with the histories of memories, the links to them, and the
// entities that have lost their last link.
func (in *installation) expected(before map[string]string, gone map[*thing]bool) map[string]string {
	after := maps.Clone(before)
	memories := map[string]bool{}
	for t := range gone {
		delete(after, t.key(in))
		if t.place == "memories" {
			memories[t.id] = true
		}
	}
	for key, text := range after {
		if !strings.Contains(key, " memory_history ") {
			continue
		}
		for id := range memories {
			if strings.Contains(text, id) {
				delete(after, key)
				break
			}
		}
	}
	for _, e := range in.rows {
		if e.place != "entities" || gone[e] {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(e.links), func(id string) bool { return memories[id] })
		switch {
		case len(left) == len(e.links):
		case len(left) == 0:
			delete(after, e.key(in))
		default:
			for _, id := range e.links {
				if memories[id] { // as the text was marshalled: "id", or "id" at the end
					after[e.key(in)] = unlinked(after[e.key(in)], id)
				}
			}
		}
	}
	return after
}

// unlinked takes an ID out of a JSON list within a quoted row.
func unlinked(row, id string) string {
	quoted := `\"` + id + `\"`
	row = strings.Replace(row, quoted+",", "", 1)
	row = strings.Replace(row, ","+quoted, "", 1)
	return row
}

// selected returns what a selector selects, by user or by memory IDs.
func (in *installation) selected(user string, ids []string) []*thing {
	var found []*thing
	for _, t := range in.rows {
		byID := len(ids) > 0 && t.place != "messages" && slices.Contains(ids, t.id)
		if user != "" && t.user == user || byID {
			found = append(found, t)
		}
	}
	return found
}

// addFirst adds a row that came later to what was there first, as it was read
// back when it was written.
func (in *installation) addFirst(t *thing) {
	for key, text := range t.wrote {
		in.first[key] = text
	}
}
