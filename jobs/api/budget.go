package api

import (
	"errors"
	"io"
)

// Limits of a request body, in bytes.
const (
	maxIDBytes   = 64 << 20 // of selector.ids: jobs.MaxIDs of them with 64 bytes each
	maxRestBytes = 64 << 10 // of everything else
	maxBodyBytes = maxIDBytes + maxRestBytes
)

// errTooLarge is what a budget says when it is spent.
var errTooLarge = errors.New("body too large")

// A budget lets through the bytes of selector.ids and, besides them, at most
// maxRestBytes. The decoder above it reads ahead, so the IDs are paid for as
// they are taken: whoever reads them keeps ids up to date.
type budget struct {
	r    io.Reader
	ids  int64 // bytes that the decoder has taken as IDs
	seen int64
}

func (b *budget) Read(p []byte) (int, error) {
	left := min(b.ids, maxIDBytes) + maxRestBytes - b.seen
	if left <= 0 {
		return 0, b.ended()
	}
	n, err := b.r.Read(p[:min(int64(len(p)), left)])
	b.seen += int64(n)
	return n, err
}

// ended tells a body of just the allowed size from a larger one.
func (b *budget) ended() error {
	var one [1]byte
	for {
		switch n, err := b.r.Read(one[:]); {
		case n > 0:
			return errTooLarge
		case err != nil:
			return err
		}
	}
}
