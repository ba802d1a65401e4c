package store

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of a Selector.
const (
	MaxValueBytes   = 512 // of one identifier, metadata key or metadata string
	MaxMetadataKeys = 32
)

// ErrSelector is wrapped by every [FieldError].
var ErrSelector = errors.New("invalid selector")

// A FieldError says which part of a Selector cannot be accepted. It never
// repeats the value.
type FieldError struct {
	Field   string // such as "selector.user_id"
	Problem string // such as "must not be blank"
}

func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// Unwrap makes errors.Is(err, ErrSelector) true.
func (e *FieldError) Unwrap() error { return ErrSelector }

// A Selector is a predicate that a store can evaluate exactly: explicit IDs,
// or one or more of the other fields, all of which must be equal. There are no
// wildcards, no case folding and no Unicode normalization, and the zero
// Selector is invalid: everything cannot be said by omission.
type Selector struct {
	IDs []string // memory IDs as the asker knows them, at most MaxBatch for a Store

	UserID, AgentID, AppID, RunID string
	Metadata                      map[string]Value

	// Sweeps select by age, too. A row that does not say when it was made, or when it
	// ends, in a way that can be read, is not selected by it.
	CreatedBefore time.Time // rows that were made before
	ExpiredBefore time.Time // rows whose end was before
	Orphaned      bool      // rows that hang on one that is gone; nothing else is asked for then

	// Related selects also what a store knows to be about who is selected although
	// it does not match: what an assistant said in a conversation with them, or the
	// older memories that explicit IDs have replaced. A store that knows of none
	// does as without it. It is no part of who is meant.
	Related bool
}

// LogValue keeps a Selector out of logs.
func (s Selector) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Format keeps a Selector out of formatted text, %v and %+v included.
func (s Selector) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// ByID reports whether s selects by explicit IDs.
func (s Selector) ByID() bool { return len(s.IDs) > 0 }

// ByAge reports whether s is the selector of a sweep.
func (s Selector) ByAge() bool {
	return !s.CreatedBefore.IsZero() || !s.ExpiredBefore.IsZero() || s.Orphaned
}

// Ageless returns an error wrapping ErrRefused if s is the selector of a sweep: what
// a Store answers that does not know how old its rows are.
func (s Selector) Ageless() error {
	if s.ByAge() {
		return fmt.Errorf("%w: it cannot select by age", ErrRefused)
	}
	return nil
}

// Field is one identity key of a Selector with its value.
type Field struct{ Name, Value string }

// Selector selects by f alone; a Field that [Selector.Identity] has not made selects
// nothing.
func (f Field) Selector() (s Selector) {
	switch f.Name {
	case "user_id":
		s.UserID = f.Value
	case "agent_id":
		s.AgentID = f.Value
	case "app_id":
		s.AppID = f.Value
	case "run_id":
		s.RunID = f.Value
	}
	return s
}

// Only yields s alone.
func (s Selector) Only() iter.Seq2[Selector, error] {
	return func(yield func(Selector, error) bool) { yield(s, nil) }
}

// Identity returns the non-empty ones of user_id, agent_id, app_id and run_id,
// in the order of their names.
func (s Selector) Identity() []Field {
	all := []Field{{"agent_id", s.AgentID}, {"app_id", s.AppID}, {"run_id", s.RunID}, {"user_id", s.UserID}}
	return slices.DeleteFunc(all, func(f Field) bool { return f.Value == "" })
}

// MetadataKeys returns the keys of Metadata, sorted.
func (s Selector) MetadataKeys() []string { return slices.Sorted(maps.Keys(s.Metadata)) }

// Validate returns a *FieldError for a Selector that must not reach a store.
// It does not limit the number of IDs.
func (s Selector) Validate() error {
	identity := s.Identity()
	switch {
	case s.ByID() && (len(identity) > 0 || len(s.Metadata) > 0 || s.ByAge()):
		return &FieldError{"selector", "must have either ids or other keys, not both"}
	case s.Orphaned && (len(identity) > 0 || len(s.Metadata) > 0 || !s.CreatedBefore.IsZero() || !s.ExpiredBefore.IsZero()):
		return &FieldError{"selector", "must have orphaned alone: nothing says whose these rows are, or when they end"}
	case !s.ByID() && len(identity) == 0 && len(s.Metadata) == 0 && !s.ByAge():
		return &FieldError{"selector", "must not be empty: give ids, or one of user_id, agent_id, app_id, run_id, metadata"}
	case len(s.Metadata) > MaxMetadataKeys:
		return &FieldError{"selector.metadata", fmt.Sprintf("must have at most %d keys", MaxMetadataKeys)}
	}
	for _, id := range s.IDs {
		if err := CheckValue("selector.ids", id); err != nil {
			return err
		}
	}
	for _, f := range identity {
		if err := CheckValue("selector."+f.Name, f.Value); err != nil {
			return err
		}
	}
	for k, v := range s.Metadata {
		if err := CheckValue("selector.metadata key", k); err != nil {
			return err
		}
		if err := v.validate(); err != nil {
			return err
		}
	}
	return nil
}

// CheckValue returns a *FieldError naming field if v cannot identify anyone:
// empty, blank, a wildcard, too long, not UTF-8, or with control characters.
func CheckValue(field, v string) error {
	switch {
	case !utf8.ValidString(v):
		return &FieldError{field, "must be valid UTF-8"}
	case strings.IndexFunc(v, unicode.IsControl) >= 0:
		return &FieldError{field, "must not have control characters"}
	case strings.TrimFunc(v, invisible) == "":
		return &FieldError{field, "must not be empty or blank"}
	case strings.Trim(v, "*%? ") == "":
		return &FieldError{field, "must not be a wildcard: only exact values are matched"}
	case len(v) > MaxValueBytes:
		return &FieldError{field, fmt.Sprintf("must be at most %d bytes", MaxValueBytes)}
	}
	return nil
}

func invisible(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) }
