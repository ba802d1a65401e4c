package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/store"
)

// MaxHoldIDs is how many explicit IDs one hold may list. They are compared with
// every batch; more of them are several holds.
const MaxHoldIDs = 100_000

var (
	// ErrHolds is wrapped when holds have been placed since a batch was compared
	// with those that stood: it has to be compared again before it is erased.
	ErrHolds = errors.New("holds have been placed meanwhile")

	// ErrPlacing is wrapped while a hold is not in force yet, because batches
	// that began before it are still at work. It will be by itself.
	ErrPlacing = errors.New("the hold is being placed")
)

// A HoldState says whether a Hold forbids anything.
type HoldState string

// The states of a Hold, in order. One that is being placed forbids already
// whatever has not begun; what has begun before may still be erased.
const (
	HoldPlacing HoldState = "placing"
	HoldActive  HoldState = "active"
	HoldEnded   HoldState = "ended"
)

// ReasonUntil is the reason code of a hold that ended because its time had come.
const ReasonUntil = "until"

// A Hold forbids to erase what a selector selects, whichever request asks for
// it. The selector is sealed in the ledger and leaves it when the hold ends.
type Hold struct {
	ID        string // UUID version 7
	State     HoldState
	Reason    string // code
	By        string // see Actor
	CreatedAt time.Time
	PlacedAt  *time.Time // in force since
	Until     *time.Time // nil for until it is released
	EndedAt   *time.Time
	EndedBy   string
	EndReason string // code
	Subject   string // commitment under a key of the hold's own
}

// A HoldOrder is what somebody who places a hold says.
type HoldOrder struct {
	Selector store.Selector // at most MaxHoldIDs IDs
	Reason   string         // code
	Until    time.Time      // zero for until it is released
}

// A Standing is a hold that forbids: also one that is being placed.
type Standing struct {
	ID       string
	Selector store.Selector // not to be changed
}

// Holds is what a door may ask about holds. *Custodian is one.
//
// Methods may be called concurrently. Their errors wrap ErrForbidden, ErrNotFound,
// ErrInvalid, store.ErrSelector, ErrTooLate for a hold that has ended, or
// ErrPlacing.
type Holds interface {
	// PlaceHold returns once the hold is in force: from then on nothing is erased
	// that it selects. If that takes too long the error wraps ErrPlacing, and the
	// hold comes into force later.
	PlaceHold(ctx context.Context, o HoldOrder, by Actor) (Hold, error)
	// Holds returns all holds that have not ended, oldest first.
	Holds(ctx context.Context, by Actor) ([]Hold, error)
	// ReleaseHold ends a hold. What only it has kept is erased by itself then.
	ReleaseHold(ctx context.Context, id, reason string, by Actor) (Hold, error)
}

// A HoldLedger is what a Custodian needs of the book's keeper.
type HoldLedger interface {
	// AddHold commits a hold that is being placed, with its canonical selector. No
	// batch that is fenced after it has returned passes it by.
	AddHold(ctx context.Context, h Hold, selector []byte) error
	// Activate puts a hold in force and logs it, unless a batch that was not
	// compared with it may still be at work. It is idempotent.
	Activate(ctx context.Context, id string) (active bool, err error)
	// EndHold ends a hold that is in force and logs it. ErrTooLate if it has
	// ended, ErrPlacing if it is not in force yet.
	EndHold(ctx context.Context, id, by, reason string) error
	// Unhold makes ready again what was held when fewer holds had ended.
	Unhold(ctx context.Context) error

	Hold(ctx context.Context, id string) (Hold, error)
	Holds(ctx context.Context) ([]Hold, error)
	// HoldsDue returns the holds that are being placed, and those in force whose
	// time has come.
	HoldsDue(ctx context.Context) (placing, over []string, err error)
}

// A Custodian places holds and ends them. Its fields are set before the first
// call and not changed; Poll and Patience may be zero.
type Custodian struct {
	Ledger   HoldLedger
	Keys     Keyring
	Now      func() time.Time
	Poll     time.Duration // how often it is looked whether a hold can be in force; 0 for 50 ms
	Patience time.Duration // how long PlaceHold waits for that; 0 for 25 s

	ids sequence
}

var _ Holds = (*Custodian)(nil)

// CheckHoldReason returns an error unless v is a code of a reason. It is never
// free text: that would name people.
func CheckHoldReason(v string) error {
	if !proof.IsCode(v) {
		return &Invalid{"reason", "must be a code of lower-case letters, digits and . _ / + -, such as litigation-2026-14"}
	}
	return nil
}

