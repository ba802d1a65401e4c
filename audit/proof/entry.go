package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxEntry is the largest size of an encoded entry in bytes. Entry bundles
// have 16 bits for it (C2SP tlog-tiles, Log entries).
const MaxEntry = 1<<16 - 1

// ErrEntry is wrapped when an entry, or bytes said to be one, break the rules
// of their kind. The text names the field and never the value.
var ErrEntry = errors.New("invalid entry")

// An Entry is a statement that goes into the log. The kinds are a closed set:
// pointers to [Accepted], [Completed], [Cancelled] and [SubjectKeyDestroyed].
type Entry interface {
	// Kind returns the name and version of the statement, such as
	// "erasure.completed/v1".
	Kind() string

	// ID returns what the log holds at most once, see [EntryID].
	ID() string

	// Head returns the part that every entry has.
	Head() *Header

	check() error
	report(*report)
}

// A Header is the part that every entry has.
type Header struct {
	Origin string `json:"origin"` // the log's; set by the log when it appends
}

// Head returns h.
func (h *Header) Head() *Header { return h }

// EntryID returns the ID of the entry of a kind about a request. A request has
// at most one entry of each kind.
func EntryID(requestID, kind string) string { return requestID + "/" + kind }

// blank returns an empty entry of a kind, or nil. A new kind needs a line here
// and a type that implements Entry.
func blank(kind string) Entry {
	switch kind {
	case KindAccepted:
		return new(Accepted)
	case KindCompleted:
		return new(Completed)
	case KindCancelled:
		return new(Cancelled)
	case KindSubjectKeyDestroyed:
		return new(SubjectKeyDestroyed)
	}
	return nil
}

// Encode returns the one spelling of e, which is what the log hashes. It
// refuses, with an error wrapping [ErrEntry], an entry that breaks the rules
// of its kind.
func Encode(e Entry) ([]byte, error) {
	var c checks
	c.origin(e.Head().Origin)
	if err := errors.Join(c.err, e.check()); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, e.Kind(), err)
	}
	fields, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, e.Kind(), err)
	}
	// Every entry has an origin, so its JSON is an object that is not empty.
	text := fmt.Appendf(nil, `{"kind":%q,%s`, e.Kind(), fields[1:])
	b, err := canonical(text, entryProfile())
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, e.Kind(), err)
	}
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: %s: longer than %d bytes", ErrEntry, e.Kind(), MaxEntry)
	}
	return b, nil
}

// Decode returns the entry that b spells, or an error wrapping [ErrEntry] if b
// is not exactly what [Encode] would write: unknown, double, missing or
// reordered keys, other white space and other escapes are all refused.
func Decode(b []byte) (Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrEntry, MaxEntry)
	}
	var head struct{ Kind string }
	if err := json.Unmarshal(b, &head); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object", ErrEntry)
	}
	e := blank(head.Kind)
	if e == nil {
		return nil, fmt.Errorf("%w: unknown kind", ErrEntry)
	}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("%w: %s: a field has another type", ErrEntry, e.Kind())
	}
	again, err := Encode(e)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(again, b) {
		return nil, fmt.Errorf("%w: %s: not in canonical form", ErrEntry, e.Kind())
	}
	return e, nil
}
