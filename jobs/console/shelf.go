package console

import (
	"sync"
	"time"
)

// A shelf keeps sessions in memory, a bounded number of them: when it is full,
// the one that would end first makes room. It implements scs.Store.
type shelf struct {
	mu   sync.Mutex
	max  int
	kept map[string]kept
}

type kept struct {
	data   []byte
	expiry time.Time
}

func newShelf(limit int) *shelf { return &shelf{max: limit, kept: map[string]kept{}} }

// Find implements scs.Store.
func (s *shelf) Find(token string) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.kept[token]
	if !ok || !time.Now().Before(k.expiry) {
		delete(s.kept, token)
		return nil, false, nil
	}
	return k.data, true, nil
}

// Commit implements scs.Store.
func (s *shelf) Commit(token string, data []byte, expiry time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.kept[token]; !known && len(s.kept) >= s.max {
		s.makeRoom()
	}
	s.kept[token] = kept{data, expiry}
	return nil
}

// makeRoom drops what has ended or, if nothing has, what ends first.
func (s *shelf) makeRoom() {
	var first string
	now := time.Now()
	for token, k := range s.kept {
		if !now.Before(k.expiry) {
			delete(s.kept, token)
		} else if first == "" || k.expiry.Before(s.kept[first].expiry) {
			first = token
		}
	}
	if len(s.kept) >= s.max {
		delete(s.kept, first)
	}
}

// Delete implements scs.Store.
func (s *shelf) Delete(token string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, token)
	return nil
}
