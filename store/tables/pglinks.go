package tables

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/jmoiron/sqlx"

	"lethe/store"
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

func (s *Postgres) linkedTo(place string) bool { return len(s.linksTo(place)) > 0 }

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

// links returns which of a batch of parents are linked to, by the key of the
// row that does. It goes through the whole table, and asks first what is
// cheapest: most rows have no links at all.
func (p *pgPart) links(ctx context.Context, q sqlx.QueryerContext, keys []string) (map[string][]string, error) {
	return p.linksOf(ctx, q, "", keys)
}

func (p *pgPart) linksOf(ctx context.Context, q sqlx.QueryerContext, these string, args ...any) (map[string][]string, error) {
	found := make(map[string][]string)
	err := p.id.read(ctx, q, "SELECT DISTINCT "+p.id.texts("t.")+", l.value #>> '{}' FROM "+p.table+" t CROSS JOIN LATERAL "+p.elements()+
		" JOIN unnest($1::text[]) k ON k = l.value #>> '{}' WHERE "+p.doc()+" ?| ARRAY["+literals(p.Document.Links)+"] AND "+
		p.wellFormed()+" AND "+p.kind()+these+" AND jsonb_typeof(l.value) = 'string'", args, 1,
		func(key string, rest []sql.NullString) { found[key] = append(found[key], rest[0].String) })
	return found, err
}

// A pgLinks is the rows of a part that are to lose links to a place.
type pgLinks struct {
	*pgPart
	rows []string // keys
}

// links finds the rows that link to a batch.
func (e pgErasure) links(ctx context.Context, keys map[string][]string) ([]pgLinks, error) {
	var all []pgLinks
	for _, place := range e.s.roots() {
		if len(keys[place]) == 0 {
			continue
		}
		for _, p := range e.s.linksTo(place) {
			found, err := p.links(ctx, e.tx, keys[place])
			if err != nil {
				return nil, err
			}
			l := pgLinks{pgPart: p}
			for row := range found {
				l.rows = append(l.rows, row)
			}
			if len(l.rows) > 0 {
				all = append(all, l)
			}
		}
	}
	return all, nil
}

// lock takes the rows that will change, and those of the batch in the same
// tables, in the order of their keys: two erasures that each take one of the
// last two links must see each other's, and must not wait for each other.
func (e pgErasure) lock(ctx context.Context, links []pgLinks, keys map[string][]string) error {
	for _, l := range links {
		rows := slices.Clone(l.rows)
		for _, p := range e.s.parts {
			if p.oid == l.oid && p.With == "" {
				rows = append(rows, keys[p.Name]...)
			}
		}
		_, err := e.tx.ExecContext(ctx, "SELECT FROM "+l.table+" t WHERE "+l.id.among("t.", 1)+
			" ORDER BY "+l.id.columns("t.")+" FOR UPDATE", l.id.bind(rows)...)
		if err != nil {
			return pgCoded(ctx, err)
		}
	}
	return nil
}

// unlink removes the links to a batch of a place, and the rows that lose their
// last one.
func (e pgErasure) unlink(ctx context.Context, l pgLinks, place string, keys []string) error {
	if l.Document.LinksTo != place {
		return nil
	}
	these := " AND " + l.id.among("t.", 2)
	args := append([]any{keys}, l.id.bind(l.rows)...)
	found, err := l.linksOf(ctx, e.tx, these, args...)
	if err != nil || len(found) == 0 {
		return err
	}
	rows := make([]string, 0, len(found))
	for row, linked := range found {
		rows = append(rows, row)
		for _, key := range linked {
			e.gone[store.ID{Place: place, Key: key}] = true
		}
	}
	args = append([]any{keys}, l.id.bind(rows)...)
	_, err = e.tx.ExecContext(ctx, "DELETE FROM "+l.table+" AS t WHERE true"+these+
		" AND NOT EXISTS (SELECT 1 FROM "+l.elements()+" WHERE NOT "+isLink+")", args...)
	if err != nil {
		return pgCoded(ctx, err)
	}
	_, err = e.tx.ExecContext(ctx, "UPDATE "+l.table+" AS t SET "+quote(l.Document.Column)+" = "+l.without()+" WHERE true"+these, args...)
	return pgCoded(ctx, err)
}

// without is the document without the links to the batch: minus takes away the
// strings of an array alone.
func (p *pgPart) without() string {
	doc := p.doc()
	var edits strings.Builder
	for _, name := range p.Document.Links {
		member := p.doc() + " -> " + literal(name)
		edits.WriteString(" || CASE WHEN jsonb_typeof(" + member + ") = 'array' THEN jsonb_build_object(" + literal(name) +
			"::text, (" + member + ") - $1::text[]) ELSE '{}'::jsonb END")
	}
	return doc + edits.String()
}
