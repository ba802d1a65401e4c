package jobs

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lethe/audit/proof"
)

// A NotNow says why the state of a request does not let something be done to it.
// It wraps ErrConflict.
type NotNow struct {
	Code    string // what to ask in a program, such as "already_extended"
	Problem string // for people, with what to do
}

func (e *NotNow) Error() string { return e.Problem }

// Unwrap makes errors.Is(err, ErrConflict) true.
func (e *NotNow) Unwrap() error { return ErrConflict }

// An Exemption is a part of a request that is refused: nothing of a store, or of
// one place of it, is erased.
type Exemption struct {
	Request  string
	Store    string
	Place    string // "" for the whole store
	Reason   string // code
	By       string // opaque ID of the actor
	At       time.Time
	ReviewAt *time.Time // when it is to be looked at again, or nil
	IDs      int        // left, when the store was last read; IDs of a place with its own exemption count there alone
}

// Exemptions are those of one request, or of one store of it.
type Exemptions []Exemption

// Of returns the exemption of a place of a store, its own or else the whole
// store's, or nil.
func (x Exemptions) Of(storeName, place string) *Exemption {
	var whole *Exemption
	for i := range x {
		switch {
		case x[i].Store != storeName:
		case x[i].Place == place:
			return &x[i]
		case x[i].Place == "":
			whole = &x[i]
		}
	}
	return whole
}

// Extend implements Book.
func (in *Intake) Extend(ctx context.Context, by Actor, id, reason string) (Request, error) {
	if err := in.sees(ctx, by, ActDecide, id); err != nil {
		return Request{}, err
	}
	if err := in.Codes.CheckExtension(reason); err != nil {
		return Request{}, err
	}
	r, err := in.Ledger.Request(ctx, id)
	if err != nil {
		return Request{}, err
	}
	regime, known := in.clock().Regime(r.Regime)
	if !known {
		return Request{}, &NotNow{"no_regime", "the regime of the request is not configured any more"}
	}
	due, can := regime.Extended(r.ReceivedAt)
	if !can || r.Clock.ExtendedAt == nil && !due.After(r.DueAt) {
		return Request{}, &NotNow{"not_extendable", "the regime of the request knows no extension"}
	}
	e := &proof.Extended{
		RequestID: id, FirstDueAt: proof.At(r.DueAt), DueAt: proof.At(due), Reason: reason, By: by.ID, ExtendedAt: proof.At(in.Now()),
	}
	if err := in.Ledger.ExtendDue(ctx, e); err != nil {
		return Request{}, err
	}
	return in.look(ctx, id)
}

// Confirm implements Book.
func (in *Intake) Confirm(ctx context.Context, by Actor, id string) (Request, error) {
	if err := in.sees(ctx, by, ActDecide, id); err != nil {
		return Request{}, err
	}
	r, err := in.Ledger.Request(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if r.Clock.ConfirmBy == nil {
		return Request{}, &NotNow{"no_confirmation", "the regime of the request asks for no confirmation"}
	}
	e := &proof.Confirmed{RequestID: id, ConfirmBy: proof.At(*r.Clock.ConfirmBy), By: by.ID, ConfirmedAt: proof.At(in.Now())}
	if err := in.Ledger.ConfirmReceipt(ctx, e); err != nil {
		return Request{}, err
	}
	return in.look(ctx, id)
}

// Exempt implements Book.
func (in *Intake) Exempt(ctx context.Context, by Actor, id string, x Exemption) (Request, error) {
	if err := in.sees(ctx, by, ActDecide, id); err != nil {
		return Request{}, err
	}
	if err := in.Codes.CheckExemption(x.Reason); err != nil {
		return Request{}, err
	}
	now := in.Now().UTC().Truncate(time.Millisecond)
	if x.ReviewAt != nil && !x.ReviewAt.After(now) {
		return Request{}, &Invalid{"review_at", "must be in the future"}
	}
	r, err := in.Ledger.Request(ctx, id)
	if err != nil {
		return Request{}, err
	}
	if !slices.ContainsFunc(r.Jobs, func(j Job) bool { return j.Store == x.Store }) {
		return Request{}, &Invalid{"store", "must be one of the request's stores"}
	}
	if err := in.standsAlone(ctx, x); err != nil {
		return Request{}, err
	}
	x.Request, x.By, x.At = id, by.ID, now
	e := &proof.Exempted{
		RequestID: id, Store: x.Store, Place: x.Place, Reason: x.Reason, By: x.By,
		ReviewAt: proof.AtPointer(x.ReviewAt), ExemptedAt: proof.At(now),
	}
	if err := in.Ledger.Exempt(ctx, x, e); err != nil {
		return Request{}, err
	}
	return in.look(ctx, id)
}

// standsAlone refuses a place that its store has not, which would exempt
// nothing, and one whose rows hang on another's and go with them.
func (in *Intake) standsAlone(ctx context.Context, x Exemption) error {
	if x.Place == "" || in.Places == nil {
		return nil
	}
	places, err := in.Places(ctx, x.Store)
	if err != nil {
		return fmt.Errorf("exempt: %w", err)
	}
	for _, p := range places {
		switch {
		case p.Place != x.Place:
		case p.With != "":
			return &Invalid{"place", "must be one whose rows stand on their own: these go with the rows that they hang on, so exempt the place of those"}
		default:
			return nil
		}
	}
	return &Invalid{"place", "must be a place of the store's data map; lethe plan lists them"}
}
