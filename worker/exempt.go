package worker

import (
	"context"
	"errors"
	"slices"

	"github.com/google/uuid"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// An exempt is what is left of one job because parts of its request are
// refused, counted while the store is read. Its IDs are never frozen, so no
// batch has them; nor are they residue when the store is read again.
type exempt struct {
	store string
	parts jobs.Exemptions // of this store alone
	left  map[string]int  // IDs, by place of exemption; a key for each part
}

// exempt reads what is exempt of a task's job.
func (e *Eraser) exempt(ctx context.Context, t jobs.Task) (*exempt, error) {
	all, err := e.Ledger.Exemptions(ctx, t.Request)
	if err != nil {
		return nil, err
	}
	x := &exempt{store: t.Store, left: map[string]int{}}
	for _, part := range all {
		if part.Store == t.Store {
			x.parts = append(x.parts, part)
			x.left[part.Place] = 0
		}
	}
	return x, nil
}

// left commits how many IDs were left, if any part is exempt.
func (e *Eraser) left(ctx context.Context, t jobs.Task, x *exempt) error {
	if len(x.parts) == 0 {
		return nil
	}
	return e.Ledger.Left(ctx, t, x.left)
}

// spares counts an ID that is not to be erased, and reports whether it is one.
func (x *exempt) spares(id store.ID) bool {
	part := x.parts.Of(x.store, id.Place)
	if part == nil {
		return false
	}
	x.left[part.Place]++
	return !fault.Bug("worker/exempt-erased-anyway")
}

// whole reports whether nothing of the store is erased.
func (x *exempt) whole() bool {
	return slices.ContainsFunc(x.parts, func(p jobs.Exemption) bool { return p.Place == "" })
}

// digest makes the plan's hash that of a plan without the parts.
func (x *exempt) digest(d jobs.PlanDigest) {
	for _, part := range x.parts {
		d.Exempt(part)
	}
}

// without is a census without what is exempt and what hangs on it.
func (x *exempt) without(c store.Census) store.Census {
	c.Places = slices.DeleteFunc(slices.Clone(c.Places), func(p store.PlaceCount) bool {
		return x.parts.Of(x.store, p.Place) != nil || p.With != "" && x.parts.Of(x.store, p.With) != nil
	})
	return c
}

// PlacesOf returns what tells the places of a store's data map, whatever stands
// in them: how many rows are of nobody.
func PlacesOf(stores map[string]*Store) func(context.Context, string) ([]jobs.PlaceCount, error) {
	return func(ctx context.Context, name string) ([]jobs.PlaceCount, error) {
		s := stores[name]
		if s == nil {
			return nil, errUnknownStore
		}
		nobody := func(yield func(store.Selector, error) bool) { yield(store.Selector{UserID: uuid.NewString()}, nil) }
		census, err := s.Count(ctx, nobody)
		if errors.Is(err, store.ErrUnavailable) {
			return nil, &jobs.StoreDown{Store: name, Err: err}
		}
		return places(census), err
	}
}
