package store

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"time"
)

// MaxBatch is the largest number of IDs that Erase and Remaining take at once,
// and the largest number of explicit IDs in a Selector given to a Store.
const MaxBatch = 1000

var (
	// ErrRefused is wrapped by an error that no retry will mend, such as a data
	// map that contradicts itself. Every other error of a Store is temporary:
	// whatever can be mended outside is no refusal.
	ErrRefused = errors.New("store refused")

	// ErrBusy is wrapped by Purge when another process holds the store's files,
	// and by other methods when another transaction was in the way for long.
	// The store is unharmed; ask again later.
	ErrBusy = errors.New("store busy")

	// ErrUnseen is wrapped by Purge when it rewrote the store's files and could
	// not look whether anything is left in them. It is no failure: Purge has
	// done what it could, and would do no better at once. The text says what it
	// would need.
	ErrUnseen = errors.New("rewritten, but the files cannot be read")

	// ErrUnavailable is wrapped when a store cannot be reached, or went away
	// midway. What was being done may or may not have happened: do it again.
	ErrUnavailable = errors.New("store unavailable, try again")

	// ErrDenied is wrapped when a store answers and does not accept who asks. It
	// may be mended outside; asking often can lock an account.
	ErrDenied = errors.New("store denied")

	// ErrSchema is wrapped when a store does not look as its data map says. The
	// text names what was expected and what was found, or which GRANT is missing.
	ErrSchema = errors.New("unknown schema")
)

// A Store keeps memories that are not ours.
//
// All methods may be called concurrently and by several processes, stop when
// ctx is done, and never put an identity or a memory's text into an error.
type Store interface {
	// Find yields the ID of every row that sel selects, in every place, each
	// once, without limit. It holds no lock while the caller works, so IDs may
	// be gone when their turn comes. For explicit IDs (at most MaxBatch) it
	// yields those of which anything is left, in any place. An invalid
	// Selector is an error wrapping ErrSelector, never an empty answer, and one
	// by age is an error wrapping ErrRefused unless the Store is Sweepable.
	Find(ctx context.Context, sel Selector) iter.Seq2[ID, error]

	// Count says how many rows the selectors together select in each place,
	// including the rows that hang on others. It takes several, because a long
	// list of IDs comes as many Selectors, and reads the store once for all of
	// them. An error that sels yields is returned. It changes nothing.
	Count(ctx context.Context, sels iter.Seq2[Selector, error]) (Census, error)

	// Erase removes ids, at most MaxBatch of them, and all that hangs on them,
	// in one transaction for each database the store has. It is durable once it
	// returns nil. It is idempotent: an ID that is not there is Absent, which
	// is no error. On an error anything may or may not have been erased, and
	// the same call may be repeated. What goes along with them it tells: see [Along].
	Erase(ctx context.Context, ids []ID) (Receipt, error)

	// Remaining returns those of ids, at most MaxBatch, of which anything can
	// still be read in any place. It reads the store anew, by a path that Erase
	// does not use.
	Remaining(ctx context.Context, ids []ID) ([]ID, error)

	// Close releases what Open acquired. The store's data is unchanged.
	Close() error
}

// A Matcher is a Store that can tell whether a legal hold forbids to erase an ID.
//
// Matching returns those of ids, at most MaxBatch, whose erasure would remove or
// change a row that sel selects: every ID that Find would yield for sel, and the
// IDs of rows to which a selected row links, or that belong to somebody else too
// who is selected. A list of explicit IDs may be of any length. It changes
// nothing. Of a Store that is none it is asked with Find alone.
type Matcher interface {
	Matching(ctx context.Context, sel Selector, ids []ID) ([]ID, error)
}

// A Purger is a Store that can also remove what erased rows leave behind in
// its files. Purge returns nil only if nothing erased before it was called is
// left in the files, an error wrapping ErrBusy if another process keeps it from
// knowing, and one wrapping ErrUnseen if its permissions do. It never waits long for another process, and never makes one
// wait longer than rewriting the store's files takes.
type Purger interface {
	Purge(ctx context.Context) error
}

// A Limiter is a Store that has places which some Selectors cannot reach,
// because nothing in their rows can be compared with them: raw messages name a
// user, and no memory, and entities do not say when they were made. Unreached
// returns the names of those places for sel; for Orphaned all of them if nothing
// hangs on anything, and else none.
// What it names, a certificate must not pass over in silence.
type Limiter interface {
	Unreached(sel Selector) []string
}

// A Checker is a Store that can compare its data map with the live schema.
// Check changes nothing.
type Checker interface {
	Check(ctx context.Context) ([]Finding, error)
}

// A Pinger is a Store that can say whether it is still there and still what was
// opened. Ping changes nothing, holds nobody up and takes no turn of the other
// methods. Its error is one of theirs; being busy is none.
type Pinger interface {
	Ping(ctx context.Context) error
}

// A Mapper is a Store that can say by which data map it finds and erases.
// MapVersion is a digest of the declared places, columns and matches: a plan
// that was made by one map must not be carried out by another.
type Mapper interface {
	MapVersion() string
}

