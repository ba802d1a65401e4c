package store

import (
	"context"
	"iter"
	"log/slog"
	"time"
)

// A Row is one that stands on its own, as a [Listing] store has it.
type Row struct {
	ID   ID
	Who  []Field   // identity keys that it has, and whose they are: personal data
	Made time.Time // when it was made, taken as late as it can be meant; zero if it does not say
}

// LogValue keeps a Row out of logs.
func (Row) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// A Listing store lists all that is in it, for the watch over what comes back after
// it was erased: who stands in it and what is no longer to be there can be told by
// no selector, because nobody knows any more who that was. Rows yields every row
// that stands on its own, with the ID that Find would yield for it, in no order; one
// without a usable ID is left out. It holds no lock while the caller works, so rows
// may be gone, or changed, when their turn comes, and it changes nothing.
type Listing interface {
	Rows(ctx context.Context) iter.Seq2[Row, error]
}
