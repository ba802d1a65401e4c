package jobs

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// Times are what the clock of one request shows besides its due date.
type Times struct {
	ConfirmBy      *time.Time // the last second in which its receipt is to be confirmed, or nil if it need not be
	ConfirmedAt    *time.Time
	ConfirmOverdue bool // whether ConfirmBy has passed without, and the request has not ended

	ExtendedAt *time.Time
	FirstDueAt *time.Time // what DueAt was before
	ExtendedBy string     // opaque ID of the actor
	Reason     string     // why it was extended, as a code
}

// start sets what a request's clock shows at its receipt.
func (r *Request) start(regime Regime) {
	r.DueAt = regime.Due(r.ReceivedAt)
	if by, asked := regime.ConfirmBy(r.ReceivedAt); asked {
		r.Clock.ConfirmBy = &by
	}
}

// lateness says what of r's clock has run out at a time, and shows its times by
// the calendar of a zone.
func (r *Request) lateness(now time.Time, zone *time.Location) {
	r.DueAt = r.DueAt.In(zone)
	r.Overdue = !r.Status.Ended() && now.After(r.DueAt)
	if by := r.Clock.ConfirmBy; by != nil {
		r.Clock.ConfirmBy = new(by.In(zone))
		r.Clock.ConfirmOverdue = !r.Status.Ended() && r.Clock.ConfirmedAt == nil && now.After(*by)
	}
}

// clock is the Clock that counts.
func (in *Intake) clock() *Clock {
	if in.Clock != nil {
		return in.Clock
	}
	c, err := NewClock("")
	if err != nil { // it has built-in regimes alone
		panic(err)
	}
	return c
}

// tellTime says of r what its clock says now.
func (in *Intake) tellTime(r *Request) {
	zone := time.UTC
	if regime, known := in.clock().Regime(r.Regime); known {
		zone = regime.zone()
	}
	r.lateness(in.Now(), zone)
}

// A Due selects requests by their deadline.
type Due string

// What can be asked for. Each within has those overdue in it.
const (
	Overdue     Due = "overdue"
	DueIn1      Due = "1d"
	DueIn3      Due = "3d"
	DueIn7      Due = "7d"
	Unconfirmed Due = "unconfirmed" // by the period for the confirmation of their receipt
)

// Dues returns every Due.
func Dues() []Due { return []Due{Overdue, DueIn1, DueIn3, DueIn7, Unconfirmed} }

// ParseDue returns the Due that s names, and whether there is one.
func ParseDue(s string) (Due, bool) {
	d := Due(s)
	return d, d == Unconfirmed || d.within() >= 0
}

// within is how soon a request is due that is listed, or -1.
func (d Due) within() time.Duration {
	const day = 24 * time.Hour
	switch d {
	case Overdue:
		return 0
	case DueIn1:
		return day
	case DueIn3:
		return 3 * day
	case DueIn7:
		return 7 * day
	}
	return -1
}

// A DueQuery is what a Ledger is asked for a list by deadline.
type DueQuery struct {
	Until       time.Time // exclusive; zero for any
	Unconfirmed bool
	Statuses    []Status
	FiledBy     string // "" for anybody
	Limit       int
	AfterAt     time.Time // with AfterID, the place after which to go on
	AfterID     string
}

// ListDue implements Book.
func (in *Intake) ListDue(ctx context.Context, by Actor, due Due, statuses []Status, limit int, cursor string) ([]Request, string, error) {
	if err := by.Check(ActRead); err != nil {
		return nil, "", err
	}
	q := DueQuery{Unconfirmed: due == Unconfirmed, Statuses: statuses, Limit: limit + 1}
	if !by.SeesAll() {
		q.FiledBy = by.ID
	}
	if d := due.within(); d >= 0 {
		q.Until = in.Now().Add(d)
	}
	if cursor != "" {
		at, id, ok := strings.Cut(cursor, ".")
		ms, err := strconv.ParseInt(at, 10, 64)
		if err != nil || !ok {
			return nil, "", &Invalid{"cursor", "must be the next_cursor of an answer"}
		}
		q.AfterAt, q.AfterID = time.UnixMilli(ms), id
	}
	list, err := in.Ledger.ListDue(ctx, q)
	for i := range list {
		in.explain(&list[i])
		in.tellTime(&list[i])
	}
	if err != nil || len(list) <= limit {
		return list, "", err
	}
	list = list[:limit]
	last := list[limit-1]
	at := last.DueAt
	if q.Unconfirmed {
		at = *last.Clock.ConfirmBy
	}
	return list, strconv.FormatInt(at.UnixMilli(), 10) + "." + last.ID, nil
}
