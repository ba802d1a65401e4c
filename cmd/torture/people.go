//go:build torture

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"lethe/jobs"
	"lethe/jobs/api"
)

// A person is a token that somebody has.
type person struct {
	ID     string `json:"id"`
	Secret string `json:"token"`
}

// A cast are who acts in a case with tokens: one files, and another decides. Both
// are admins, so that nothing but being two keeps them apart.
type cast struct {
	filer, second person
	ears          *ears
	most          int // found IDs beyond which a plan has to be approved; 0 for always
}

// What the second person does about a request, besides approving it.
const (
	partNone   = ""
	partReject = "reject"
	partDrift  = "drift" // one more row comes between the look at the plan and the approval
	partHold   = "hold"
	partExempt = "exempt"
	partExtend = "extend"
)

// A deed is what a second person does about an ask, and what came of it. It is
// the second person's alone until it is over.
type deed struct {
	part    string
	holdIDs []string // what is held; the whole person if there are none
	late    *thing   // the row that comes later
	store   string   // what is exempt
	place   string   // likewise; "" for all of the store

	done     bool // the part was answered
	looked   bool // the plan was looked at once
	approved int  // how often
	placed   time.Time
	released bool
	stood    map[string]string // rows that were there when the hold was answered
	over     bool              // nothing more will be done; under the ask's mutex
}

// actors says who acts in a case, and puts into its configuration what they need.
func (c *kase) actors(w *world, b *book, s story, set *settings) (*cast, error) {
	c.parts(w, b)
	who := &cast{}
	set.most = "max_rows: 10000000, max_fraction: 1, tolerance: 0"
	if len(s.parts) > 0 || c.rng.IntN(2) == 0 {
		set.extra += "approval: always\n"
	} else {
		who.most = 1 + c.rng.IntN(3)
		set.most = fmt.Sprintf("max_rows: %d, max_fraction: 1, tolerance: 0", who.most)
	}
	var err error
	if who.ears, err = c.listen(b); err != nil {
		return nil, err
	}
	text, err := who.ears.configured(c.dir)
	set.extra += text
	return who, err
}

// peopled makes the tokens of a case, with the service's own command, before it
// has ever run.
func (h *house) peopled(ctx context.Context, who *cast) error {
	h.cast = who
	for name, p := range map[string]*person{"who files": &h.cast.filer, "who decides": &h.cast.second} {
		cmd := exec.CommandContext(ctx, h.binary, "token", "create", "--config", h.config, "--role", "admin", "--name", name, "--json")
		cmd.Env = append(os.Environ(), "TMPDIR="+h.dir)
		text, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("make a token: %w", err)
		}
		if err := json.Unmarshal(text, p); err != nil || p.ID == "" || p.Secret == "" {
			return fmt.Errorf("make a token: it says %q (%w)", text, err)
		}
	}
	return nil
}

// parts gives every ask of a case something that the second person does about it.
// Where one is asked for already it stays.
func (c *kase) parts(w *world, b *book) {
	for _, a := range b.asks {
		part := partNone
		if a.deed != nil {
			part = a.deed.part
		} else if a.cancel == 0 {
			part = pick(c.rng, partNone, partNone, partNone, partReject, partDrift, partHold, partHold, partExempt, partExtend)
		}
		if a.user == "" && (part == partDrift || part == partExempt) {
			part = partHold
		}
		d := &deed{part: part}
		a.deed, a.notify = d, a.notify || c.rng.IntN(3) == 0
		var own []string
		for _, in := range w.stores {
			if a.asked(in) {
				own = append(own, in.memoriesOf(a.user)...)
				d.store = in.name
			}
		}
		d.place = pick(c.rng, "memories", "messages", "")
		d.late = &thing{place: "memories", id: newID(c.rng), user: a.user, secret: w.token + newToken(c.rng), late: &lateness{}}
		if a.user == "" {
			own = distinct(a.ids)
		}
		if len(own) > 1 && (a.user == "" || c.rng.IntN(2) == 0) {
			d.holdIDs = own[:1+min(len(own)-1, 900)/2]
		} else if a.user == "" {
			d.holdIDs = own
		}
	}
}

// second returns the client of the second person.
func (h *house) second() *api.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.now != nil:
		return h.now.second
	case h.beside != nil:
		return h.beside.second
	}
	return nil
}

