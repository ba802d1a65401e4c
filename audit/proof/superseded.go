package proof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"
)

// maxSought is how many entries of a log are read for what supersedes a
// certificate: those after it. In a larger log it is not known.
const maxSought = 1 << 16

// errTooMany: nobody has looked.
var errTooMany = fmt.Errorf("the log has more than %d entries after it, which were not read", maxSought)

// A search for what supersedes certificates of one log, of one head of it. What
// was read once is not read again.
type search struct {
	head    Head
	fetch   Fetch                  // of tiles
	entries Fetch                  // of their bundles
	from    int64                  // entries from here on have been read
	found   map[string]*Superseded // by request
}

// of returns the entry that supersedes a request whose own entry has an index, or
// nil. An error says that nobody knows.
func (s *search) of(request string, index int64) (*Superseded, error) {
	if s.found == nil {
		s.from, s.found = s.head.Size, map[string]*Superseded{}
	}
	if s.head.Size-index > maxSought {
		return nil, errTooMany
	}
	const width = 1 << TileHeight
	hashes := s.head.Hashes(s.fetch)
	for s.from > index+1 { // backwards, a bundle at a time
		first := (s.from - 1) / width * width
		if err := s.read(first/width, hashes); err != nil {
			return nil, err
		}
		s.from = first
	}
	return s.found[request], nil
}

// read looks through one bundle. Each entry is compared with its hash in the tree,
// so that none can be left out, or be another.
func (s *search) read(n int64, hashes tlog.HashReader) error {
	const width = 1 << TileHeight
	first := n * width
	count := min(width, s.head.Size-first)
	bundle, err := s.bundle(tlog.Tile{H: TileHeight, L: EntriesLevel, N: n, W: int(count)})
	if err != nil {
		return fmt.Errorf("the log's entries cannot be read: %w", err)
	}
	indexes := make([]int64, count)
	for i := range indexes {
		indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
	}
	want, err := hashes.ReadHashes(indexes)
	if err != nil {
		return fmt.Errorf("the log's tiles cannot be read: %w", err)
	}
	other := errors.New("the entries there are not those of the log's signed head")
	for i := range want {
		if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
			return other
		}
		end := 2 + int(binary.BigEndian.Uint16(bundle))
		body := bundle[2:end]
		if bundle = bundle[end:]; tlog.RecordHash(body) != want[i] {
			return other
		}
		e, err := Decode(body)
		if err != nil {
			return errors.New("it has entries that this program cannot read: it may be too old")
		}
		if e, ok := e.(*Superseded); ok {
			s.found[e.RequestID] = e
		}
	}
	return nil
}

// bundle reads a bundle; a partial one may be gone once the full one is there.
func (s *search) bundle(t tlog.Tile) ([]byte, error) {
	b, err := s.entries(TilePath(t))
	if errors.Is(err, fs.ErrNotExist) && t.W < 1<<TileHeight {
		t.W = 1 << TileHeight
		b, err = s.entries(TilePath(t))
	}
	return b, err
}

// superseded says of the certificate of a completed erasure whether the log has an
// entry that supersedes it, or that this cannot be told. It is no reason to refuse
// it: what it says was so.
func (v *verification) superseded(r *Result, now Head, more *report) {
	e, ok := r.Entry.(*Completed)
	if !ok {
		return
	}
	if v.search == nil || v.search.head.Size != now.Size || v.search.head.Origin != now.Origin {
		v.search = &search{head: now, fetch: v.fetch, entries: v.entries}
	}
	switch by, err := v.search.of(e.RequestID, r.Index); {
	case err != nil:
		more.line("superseded", "CANNOT TELL: %s", legible(err.Error()))
	case by != nil:
		more.line("superseded", "YES, %s (%s), by request %s, which has it erased again:", by.SupersededAt, by.Reason, by.SupersededBy)
		more.line("", "what this certificate says was so, and was not any more. Ask for the other's")
	default:
		more.line("superseded", "no, by none of the log's entries up to its %d", now.Size)
	}
}
