package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"
)

// linksTo returns the parts whose rows link to those of a place.
func (s *Postgres) linksTo(place string) []*pgPart {
	var parts []*pgPart
	for _, p := range s.parts {
		if p.Document != nil && len(p.Document.Links) > 0 && p.Document.LinksTo == place {
			parts = append(parts, p)
		}
	}
	return parts
}

// elements are all elements of a row's arrays of links, as l.value.
func (p *pgPart) elements() string {
	var all []string
	for _, name := range p.Document.Links {
		member := p.doc() + " -> " + literal(name)
		all = append(all, "SELECT value FROM jsonb_array_elements(CASE WHEN jsonb_typeof("+member+") = 'array' THEN "+member+" ELSE '[]'::jsonb END)")
	}
	return "(" + strings.Join(all, " UNION ALL ") + ") l"
}

// isLink says that an element is a link to one of a bound batch.
const isLink = "(jsonb_typeof(l.value) = 'string' AND l.value #>> '{}' = ANY($1::text[]))"

// links returns the keys of a batch that rows link to, by the key of the row.
// The rows to look at are given.
func (p *pgPart) links(ctx context.Context, q sqlx.QueryerContext, keys, rows []string) (map[string][]string, error) {
	found := make(map[string][]string)
	err := p.id.read(ctx, q, "SELECT "+p.id.texts("t.")+", l.value #>> '{}' FROM "+p.table+" t CROSS JOIN LATERAL "+p.elements()+
		" WHERE "+p.id.among("t.", 2)+" AND "+p.wellFormed()+" AND "+p.kind()+" AND "+isLink, append([]any{keys}, p.id.bind(rows)...), 1,
		func(row string, rest []sql.NullString) { found[row] = append(found[row], rest[0].String) })
	return found, err
}

// A pgLinks is the rows of a part that may lose links to a family.
type pgLinks struct {
	*pgPart
	rows []string            // keys
	held map[pgHeld]pgLinker // of the rows, when they are locked
}

// A pgHeld is rows by their key and the text of their links: where a key is not
// unique, rows that link alike are changed alike.
type pgHeld struct{ key, links string }

// members is the text of a row's links.
func (l *pgLinks) members() string {
	var members []string
	for _, name := range l.Document.Links {
		members = append(members, l.doc()+" -> "+literal(name))
	}
	return "jsonb_build_array(" + strings.Join(members, ", ") + ")::text"
}

// drop forgets rows that are gone.
func (l *pgLinks) drop(keys []string) {
	gone := make(map[string]bool, len(keys))
	for _, key := range keys {
		gone[key] = true
	}
	maps.DeleteFunc(l.held, func(row pgHeld, _ pgLinker) bool { return gone[row.key] })
}

// A pgLinker is a row that links to keys of a batch: its arrays, by the names of
// Document.Links, nil for a member that is none.
type pgLinker [][]json.RawMessage