// PlaceHold implements Holds. The hold is committed first; a crash after that
// leaves one that is being placed, which Turn goes on with.
func (c *Custodian) PlaceHold(ctx context.Context, o HoldOrder, by Actor) (Hold, error) {
	if err := by.Check(ActHold); err != nil {
		return Hold{}, err
	}
	h, selector, err := c.order(o, by)
	if err != nil {
		return Hold{}, err
	}
	if err := c.Keys.Create(h.ID); err != nil {
		return Hold{}, err
	}
	key, err := c.Keys.Subject(h.ID)
	if err != nil {
		return Hold{}, err
	}
	h.Subject = proof.SubjectCommitment(key, selector)
	fault.Point("jobs/hold-keyed")
	if err := c.Ledger.AddHold(ctx, h, selector); err != nil {
		return Hold{}, err // ambiguous: the keys stay until the reconciler knows better
	}
	fault.Point("jobs/hold-added")
	if err := c.activate(ctx, h.ID); err != nil {
		return Hold{}, err
	}
	fault.Point("jobs/hold-active")
	return c.Ledger.Hold(ctx, h.ID)
}

// order checks what was said and makes a hold of it.
func (c *Custodian) order(o HoldOrder, by Actor) (Hold, []byte, error) {
	o.Selector.IDs = distinct(o.Selector.IDs)
	if err := o.Selector.Validate(); err != nil {
		return Hold{}, nil, err
	}
	if len(o.Selector.IDs) > MaxHoldIDs {
		return Hold{}, nil, &store.FieldError{Field: "selector.ids", Problem: fmt.Sprintf("must have at most %d IDs; place several holds", MaxHoldIDs)}
	}
	if err := CheckHoldReason(o.Reason); err != nil {
		return Hold{}, nil, err
	}
	now := c.Now().UTC().Truncate(time.Millisecond)
	h := Hold{ID: c.ids.id(now), State: HoldPlacing, Reason: o.Reason, By: by.ID, CreatedAt: now}
	if !o.Until.IsZero() {
		until := o.Until.UTC().Truncate(time.Millisecond)
		if !until.After(now) || until.After(now.AddDate(100, 0, 0)) {
			return Hold{}, nil, &Invalid{"until", "must be in the future, and within 100 years"}
		}
		h.Until = &until
	}
	selector, err := EncodeSelector(o.Selector)
	return h, selector, err
}

// activate waits until a hold is in force.
func (c *Custodian) activate(ctx context.Context, id string) error {
	poll, patience := c.Poll, c.Patience
	if poll == 0 {
		poll = 50 * time.Millisecond
	}
	if patience == 0 {
		patience = 25 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		active, err := c.Ledger.Activate(ctx, id)
		if err == nil && active || fault.Bug("holds/answer-early") {
			return err
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("place hold: %w", ErrPlacing)
		case <-time.After(poll):
		}
	}
}

// Holds implements Holds.
func (c *Custodian) Holds(ctx context.Context, by Actor) ([]Hold, error) {
	if err := by.Check(ActHolds); err != nil {
		return nil, err
	}
	return c.Ledger.Holds(ctx)
}

// ReleaseHold implements Holds. The rows that it has kept are made ready after
// the commit; what a crash leaves of that, Turn does.
func (c *Custodian) ReleaseHold(ctx context.Context, id, reason string, by Actor) (Hold, error) {
	if err := by.Check(ActHold); err != nil {
		return Hold{}, err
	}
	if err := CheckHoldReason(reason); err != nil {
		return Hold{}, err
	}
	if err := c.end(ctx, id, by.ID, reason); err != nil {
		return Hold{}, err
	}
	if err := c.Ledger.Unhold(ctx); err != nil {
		return Hold{}, err
	}
	return c.Ledger.Hold(ctx, id)
}

// end ends a hold and destroys its keys: nobody needs its selector any more.
func (c *Custodian) end(ctx context.Context, id, by, reason string) error {
	if err := c.Ledger.EndHold(ctx, id, by, reason); err != nil {
		return err
	}
	fault.Point("jobs/hold-ended")
	return errors.Join(c.Keys.DestroySubject(id), c.Keys.DestroySeal(id))
}

// Turn goes on with holds that are being placed, ends those whose time has come,
// and makes ready what ended holds have left. Several may run at once.
func (c *Custodian) Turn(ctx context.Context) error {
	placing, over, err := c.Ledger.HoldsDue(ctx)
	if err != nil {
		return err
	}
	for _, id := range placing {
		_, failed := c.Ledger.Activate(ctx, id)
		err = errors.Join(err, failed)
	}
	for _, id := range over {
		if ended := c.end(ctx, id, ActorSystem.ID, ReasonUntil); !errors.Is(ended, ErrTooLate) { // else another process was faster
			err = errors.Join(err, ended)
		}
	}
	return errors.Join(err, c.Ledger.Unhold(ctx))
}
