package tables

import (
	"context"
	"strings"

	"github.com/jmoiron/sqlx"
)

// A link is a row that links to a parent by its key.
type link struct {
	Row int64  `db:"row"`
	Key string `db:"key"`
}

// links returns the links to a batch of parents, read from the rows
// themselves.
func (k kin) links(ctx context.Context, q sqlx.QueryerContext, batch string) ([]link, error) {
	var found []link
	err := sqlx.SelectContext(ctx, q, &found, "SELECT DISTINCT t.rowid AS row, l.value AS key FROM "+k.table+" t "+
		k.joinLinks()+" WHERE "+k.rowIn()+" AND "+k.kind()+" AND "+k.isLink()+
		" AND l.value IN (SELECT value FROM json_each(?1))", batch)
	return found, coded(err)
}

// unlink removes the links to a batch of parents, and the rows that lose their
// last one, and returns the keys of the parents. Rows that had no link before
// are not touched.
func (e erasure) unlink(ctx context.Context, k kin, batch string) ([]string, error) {
	found, err := k.links(ctx, e.conn, batch)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	rows := make([]int64, len(found))
	keys := make([]string, len(found))
	for i, l := range found {
		rows[i], keys[i] = l.Row, l.Key
	}
	numbers, err := list(rows)
	if err != nil {
		return nil, err
	}
	const linked = " WHERE t.rowid IN (SELECT value FROM json_each(?2))"
	emptied, err := k.id.keys(ctx, e.conn, "DELETE FROM "+k.table+" AS t"+linked+" AND NOT EXISTS (SELECT 1 FROM (SELECT 1) "+
		k.joinLinks()+" WHERE e.key IN ("+literals(k.Document.Links)+") AND "+other+") RETURNING "+k.id.text(""), batch, numbers)
	if err != nil {
		return nil, err
	}
	e.tookOf(k.part, emptied)
	err = exec(ctx, e.conn, "UPDATE "+k.table+" AS t SET "+quote(k.Document.Column)+" = "+k.without()+linked, batch, numbers)
	return keys, err
}

// other says that an element l of an array is not a link to the batch.
const other = "NOT (l.type = 'text' AND l.value IN (SELECT value FROM json_each(?1)))"

// without is the document without the links to the batch. The arrays are put
// together as text, since an element may be anything.
func (p *part) without() string {
	var edits strings.Builder
	for _, name := range p.Document.Links {
		path := literal("$." + name)
		edits.WriteString(", " + path + ", json(CASE json_type(" + p.doc() + ", " + path + ") WHEN 'array' THEN " +
			"(SELECT '[' || coalesce(group_concat(CASE l.type WHEN 'text' THEN json_quote(l.value) " +
			"WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' WHEN 'null' THEN 'null' ELSE l.value END, ',' ORDER BY l.key), '') || ']' " +
			"FROM json_each(" + p.doc() + ", " + path + ") l WHERE " + other + ") " +
			"ELSE " + p.doc() + " -> " + path + " END)")
	}
	return "json_replace(" + p.doc() + edits.String() + ")"
}
