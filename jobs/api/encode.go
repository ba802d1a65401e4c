package api

import (
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"lethe/store"
)

// A Submission is what a [Client] asks. Only a selector is required: Selector,
// or IDs for explicit ones.
type Submission struct {
	Selector store.Selector

	// IDs are the explicit IDs when there are too many to keep in memory, at
	// most jobs.MaxIDs; Selector must then be empty. They are written to the
	// wire as they come, and an error of theirs ends the call.
	IDs iter.Seq2[string, error]

	Related    bool      // erase also what is related, see store.Selector
	Stores     []string  // names; none means every configured store
	Ticket     string    // the asker's own reference, at most 200 bytes
	Regime     string    // "" means gdpr
	Ground     string    // a code, or ""
	ReceivedAt time.Time // zero means now
	Grace      time.Duration
	NotifyURL  string // who is told of status changes, or ""

	// IdempotencyKey, of 1 to 255 printable ASCII characters, makes it safe to
	// ask again; "" for none. It does not go into the body.
	IdempotencyKey string
}

// encode writes the body. It leaves out what is not given, so that the same
// Submission always gives the same bytes.
func (s Submission) encode(w io.Writer) error {
	e := &encoder{json: jsontext.NewEncoder(w)}
	e.token(jsontext.BeginObject)
	e.text("selector")
	e.selector(s.Selector, s.IDs)
	if s.Related {
		e.text("related")
		e.token(jsontext.True)
	}
	if len(s.Stores) > 0 {
		e.text("stores")
		e.token(jsontext.BeginArray)
		for _, name := range s.Stores {
			e.text(name)
		}
		e.token(jsontext.EndArray)
	}
	e.member("ticket", s.Ticket)
	e.member("regime", s.Regime)
	e.member("ground", s.Ground)
	if !s.ReceivedAt.IsZero() {
		e.member("received_at", s.ReceivedAt.UTC().Format(time.RFC3339Nano))
	}
	if s.Grace != 0 {
		e.member("grace", s.Grace.String())
	}
	e.member("notify_url", s.NotifyURL)
	e.token(jsontext.EndObject)
	return e.err
}

// An encoder writes tokens until the first error, which it keeps.
type encoder struct {
	json *jsontext.Encoder
	err  error
}

func (e *encoder) token(t jsontext.Token) {
	if e.err == nil {
		e.keep(e.json.WriteToken(t))
	}
}

func (e *encoder) text(s string) { e.token(jsontext.String(s)) }

func (e *encoder) keep(err error) {
	if isA[*jsontext.SyntacticError](err) {
		err = unacceptable("selector", "must be valid UTF-8 with each metadata key once")
	}
	e.err = err
}

func (e *encoder) member(name, value string) {
	if value != "" {
		e.text(name)
		e.text(value)
	}
}

func (e *encoder) selector(sel store.Selector, ids iter.Seq2[string, error]) {
	e.token(jsontext.BeginObject)
	if sel.ByID() || ids != nil {
		e.text("ids")
		e.token(jsontext.BeginArray)
		for _, id := range sel.IDs {
			e.text(id)
		}
		e.stream(ids)
		e.token(jsontext.EndArray)
	}
	for _, f := range sel.Identity() {
		e.member(f.Name, f.Value)
	}
	if len(sel.Metadata) > 0 {
		e.text("metadata")
		e.token(jsontext.BeginObject)
		for _, key := range sel.MetadataKeys() {
			e.text(key)
			e.scalar(sel.Metadata[key])
		}
		e.token(jsontext.EndObject)
	}
	e.token(jsontext.EndObject)
}

func (e *encoder) stream(ids iter.Seq2[string, error]) {
	if ids == nil {
		return
	}
	for id, err := range ids {
		if e.err == nil && err != nil {
			e.err = fmt.Errorf("read ids: %w", err)
		}
		if e.err != nil {
			return
		}
		e.text(id)
	}
}

// scalar writes a number as the literal it has, so that no digit is lost.
func (e *encoder) scalar(v store.Value) {
	switch {
	case e.err != nil:
	case v.Kind() == store.KindString:
		e.text(v.Literal())
	case v.Kind() == 0:
		e.err = unacceptable("selector.metadata", "must have string, number or boolean values")
	default:
		e.keep(e.json.WriteValue(jsontext.Value(v.Literal())))
	}
}
