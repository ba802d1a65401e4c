package jobs

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A sequence gives times a number each, and its numbers rise. A number is in 4096ths of a millisecond since 1970.
type sequence struct {
	mu   sync.Mutex
	last uint64
}

// next returns the number of now, or the one after the last if that is not
// above it. A clock that was set back by a second or more is followed.
func (s *sequence) next(now time.Time) uint64 {
	ms := uint64(max(now.UnixMilli(), 0)) //nolint:gosec // not negative
	n := ms<<12 | uint64(now.Nanosecond()%1e6)<<12/1e6
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last >= n && s.last-n < 1000<<12 {
		n = s.last + 1
	}
	s.last = n
	return n
}

// id returns a UUID version 7, which sorts by time, by the clock of the ledger and
// not this machine's: whoever looks for what a crash has left judges by it how old
// it is. Those of one sequence rise also within a millisecond, for requests are
// listed in this order. It panics only if the system has no randomness.
func (s *sequence) id(now time.Time) string {
	id := uuid.Must(uuid.NewV7())
	n := s.next(now)
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], n>>12)
	copy(id[:6], ms[2:])
	binary.BigEndian.PutUint16(id[6:], 7<<12|uint16(n&0xfff)) //nolint:gosec // 12 bits
	return id.String()
}
