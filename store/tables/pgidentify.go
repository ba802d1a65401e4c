package tables

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"

	"lethe/store"
)

// Sightings yields what every row says that stands on its own, here and beside.
func (s *Postgres) Sightings(ctx context.Context) iter.Seq2[Sighting, error] {
	return func(yield func(Sighting, error) bool) {
		for _, p := range s.parts {
			if p.With != "" {
				continue
			}
			if more := s.sightingsIn(ctx, p, yield); !more {
				return
			}
		}
		if s.beside == nil {
			return
		}
		for seen, err := range s.beside.Sightings(ctx) {
			if !yield(seen, err) || err != nil {
				return
			}
		}
	}
}

func (s *Postgres) sightingsIn(ctx context.Context, p *pgPart, yield func(Sighting, error) bool) bool {
	evidence, keys := p.evidenceOf(true, false), p.keys()
	more, err := s.rows(ctx, p, func(int) condition { return condition{sql: p.kind()} }, evidence, ", "+p.who(keys), func(r pgRow) (bool, error) {
		who := r.rest[len(r.rest)-1].String
		if len(evidence.documents) > 0 {
			who = p.doubted(keys, evidence, r.rest, who)
		}
		scope := ""
		if evidence.scope {
			scope = r.rest[0].String
		}
		key := ""
		if p.id.holds(r.key) {
			key = r.key
		}
		return yield(sighting(p.Place, keys, key, who, scope, p.ages(evidence, r.rest)), nil), nil
	})
	if err != nil {
		yield(Sighting{}, fmt.Errorf("identifiers: %w", err))
		return false
	}
	return more
}

// who is a JSON array of the texts that t has for some keys, NULL for none.
func (p *pgPart) who(keys []string) string {
	texts := make([]string, len(keys))
	for i, key := range keys {
		m := p.members[key]
		switch {
		case p.Document != nil:
			texts[i] = asText(p.first(p.Document.Keys[key]))
		case p.tie != "" && key == p.Ties.Key:
			texts[i] = "CASE WHEN " + p.held() + " THEN t." + quote(m.Column) + "::text END"
		case m.json != "":
			texts[i] = asText(m.document())
		default:
			texts[i] = "t." + quote(m.Column) + "::text"
		}
	}
	return "jsonb_build_array(" + strings.Join(texts, ", ") + ")::text"
}

// asText is the text that some jsonb is, NULL if it is none.
func asText(value string) string {
	return "CASE WHEN jsonb_typeof(" + value + ") = 'string' THEN (" + value + ") #>> '{}' END"
}

// doubted puts what doubtful documents say in its place.
func (p *pgPart) doubted(keys []string, e pgEvidence, columns []sql.NullString, who string) string {
	var values []*string
	if err := json.Unmarshal([]byte(who), &values); err != nil || len(values) != len(keys) {
		return who
	}
	if e.scope {
		columns = columns[1:]
	}
	for k, key := range keys {
		m := p.members[key]
		i := slices.Index(e.documents, m.Column)
		if m.json != "json" || i < 0 || !columns[i].Valid {
			continue
		}
		values[k] = nil
		if text, ok := m.read(columns[i].String).(string); ok {
			values[k] = &text
		}
	}
	text, err := json.Marshal(values)
	if err != nil { // made of texts
		return who
	}
	return string(text)
}

var _ store.Identifying = (*Postgres)(nil)
