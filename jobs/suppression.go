package jobs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"time"

	"lethe/audit/proof"
	"lethe/store"
)

// Of what was erased, digests stay in the ledger: of each ID and, if a request
// selected by one identity key and nothing else, of that. They are keyed, by a key
// of the month in which the request was carried out, and say nothing without it;
// with it they tell, of what stands in a store, whether it was to be gone.

// A Mark is such a digest.
type Mark [16]byte

// epochForm is how an epoch is written: the month, in UTC.
const epochForm = "2006-01"

// EpochOf returns the epoch of a time.
func EpochOf(t time.Time) string { return t.UTC().Format(epochForm) }

// IsEpoch reports whether s is written as an epoch is.
func IsEpoch(s string) bool {
	_, err := time.Parse(epochForm, s)
	return err == nil
}

// epochEnd returns the first instant after an epoch; the zero time for none.
func epochEnd(epoch string) time.Time {
	t, err := time.Parse(epochForm, epoch)
	if err != nil {
		return time.Time{}
	}
	return t.AddDate(0, 1, 0)
}

// A Marker makes the marks of one epoch. Not for concurrent use.
type Marker struct {
	Epoch string
	mac   hash.Hash
	sum   []byte
}

// NewMarker returns the Marker of an epoch by its key.
func NewMarker(epoch string, key []byte) *Marker {
	return &Marker{Epoch: epoch, mac: hmac.New(sha256.New, key), sum: make([]byte, 0, sha256.Size)}
}

// ID returns the mark of an ID in a store.
func (m *Marker) ID(storeName string, id store.ID) Mark {
	return m.mark("id", storeName, id.Place, id.Key)
}

// Who returns the mark of a value of an identity key, whatever store it stands in.
func (m *Marker) Who(f store.Field) Mark { return m.mark("who", f.Name, f.Value) }

// mark digests texts in such a way that no other texts have the same bytes.
func (m *Marker) mark(texts ...string) (mark Mark) {
	m.mac.Reset()
	var size [4]byte
	for _, t := range texts {
		binary.BigEndian.PutUint32(size[:], uint32(len(t))) //nolint:gosec // texts of memory are smaller
		m.mac.Write(size[:])
		m.mac.Write([]byte(t))
	}
	m.sum = m.mac.Sum(m.sum[:0])
	copy(mark[:], m.sum)
	return mark
}

// Marks returns the marks of some IDs of a store, one after the other.
func (m *Marker) Marks(storeName string, ids []store.ID) []byte {
	all := make([]byte, 0, len(ids)*len(Mark{}))
	for _, id := range ids {
		mark := m.ID(storeName, id)
		all = append(all, mark[:]...)
	}
	return all
}

// Identity returns what a Selector selects by, if that is one identity key and
// nothing else: only then is a person forgotten, and not a part of what there is.
func Identity(sel store.Selector) (f store.Field, alone bool) {
	who := sel.Identity()
	if len(who) != 1 || len(sel.Metadata) > 0 || sel.ByID() || sel.ByAge() {
		return f, false
	}
	return who[0], true
}

// An EpochKeys keeps the keys of epochs, and of requests; see the keyring.
type EpochKeys interface {
	Subject(request string) ([]byte, error)
	Epoch(epoch string, make bool) ([]byte, error)
	Epochs() ([]string, error)
	DestroyEpoch(epoch string) error
}

// A Suppressed is a completed request that an identifier was forgotten by.
type Suppressed struct {
	Request, FiledBy string
	ErasedAt         time.Time // as of when nothing of it was left
}

// destroyedEntry says that the key of an epoch is gone.
func destroyedEntry(epoch string, now time.Time) *proof.SuppressionDestroyed {
	return &proof.SuppressionDestroyed{Epoch: epoch, DestroyedAt: proof.At(now)}
}

// An Ending is what is kept of a request that is completed, besides its entry.
type Ending struct {
	KeyUntil time.Time       // when its subject key is to be destroyed
	Epoch    string          // of Who; "" for none
	Who      []Mark          // of the identifier that it selected by, if that alone
	Watch    []time.Duration // after its end, when it is looked whether anything has come back
}

// A Suppression says what an Eraser keeps to recognize what comes back.
type Suppression struct {
	Keys  EpochKeys
	Watch []time.Duration
}

// Marker returns the Marker of now.
func (s *Suppression) Marker(now time.Time) (*Marker, error) {
	epoch := EpochOf(now)
	key, err := s.Keys.Epoch(epoch, true)
	if err != nil {
		return nil, err
	}
	return NewMarker(epoch, key), nil
}

// SupersededReturned is why a request goes on as another one, in the log.
const SupersededReturned = "came-back"