// readPgLinker reads the members of a row. Numbers stay as they are written,
// whatever their size.
func readPgLinker(text string) (pgLinker, error) {
	var members []json.RawMessage
	if err := json.Unmarshal([]byte(text), &members); err != nil {
		return nil, err
	}
	l := make(pgLinker, len(members))
	for i, m := range members {
		if m[0] != '[' {
			continue
		}
		if err := json.Unmarshal(m, &l[i]); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// lose takes the links to some keys away, and returns them and how many elements
// are left.
func (l pgLinker) lose(keys map[string]bool) (lost []string, left int) {
	for i := range l {
		l[i] = slices.DeleteFunc(l[i], func(element json.RawMessage) bool {
			var key string
			if element[0] != '"' || json.Unmarshal(element, &key) != nil || !keys[key] {
				return false
			}
			lost = append(lost, key)
			return true
		})
		left += len(l[i])
	}
	return lost, left
}

// edit is an object of the arrays as they are now. All other elements stay as
// they were, whatever they are.
func (l pgLinker) edit(names []string) (string, error) {
	arrays := make(map[string][]json.RawMessage)
	for i, name := range names {
		if l[i] != nil {
			arrays[name] = l[i]
		}
	}
	text, err := json.Marshal(arrays)
	return string(text), err
}

// links finds the rows that may link to a batch.
func (e pgErasure) links(ctx context.Context, keys map[string][]string) ([]*pgLinks, error) {
	var all []*pgLinks
	for _, place := range e.s.families() {
		found, err := e.s.backlinks.of(ctx, place, e.s.ofFamily(place, keys))
		if err != nil {
			return nil, err
		}
		for _, p := range e.s.linksTo(place) {
			if len(found[p]) > 0 {
				all = append(all, &pgLinks{pgPart: p, rows: found[p]})
			}
		}
	}
	return all, nil
}

// lock takes the rows that will change, and those of the batch in the same
// tables, in the order of their keys: two erasures that each take one of the
// last two links must see each other's, and must not wait for each other.
//
// Of those that link it reads the links, which stay as they are from then on.
func (e pgErasure) lock(ctx context.Context, links []*pgLinks, keys map[string][]string) error {
	for _, p := range e.s.parts {
		var err error
		i := slices.IndexFunc(links, func(l *pgLinks) bool { return l.pgPart == p })
		switch {
		case i >= 0:
			err = e.hold(ctx, links[i], keys)
		case p.frees() && p.tie == p.Ties.Columns[0] && len(e.s.ofFamily(p.of(), keys)) > 0:
			_, err = e.tx.ExecContext(ctx, "SELECT FROM "+p.table+" t WHERE "+p.id.among("t.", 1)+
				" ORDER BY "+p.id.columns("t.")+" FOR UPDATE", p.id.bind(e.inTable(p, keys))...)
			err = pgCoded(ctx, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// inTable returns the keys of a batch that can be rows of a part's table.
func (e pgErasure) inTable(p *pgPart, keys map[string][]string) []string {
	var rows []string
	for _, same := range e.s.parts {
		if same.oid == p.oid && same.With == "" && same.id.same(p.id) {
			rows = append(rows, keys[same.Name]...)
		}
	}
	return rows
}

// hold locks the rows of a part and reads their links.
func (e pgErasure) hold(ctx context.Context, l *pgLinks, keys map[string][]string) error {
	l.held = make(map[pgHeld]pgLinker)
	var bad error
	err := l.id.read(ctx, e.tx, "SELECT "+l.id.texts("t.")+", CASE WHEN "+l.wellFormed()+" AND "+l.kind()+" THEN "+l.members()+" END"+
		" FROM "+l.table+" t WHERE "+l.id.among("t.", 1)+" ORDER BY "+l.id.columns("t.")+" FOR UPDATE",
		l.id.bind(append(e.inTable(l.pgPart, keys), l.rows...)), 1, func(key string, rest []sql.NullString) {
			if !rest[0].Valid || bad != nil {
				return
			}
			if l.held[pgHeld{key, rest[0].String}], bad = readPgLinker(rest[0].String); bad != nil {
				bad = fmt.Errorf("place %s: links that cannot be read", l.Name) // its text can quote them
			}
		})
	return errors.Join(err, bad)
}

// unlink removes the links to a batch of a place, and the rows that lose their
// last one.
func (e pgErasure) unlink(ctx context.Context, l *pgLinks, place string, keys []string) error {
	if l.Document.LinksTo != e.s.family(place) {
		return nil
	}
	going := make(map[string]bool, len(keys))
	for _, key := range keys {
		going[key] = true
	}
	var emptied, changed pgEdits
	for row, linker := range l.held {
		lost, left := linker.lose(going)
		e.took(place, lost)
		switch {
		case len(lost) == 0:
		case left == 0:
			emptied.add(row, "")
		default:
			edit, err := linker.edit(l.Document.Links)
			if err != nil {
				return fmt.Errorf("place %s: links that cannot be written", l.Name)
			}
			changed.add(row, edit)
		}
	}
	e.tookOf(l.pgPart, emptied.keys)
	if err := e.edit(ctx, l, emptied, changed); err != nil || place == l.Document.LinksTo {
		return err
	}
	return e.hold(ctx, l, nil) // for the other ties
}

// A pgEdits is rows and what their documents get, in parallel.
type pgEdits struct{ keys, links, edits []string }

func (p *pgEdits) add(row pgHeld, edit string) {
	p.keys, p.links, p.edits = append(p.keys, row.key), append(p.links, row.links), append(p.edits, edit)
}

func (e pgErasure) edit(ctx context.Context, l *pgLinks, emptied, changed pgEdits) error {
	// The document's column is none of the key's: their types differ.
	doc := quote(l.Document.Column)
	links := l.id.with(l.Document.Column)
	these := l.id.tuple("t.") + " = " + l.id.tuple("v.") + " AND v." + doc + "[1] = " + l.members()
	if len(emptied.keys) > 0 {
		_, err := e.tx.ExecContext(ctx, "DELETE FROM "+l.table+" AS t USING "+links+" AS v WHERE "+these,
			append(l.id.bind(emptied.keys), emptied.links, emptied.edits)...)
		if err != nil {
			return pgCoded(ctx, err)
		}
	}
	if len(changed.keys) == 0 {
		return nil
	}
	_, err := e.tx.ExecContext(ctx, "UPDATE "+l.table+" AS t SET "+doc+" = "+l.doc()+" || v."+doc+"[2]::jsonb FROM "+links+" AS v WHERE "+these,
		append(l.id.bind(changed.keys), changed.links, changed.edits)...)
	return pgCoded(ctx, err)
}