// act is the second person, at one ask, until the request has ended.
func (h *house) act(ctx context.Context, a *ask) {
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.deed.over = true
	}()
	d := a.deed
	for ctx.Err() == nil {
		var r api.Request
		if err := h.as(ctx, h.second, func(ctx context.Context, c *api.Client) (err error) {
			r, err = c.Request(ctx, a.id)
			return err
		}); err != nil {
			return // who watches it says so
		}
		begun := r.Status != jobs.Received && r.Status != jobs.Planning && r.Status != jobs.Waiting
		if d.part == partHold && d.placed.IsZero() && begun {
			h.hold(ctx, a)
		}
		if !d.placed.IsZero() && !d.released && (r.Status == jobs.Held || r.Status.Ended() || time.Since(d.placed) > 2*time.Second) {
			h.unhold(ctx, a)
		}
		switch {
		case r.Status.Ended():
			return
		case r.Status == jobs.AwaitingApproval:
			h.decide(ctx, a, r)
		}
		select {
		case <-ctx.Done():
		case <-time.After(80 * time.Millisecond):
		}
	}
}

// decide does about a plan that waits what is to be done.
func (h *house) decide(ctx context.Context, a *ask, r api.Request) {
	d := a.deed
	if !d.looked {
		d.looked = true
		h.untouched(ctx, a)
		h.approveOwn(ctx, a, r.PlanHash)
	}
	var err error
	switch {
	case d.part == partReject:
		err = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
			_, err := c.Reject(ctx, a.id, "unfounded")
			return err
		})
		d.done = d.done || err == nil
		h.unless(ctx, a, "reject", err, "too_late")
		return
	case d.done:
	case d.part == partDrift:
		d.done = h.drift(ctx, a)
	case d.part == partExempt:
		err = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
			_, err := c.Exempt(ctx, a.id, api.Refused{Store: d.store, Place: d.place, Reason: "art17-3-b"})
			return err
		})
		d.done = h.unless(ctx, a, "exempt", err, "already_exempt")
		return // there will be another plan
	case d.part == partExtend:
		err = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
			_, err := c.Extend(ctx, a.id, "complexity")
			return err
		})
		d.done = h.unless(ctx, a, "extend", err, "already_extended")
	}
	err = h.as(ctx, h.second, func(ctx context.Context, c *api.Client) error {
		_, err := c.Approve(ctx, a.id, r.PlanHash)
		return err
	})
	if err == nil {
		d.approved++
	}
	h.unless(ctx, a, "approve", err, "not_waiting", "plan_changed")
}

// unless notes a refusal that is none of these codes, each of which says that an
// answer was lost, or that somebody else was faster. It reports whether it was
// none but these, or no error.
func (h *house) unless(ctx context.Context, a *ask, what string, err error, codes ...string) bool {
	if err == nil {
		return true
	}
	if ctx.Err() != nil {
		return false
	}
	code := refusedFor(err)
	for _, c := range append(codes, "too_late") {
		if c == code {
			return c != "too_late" || len(codes) == 1 && codes[0] == c
		}
	}
	a.wrong("%s: %w", what, err)
	return false
}

// approveOwn has who filed a request approve it, which must be refused.
func (h *house) approveOwn(ctx context.Context, a *ask, hash string) {
	err := h.as(ctx, h.client, func(ctx context.Context, c *api.Client) error {
		_, err := c.Approve(ctx, a.id, hash)
		return err
	})
	if code := refusedFor(err); ctx.Err() == nil && code != "self_approval" && (code != "not_waiting" || a.cancel == 0) {
		a.wrong("request %s: APPROVED BY WHO FILED IT, or so it seems: %w", a.id, err)
	}
}

// untouched makes sure that all of a request that waits is there.
func (h *house) untouched(ctx context.Context, a *ask) {
	for _, in := range h.world.stores {
		if !a.asked(in) {
			continue
		}
		now, err := in.snapshot(ctx)
		if err != nil {
			h.note("store %s: %v", in.name, err)
			continue
		}
		for _, t := range h.selected(in, a.user, a.ids) {
			if _, there := now[t.key(in)]; !there {
				a.wrong("request %s, store %s: ERASED BEFORE IT WAS APPROVED: %s is gone", a.id, in.name, t.key(in))
			}
		}
	}
}

// selected is that of an installation, which others may be adding to.
func (h *house) selected(in *installation, user string, ids []string) []*thing {
	h.mu.Lock()
	defer h.mu.Unlock()
	return in.selected(user, ids)
}

// drift writes one more memory of the person.
func (h *house) drift(ctx context.Context, a *ask) bool {
	for _, in := range h.world.stores {
		if !a.asked(in) {
			continue
		}
		t := a.deed.late
		t.late.begun = time.Now().UnixMilli()
		if err := in.write(ctx, []*thing{t}); err != nil {
			h.note("a memory was not written: %v", err)
			return false
		}
		t.late.written = time.Now().UnixMilli()
		h.mu.Lock()
		defer h.mu.Unlock()
		in.rows = append(in.rows, t)
		in.addFirst(t)
		return true
	}
	return true
}

// refusedFor is the code of a refusal, or "".
func refusedFor(err error) string {
	var refused *api.Problem
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
