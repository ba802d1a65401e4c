package proof

import (
	"errors"
	"fmt"
	"strings"
)

// MaxEntry is the largest size of an encoded entry in bytes. Entry bundles
// have 16 bits for it (C2SP tlog-tiles, Log entries).
const MaxEntry = 1<<16 - 1

// ErrEntry is wrapped when an entry, or bytes said to be one, break the rules
// of their kind. The text names the field and never the value.
var ErrEntry = errors.New("invalid entry")

// An Entry is a statement that goes into the log. The kinds are a closed set:
// pointers to [Accepted], [Approved], [Completed], [Cancelled], [Rejected], [Superseded],
// [SubjectKeyDestroyed], [Extended], [Confirmed], [Exempted], [HoldPlaced], [HoldReleased], [PolicyAdopted],
// [PolicyRetired], [KeyRotated], [KeyRetired], [LogSucceeded], [TokenCreated],
// [TokenRevoked], [Replayed] and [SuppressionDestroyed].
type Entry interface {
	// Kind returns the name and version of the statement, such as
	// "erasure.completed/v1".
	Kind() string

	// ID returns what the log holds at most once, see [EntryID].
	ID() string

	// Head returns the part that every entry has.
	Head() *Header

	// members declares every member but the kind and the origin.
	members(*members)

	// check finds what no member shows alone.
	check(*checks)

	report(*report)
}

// A Header is the part that every entry has.
type Header struct {
	Origin string // the log's; set by the log when it appends
}

// Head returns h.
func (h *Header) Head() *Header { return h }

// EntryID returns the ID of the entry of a kind about a request or a hold. Each
// has at most one entry of each kind. The other entries have IDs of their own
// making, see their ID methods.
func EntryID(id, kind string) string { return id + "/" + kind }

// blank returns an empty entry of a kind, or nil. A new kind needs a line here
// and a type that implements Entry.
func blank(kind string) Entry {
	switch kind {
	case KindAccepted:
		return new(Accepted)
	case KindApproved:
		return new(Approved)
	case KindCompleted:
		return new(Completed)
	case KindCancelled:
		return new(Cancelled)
	case KindRejected:
		return new(Rejected)
	case KindSuperseded:
		return new(Superseded)
	case KindSubjectKeyDestroyed:
		return new(SubjectKeyDestroyed)
	case KindExtended:
		return new(Extended)
	case KindConfirmed:
		return new(Confirmed)
	case KindExempted:
		return new(Exempted)
	case KindHoldPlaced:
		return new(HoldPlaced)
	case KindHoldReleased:
		return new(HoldReleased)
	case KindPolicyAdopted:
		return new(PolicyAdopted)
	case KindPolicyRetired:
		return new(PolicyRetired)
	case KindKeyRotated:
		return new(KeyRotated)
	case KindKeyRetired:
		return new(KeyRetired)
	case KindLogSucceeded:
		return new(LogSucceeded)
	case KindTokenCreated:
		return new(TokenCreated)
	case KindTokenRevoked:
		return new(TokenRevoked)
	case KindReplayed:
		return new(Replayed)
	case KindSuppressionDestroyed:
		return new(SuppressionDestroyed)
	}
	return nil
}

// Encode returns the one spelling of e, which is what the log hashes. It
// refuses, with an error wrapping [ErrEntry], an entry that breaks the rules
// of its kind.
func Encode(e Entry) ([]byte, error) {
	m := members{out: make([]byte, 0, 1024), declared: make([]member, 0, 48)}
	if err := m.statement(e); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, e.Kind(), err)
	}
	return m.out, nil
}

// Decode returns the entry that b spells, or an error wrapping [ErrEntry] if b
// is not exactly what [Encode] would write: unknown, double, missing or
// reordered keys, other white space and other escapes are all refused.
func Decode(b []byte) (Entry, error) {
	if len(b) > MaxEntry {
		return nil, fmt.Errorf("%w: longer than %d bytes", ErrEntry, MaxEntry)
	}
	in := string(b)
	e := blank(kindOf(in))
	if e == nil {
		return nil, fmt.Errorf("%w: unknown kind", ErrEntry)
	}
	m := members{reading: true, in: in, out: make([]byte, 0, len(b)), declared: make([]member, 0, 48)}
	err := m.statement(e)
	if err == nil && string(m.out) != in {
		err = errors.New("not in canonical form")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEntry, e.Kind(), err)
	}
	return e, nil
}

// kindOf returns the first kind that is named in an entry. No key that sorts
// before it has one inside, so in a well-formed entry it is the entry's own,
// and others are refused when they are read.
func kindOf(in string) string {
	_, rest, _ := strings.Cut(in, `"kind":"`)
	kind, _, _ := strings.Cut(rest, `"`)
	return kind
}
