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

// A pgLinks is the rows of a part that are to lose links to a place.
type pgLinks struct {
	*pgPart
	rows []string // keys
}

// links finds the rows that may link to a batch.
func (e pgErasure) links(ctx context.Context, keys map[string][]string) ([]pgLinks, error) {
	if err := e.s.backlinks.refresh(ctx, e.tx, true); err != nil {
		return nil, err
	}
	var all []pgLinks
	for _, place := range e.s.roots() {
		found, err := e.s.backlinks.of(ctx, place, keys[place])
		if err != nil {
			return nil, err
		}
		for _, p := range e.s.linksTo(place) {
			if len(found[p]) > 0 {
				all = append(all, pgLinks{p, found[p]})
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
	found, err := l.links(ctx, e.tx, keys, l.rows)
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
	these, args := l.id.among("t.", 2), append([]any{keys}, l.id.bind(rows)...)
	_, err = e.tx.ExecContext(ctx, "DELETE FROM "+l.table+" AS t WHERE "+these+
		" AND NOT EXISTS (SELECT 1 FROM "+l.elements()+" WHERE NOT "+isLink+")", args...)
	if err != nil {
		return pgCoded(ctx, err)
	}
	_, err = e.tx.ExecContext(ctx, "UPDATE "+l.table+" AS t SET "+quote(l.Document.Column)+" = "+l.without()+" WHERE "+these, args...)
	return pgCoded(ctx, err)
}

// without is the document without the links to the batch. All other elements of
// the arrays stay, whatever they are.
func (p *pgPart) without() string {
	doc := p.doc()
	var edits strings.Builder
	for _, name := range p.Document.Links {
		member := p.doc() + " -> " + literal(name)
		edits.WriteString(" || CASE WHEN jsonb_typeof(" + member + ") = 'array' THEN jsonb_build_object(" + literal(name) +
			"::text, (SELECT coalesce(jsonb_agg(l.value ORDER BY l.n), '[]') FROM jsonb_array_elements(" + member +
			") WITH ORDINALITY l(value, n) WHERE NOT " + isLink + ")) ELSE '{}'::jsonb END")
	}
	return doc + edits.String()
}