// A Sweepable is a Store that can select by age (see Selector), and whose Erase
// heeds [Still]. Every other Store refuses such a Selector: see
// [Selector.Ageless]. A time that cannot be read is never old; one that leaves
// open when exactly it is, such as a date, is taken for the last instant that it can
// mean anywhere on earth.
//
// Now is the clock of the store's own database, by which a cut-off is taken; that
// of this machine where the database has none. Span returns when the oldest and
// the newest of the rows that sel selects were made or, for a selector of expired
// rows, when they ended; zero times for none, and for a selector that asks for no
// time. Undated counts, by place, the rows that sel selects or not, depending on a
// time that cannot be read. A row that does not say when it was made is one, but a
// row without an end has none. Kept returns those of ids, at most MaxBatch,
// whose row is there and is not selected by sel, which has no IDs: what Erase would
// keep. All of them change nothing.
type Sweepable interface {
	Now(ctx context.Context) (time.Time, error)
	Span(ctx context.Context, sel Selector) (oldest, newest time.Time, err error)
	Undated(ctx context.Context, sel Selector) (map[string]int, error)
	Kept(ctx context.Context, sel Selector, ids []ID) ([]ID, error)
}

// An Identifier is a value of one identity key that rows of a store have.
type Identifier struct {
	Field             // such as user_id and who that is: personal data
	Rows    int       // that have it, in all places
	Undated int       // of them, those that do not say when they were made
	Oldest  time.Time // when the oldest of the others was made, and the newest;
	Newest  time.Time // zero if there are none
}

// LogValue keeps an Identifier out of logs.
func (Identifier) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// An Identifying store lists the identifiers that the rows which stand on their own
// have, each field and value once, in no order, for the watch over what comes back.
// A value that no Selector can have is left out. It holds no lock while the caller
// works and changes nothing; memory is bounded, however many there are.
type Identifying interface {
	Identifiers(ctx context.Context) iter.Seq2[Identifier, error]
}

// A Finding is what Check has to say about one table, column or trigger.
// Everything of a schema has one: it is mapped to a place, waived, or unmapped.
type Finding struct {
	Place    string `json:"place"`              // the place it is mapped to, or ""
	Table    string `json:"table"`              // as the database names it, after its file if there are several
	Column   string `json:"column,omitempty"`   // or trigger; empty for the table as a whole
	Role     string `json:"role,omitempty"`     // of a column in its place: "id", "match user_id", "parent", "content"; else "trigger"
	Unmapped bool   `json:"unmapped,omitempty"` // neither mapped nor waived: nothing in it is ever erased
	Waived   string `json:"waived,omitempty"`   // why it needs no mapping
	Note     string `json:"note,omitempty"`     // worth knowing, and no problem
	Problem  string `json:"problem,omitempty"`  // what is wrong, and what to do
}

// An ID names one thing to erase inside a Store: a row of a place, with all
// that hangs on it.
type ID struct {
	Place string // the place's name in the store's data map
	Key   string // the row's own identifier there
}

// String returns the ID as "place/key", which ParseID reverses. It is personal
// data: do not log it.
func (id ID) String() string { return id.Place + "/" + id.Key }

// LogValue keeps an ID out of logs.
func (id ID) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// ParseID reverses [ID.String].
func ParseID(s string) (ID, error) {
	place, key, ok := strings.Cut(s, "/")
	if !ok || place == "" || key == "" {
		return ID{}, errors.New("parse id: want place/key")
	}
	return ID{Place: place, Key: key}, nil
}

// An Outcome is what became of one ID.
type Outcome byte

// The outcomes. Their values stand in receipts: do not renumber.
const (
	Erased  Outcome = 'e' // something was there and is gone
	Absent  Outcome = 'a' // nothing was there
	Held    Outcome = 'h' // a legal hold forbids it; untouched
	Refused Outcome = 'r' // the store will not erase it; untouched
	Kept    Outcome = 'k' // no longer selected by what it was planned for; untouched: see WithStill
)

// A Receipt is a store's answer to one Erase: one Outcome for each ID, in the
// order in which the IDs were given.
type Receipt []Outcome

// Count returns how many IDs had the outcome o.
func (r Receipt) Count(o Outcome) int {
	n := 0
	for _, x := range r {
		if x == o {
			n++
		}
	}
	return n
}

// Evidence is how much a store has shown about an erasure.
type Evidence string

// The evidence levels, weakest first.
const (
	EvidenceNone     Evidence = "none"
	EvidenceErased   Evidence = "erased"   // the store says so
	EvidenceVerified Evidence = "verified" // read again by another path, nothing left
	EvidencePurged   Evidence = "purged"   // no bytes left in the store's files
)

// A Census is what Count found.
type Census struct {
	Places []PlaceCount

	// Unattributable counts rows of the whole store that hold personal data but
	// that nothing ties to anyone, such as the history of a memory that is
	// gone. They are left alone.
	Unattributable int

	// Related counts rows that are about who is selected but do not match, and that
	// Find yields only for a Selector that says Related. See Selector.
	Related int
}

// IDs returns the number of IDs that Find would yield: the rows of the places
// that stand on their own.
func (c Census) IDs() int {
	n := 0
	for _, p := range c.Places {
		if p.With == "" {
			n += p.Found
		}
	}
	return n
}

// A PlaceCount is the number of selected rows in one place.
type PlaceCount struct {
	Place string
	Found int

	// Total is how many rows the place has, whoever they are of. It is cheap
	// rather than exact: it may be less, but not less than 100 times Found, nor
	// than the smaller of one million and all of them. 0 for a store that does not
	// say: then Found is taken for all.
	Total int

	With string // for rows that hang on others: the place of those; else ""
}
