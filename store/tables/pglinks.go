package tables

import (
	"context"
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

// array is one member of links as an array, empty if it is none.
func (p *pgPart) array(name string) string {
	member := p.doc() + " -> " + literal(name)
	return "CASE WHEN jsonb_typeof(" + member + ") = 'array' THEN " + member + " ELSE '[]'::jsonb END"
}

// linked says that a row of t links to one of a bound batch, $1.
func (p *pgPart) linked() string {
	var any condition
	for _, name := range p.Document.Links {
		if any.sql != "" {
			any.sql += " OR "
		}
		any.sql += "(" + p.array(name) + ") ?| $1::text[]"
	}
	return p.wellFormed() + " AND (" + any.sql + ") AND " + p.kind()
}

// elements are all elements of a row's arrays of links, as l.value.
func (p *pgPart) elements() string {
	var all []string
	for _, name := range p.Document.Links {
		all = append(all, "SELECT value FROM jsonb_array_elements("+p.array(name)+")")
	}
	return "(" + strings.Join(all, " UNION ALL ") + ") l"
}

// isLink says that an element is a link to one of a bound batch.
const isLink = "(jsonb_typeof(l.value) = 'string' AND l.value #>> '{}' = ANY($1::text[]))"

// links returns which of a batch of parents are linked to.
func (p *pgPart) links(ctx context.Context, q sqlx.QueryerContext, keys []string) (found []string, err error) {
	err = sqlx.SelectContext(ctx, q, &found, "SELECT DISTINCT l.value #>> '{}' FROM "+p.table+" t CROSS JOIN LATERAL "+
		p.elements()+" WHERE "+p.linked()+" AND "+isLink, keys)
	return found, pgCoded(ctx, err)
}

// unlink removes the links to a batch of parents, and the rows that lose their
// last one. The rows are locked first, in one order: two erasures that each
// take one of the last two links must see each other's.
func (e pgErasure) unlink(ctx context.Context, p *pgPart, keys []string) error {
	var rows []string
	err := e.tx.SelectContext(ctx, &rows, "SELECT t."+quote(p.ID[0])+"::text FROM "+p.table+" t WHERE "+p.linked()+
		" ORDER BY t."+quote(p.ID[0])+" FOR UPDATE", keys)
	if err != nil || len(rows) == 0 {
		return pgCoded(ctx, err)
	}
	found, err := p.links(ctx, e.tx, keys)
	if err != nil {
		return err
	}
	these := " WHERE t." + quote(p.ID[0]) + " = ANY($2::text[]::" + p.cast() + "[])"
	_, err = e.tx.ExecContext(ctx, "DELETE FROM "+p.table+" AS t"+these+" AND "+p.linked()+
		" AND NOT EXISTS (SELECT 1 FROM "+p.elements()+" WHERE NOT "+isLink+")", keys, rows)
	if err != nil {
		return pgCoded(ctx, err)
	}
	_, err = e.tx.ExecContext(ctx, "UPDATE "+p.table+" AS t SET "+quote(p.Document.Column)+" = "+p.without()+these+
		" AND "+p.linked(), keys, rows)
	e.took(p.Document.LinksTo, found)
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
