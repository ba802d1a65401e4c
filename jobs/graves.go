package jobs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// A Grave is some marks of what a completed request has erased in a store. If the
// ledger was put back to an older state and only the log knows the request, it has
// no marks but its subject commitment. That tells one name or one ID by the
// request's subject key, and tells nothing of a request with several.
type Grave struct {
	Request    string
	ErasedAt   time.Time // as of when nothing of it was left in that store
	Exemptions Exemptions
	Epoch      string
	Marks      []byte // 16 bytes each
	Subject    string // the commitment, instead of Epoch and Marks
}

// graves are the marks that a store is compared with: 20 bytes each in memory.
type graves struct {
	store   string
	of      []Grave // without their marks
	markers []*Marker
	known   []known
	sworn   []sworn                 // by the log alone
	whose   map[store.Field][]int32 // what these have said of a name
}

// A sworn is the subject commitment of a request that only the log knows.
type sworn struct {
	subject string
	key     []byte
	of      int32
}

type known struct {
	mark Mark
	of   int32
}

// errNoKey: the ledger has marks of an epoch, and the keyring has no key for them.
// They say nothing then; nor will they again.
var errNoKey = errors.New("the key of an epoch is not there")

// dig reads the marks that a store is compared with. Marks and commitments whose key
// is not there are counted.
func dig(storeName string, keys EpochKeys, all iter.Seq2[Grave, error]) (_ *graves, keyless int, err error) {
	g := &graves{store: storeName, whose: map[store.Field][]int32{}}
	have := map[string]error{}
	number := map[string]int32{}
	of := func(x Grave) int32 {
		n, ok := number[x.Request]
		if !ok {
			n = int32(len(g.of)) //nolint:gosec // requests of one store
			number[x.Request] = n
			g.of = append(g.of, Grave{Request: x.Request, ErasedAt: x.ErasedAt, Exemptions: x.Exemptions})
		}
		return n
	}
	for x, err := range all {
		if err != nil {
			return nil, 0, err
		}
		if x.Subject != "" {
			key, err := keys.Subject(x.Request)
			switch {
			case errors.Is(err, ErrGone):
				keyless++
			case err != nil:
				return nil, 0, err
			default:
				g.sworn = append(g.sworn, sworn{x.Subject, key, of(x)})
			}
			continue
		}
		if _, asked := have[x.Epoch]; !asked {
			key, err := keys.Epoch(x.Epoch, false)
			switch {
			case errors.Is(err, ErrGone):
				err = errNoKey
			case err != nil:
				return nil, 0, err
			default:
				g.markers = append(g.markers, NewMarker(x.Epoch, key))
			}
			have[x.Epoch] = err
		}
		if have[x.Epoch] != nil {
			keyless += len(x.Marks) / len(Mark{})
			continue
		}
		n := of(x)
		for mark := range slices.Chunk(x.Marks, len(Mark{})) {
			if len(mark) == len(Mark{}) {
				g.known = append(g.known, known{Mark(mark), n})
			}
		}
	}
	slices.SortFunc(g.known, func(a, b known) int { return cmp.Or(bytes.Compare(a.mark[:], b.mark[:]), cmp.Compare(a.of, b.of)) })
	return g, keyless, nil
}

// match adds the requests that a mark is of to those of the row.
func (g *graves) match(mark Mark, f func(of int32)) {
	i, _ := slices.BinarySearchFunc(g.known, mark, func(k known, m Mark) int { return bytes.Compare(k.mark[:], m[:]) })
	for ; i < len(g.known) && g.known[i].mark == mark; i++ {
		f(g.known[i].of)
	}
}

// A fate says what a row is to a request that was to have erased it.
type fate byte

const (
	unknownRow fate = iota
	laterRow        // made afterwards, perhaps by who came back of their own will
	undatedRow      // it does not say when it was made
	backRow         // made before: it has come back
)

