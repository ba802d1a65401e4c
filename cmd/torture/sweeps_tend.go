//go:build torture

package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// thinks is how long it takes who approves a sweep: longer than from one tick to the
// next, which is refused meanwhile.
const thinks = 2*tickEvery + time.Second/2

// tend is everybody who has to do with sweeps, until ctx ends: who places a hold, who
// writes more, who approves; and who looks how far it is.
func (h *house) tend(ctx context.Context, br *broom) {
	for ctx.Err() == nil {
		due, left, err := h.unswept(ctx, br)
		if err == nil {
			br.note(due > 0)
		}
		h.placeHold(ctx, br)
		switch {
		case err != nil:
			left = err.Error()
		case due == 0 && len(br.stock) > 0:
			left = h.more(ctx, br)
		}
		if open := h.openSweeps(ctx, br); left == "" {
			left = open
		}
		br.mu.Lock()
		br.state = left
		br.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// note remembers whether there is something to sweep.
func (br *broom) note(due bool) {
	br.mu.Lock()
	defer br.mu.Unlock()
	last := len(br.spans) - 1
	switch busy := last >= 0 && br.spans[last].to.IsZero(); {
	case due && !busy:
		br.spans = append(br.spans, span{from: time.Now()})
	case !due && busy:
		br.spans[last].to = time.Now()
	}
}

// left says what of a case's sweeps is left to be done; "" for nothing, and if there
// are none.
func (br *broom) left() string {
	if br == nil {
		return ""
	}
	br.mu.Lock()
	defer br.mu.Unlock()
	return br.state
}

// atWork reports whether there was something to sweep at a time.
func (br *broom) atWork(at time.Time) bool {
	if br == nil {
		return false
	}
	br.mu.Lock()
	defer br.mu.Unlock()
	return slices.ContainsFunc(br.spans, func(s span) bool { return s.from.Before(at) && (s.to.IsZero() || s.to.After(at)) })
}

// unswept counts the rows that are there and should be gone by and by, and says why
// there may be more of them.
func (h *house) unswept(ctx context.Context, br *broom) (due int, why string, err error) {
	now := time.Now()
	if br.since.IsZero() {
		if br.since, err = h.firstSeen(ctx); err != nil {
			return 0, "", err
		}
	}
	for _, in := range h.world.stores {
		var rows []*thing
		h.mu.Lock()
		for _, t := range in.rows {
			if br.meant(t, now) {
				rows = append(rows, t)
			}
		}
		h.mu.Unlock()
		n, err := in.count(ctx, rows)
		if err != nil {
			return 0, "", err
		}
		due += n
	}
	switch {
	case due > 0:
		why = fmt.Sprintf("%d rows that are old enough", due)
	case br.since.IsZero():
		why = "policies that were never looked at"
	case now.Before(br.settled) || now.Before(br.tick):
		why = "rows that come of age"
	}
	return due, why, nil
}

// meant reports whether some policy takes a row that is as old as it is at a time.
func (br *broom) meant(t *thing, now time.Time) bool {
	if t.age == nil || t.age.made.IsZero() || t.age.held {
		return false
	}
	switch t.age.policy {
	case policyEnded: // a policy that is seen after its tick waits for the next one
		return !now.Before(br.tick) && br.since.Before(br.tick) && !br.since.IsZero()
	case policyBraked:
		return br.approves && now.After(t.age.crosses())
	}
	return now.After(t.age.crosses())
}

// firstSeen returns when policyEnded was first seen, or zero. It opens the ledger in
// such a way that it changes nothing, even if no service has it open.
func (h *house) firstSeen(ctx context.Context) (time.Time, error) {
	db, err := h.records()
	if h.ledger == "" && err == nil {
		_ = db.Close()
		db.DB, err = sql.Open("sqlite3", "file:"+filepath.Join(h.dir, "data", "ledger.db")+"?mode=ro&_busy_timeout=1000")
	}
	if err != nil {
		return time.Time{}, err
	}
	defer db.Close()
	var ms int64
	err = db.QueryRowContext(ctx, `SELECT since FROM policies WHERE policy = '`+policyEnded+`'`).Scan(&ms)
	if err != nil { // not yet, or nobody has made the ledger
		return time.Time{}, nil //nolint:nilerr // it is asked again
	}
	return time.UnixMilli(ms), nil
}

// count returns how many of some rows are there.
func (in *installation) count(ctx context.Context, rows []*thing) (n int, err error) {
	of := map[string][]any{}
	for _, t := range rows {
		path, table := in.files.Vectors, "vectors"
		if t.place == "messages" {
			path, table = in.files.History, "messages"
		}
		of[path+"\x00"+table] = append(of[path+"\x00"+table], t.id)
	}
	for at, ids := range of {
		path, table, _ := strings.Cut(at, "\x00")
		db, err := sql.Open("sqlite3", "file:"+path+"?_busy_timeout=20000")
		if err != nil {
			return 0, err
		}
		var some int
		err = db.QueryRowContext(ctx, `SELECT count(*) FROM `+table+` WHERE id IN (?`+strings.Repeat(", ?", len(ids)-1)+`)`, ids...).Scan(&some)
		if err = errors.Join(err, db.Close()); err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

// more writes the next portion. What is held comes first, once the hold stands.
func (h *house) more(ctx context.Context, br *broom) (left string) {
	if !br.stands {
		return "a hold that is to be placed"
	}
	in := h.world.stores[0]
	if err := in.write(ctx, br.stock[0]); err != nil {
		return "rows that could not be written: " + err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range br.stock[0] {
		in.rows = append(in.rows, t)
		in.addFirst(t)
	}
	br.stock = br.stock[1:]
	return "rows that have just been written"
}

// placeHold places the hold, unless it stands.
func (h *house) placeHold(ctx context.Context, br *broom) {
	c := h.client()
	if br.stands || c == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	all, err := c.Holds(ctx)
	if err != nil {
		return
	}
	i := slices.IndexFunc(all, func(x api.Hold) bool { return x.Reason == br.reason })
	if i >= 0 {
		br.stands = all[i].State == jobs.HoldActive
		return
	}
	a := &ask{user: heldUser(h.world.token)}
	_, _ = c.PlaceHold(ctx, a.submission(), br.reason, time.Time{}) // the list says whether it stands
}

// openSweeps says what sweeps have not ended, and approves those that wait for it if
// that is to be.
func (h *house) openSweeps(ctx context.Context, br *broom) string {
	c := h.client()
	if c == nil {
		return "nobody who answers"
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var open []string
	waits := false
	for r, err := range c.List(ctx, slices.DeleteFunc(slices.Clone(jobs.Statuses()), jobs.Status.Ended)...) {
		switch {
		case err != nil:
			return "nobody who answers"
		case r.Origin != jobs.OriginSweep:
		case r.Status == jobs.AwaitingApproval && !br.approves && r.FiledBy == "policy/"+policyBraked:
			waits = true
		default:
			open = append(open, fmt.Sprintf("request %s of %s is %s", r.ID, r.FiledBy, r.Status))
			if r.Status != jobs.AwaitingApproval || !br.approves {
				continue
			}
			if br.waits.IsZero() {
				br.waits = time.Now()
			}
			if time.Since(br.waits) > thinks {
				_, _ = c.Approve(ctx, r.ID, r.PlanHash) // the next look says whether it was
			}
		}
	}
	if !waits && !br.approves {
		open = append(open, "a sweep that is to wait for an approval")
	}
	return strings.Join(open, ", ")
}