// look says what a row is to each request that has a mark of it, and what it is on
// the whole: what it is most.
func (g *graves) look(r store.Row, tell func(of int32, f fate)) (most fate) {
	said := func(of int32, f fate) {
		tell(of, f)
		most = max(most, f)
	}
	byID := func(of int32) {
		f := fateOf(r, g.of[of].ErasedAt)
		if f == undatedRow && random(r.ID.Key) {
			f = backRow // nobody makes the same ID again
		}
		said(of, f)
	}
	exempt := func(of int32) bool { // it never went
		return g.of[of].Exemptions.Of(g.store, r.ID.Place) != nil && !fault.Bug("watch/exempt-is-back")
	}
	byName := func(of int32) {
		if !exempt(of) {
			said(of, fateOf(r, g.of[of].ErasedAt.Add(-sweepSkew))) // by the clocks of others
		}
	}
	for _, m := range g.markers {
		g.match(m.ID(g.store, r.ID), byID)
		for _, who := range r.Who {
			g.match(m.Who(who), byName)
		}
	}
	if len(g.sworn) == 0 {
		return most
	}
	for _, of := range g.swornTo(store.Selector{IDs: []string{r.ID.Key}}) {
		if !exempt(of) {
			byID(of)
		}
	}
	for _, who := range r.Who {
		for _, of := range g.swornOf(who) {
			byName(of)
		}
	}
	return most
}

// maxWhose bounds how many names it is remembered of what they are to the log.
const maxWhose = 100_000

// swornOf is swornTo of a name, which many rows have.
func (g *graves) swornOf(who store.Field) []int32 {
	of, known := g.whose[who]
	if !known {
		if len(g.whose) == maxWhose {
			clear(g.whose)
		}
		of = g.swornTo(who.Selector())
		g.whose[who] = of
	}
	return of
}

// swornTo returns the requests whose commitment is that of a selector.
func (g *graves) swornTo(sel store.Selector) (of []int32) {
	text, err := EncodeSelector(sel)
	if err != nil {
		return nil // what no selector can say, nobody has asked for
	}
	for _, s := range g.sworn {
		if proof.SubjectCommitment(s.key, text) == s.subject {
			of = append(of, s.of)
		}
	}
	return of
}

func fateOf(r store.Row, erased time.Time) fate {
	switch {
	case r.Made.IsZero():
		return undatedRow
	case r.Made.Before(erased) || fault.Bug("watch/later-erased"):
		return backRow
	}
	return laterRow
}

// random reports whether an ID was made at random, and not counted or derived.
func random(key string) bool {
	id, err := uuid.Parse(key)
	return err == nil && (id.Version() == 4 || id.Version() == 7)
}

// A Return is what has come back of what one request, or several, had erased in a
// store, in IDs.
type Return struct{ Back, Later, Undated int }

func (r *Return) add(f fate) {
	switch f {
	case backRow:
		r.Back++
	case laterRow:
		r.Later++
	case undatedRow:
		r.Undated++
	case unknownRow:
	}
}

// A seen is what comparing a store with graves came to.
type seen struct {
	all      Return
	places   map[string]*Return
	requests map[string]*Return
}

// compare reads a store once. It calls back with the IDs of rows that have come
// back, or that do not say when they were made if undated is given, at most
// store.MaxBatch at a time; the slice is used again.
func (g *graves) compare(ctx context.Context, rows iter.Seq2[store.Row, error], undated bool, back func(ctx context.Context, ids []store.ID) error) (s seen, err error) {
	s = seen{places: map[string]*Return{}, requests: map[string]*Return{}}
	for _, x := range g.of {
		s.requests[x.Request] = new(Return)
	}
	var batch []store.ID
	mine := map[int32]fate{}
	for r, err := range rows {
		if err != nil {
			return s, fmt.Errorf("compare with what was erased: %w", err)
		}
		clear(mine)
		most := g.look(r, func(of int32, f fate) {
			if f == undatedRow && undated {
				f = backRow
			}
			mine[of] = max(mine[of], f)
		})
		if most == undatedRow && undated {
			most = backRow
		}
		if most == unknownRow {
			continue
		}
		for of, f := range mine {
			s.requests[g.of[of].Request].add(f)
		}
		s.all.add(most)
		if s.places[r.ID.Place] == nil {
			s.places[r.ID.Place] = new(Return)
		}
		s.places[r.ID.Place].add(most)
		if most != backRow {
			continue
		}
		if batch = append(batch, r.ID); len(batch) == store.MaxBatch {
			if err := back(ctx, batch); err != nil {
				return s, err
			}
			batch = batch[:0]
		}
	}
	if len(batch) > 0 {
		err = back(ctx, batch)
	}
	return s, err
}
