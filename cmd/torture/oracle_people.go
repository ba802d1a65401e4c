//go:build torture

package main

import (
	"slices"

	"lethe/audit/proof"
	"lethe/jobs"
)

// exempts reports whether a row stays because a part of the request was refused.
func (a *ask) exempts(in *installation, t *thing) bool {
	d := a.deed
	return d != nil && d.part == partExempt && d.done && d.store == in.name && (d.place == "" || d.place == t.place)
}

// find returns an ask, or nil.
func (b *book) find(is func(*ask) bool) *ask {
	if i := slices.IndexFunc(b.asks, is); i >= 0 {
		return b.asks[i]
	}
	return nil
}

func (b *book) byID(id string) *ask { return b.find(func(a *ask) bool { return a.id == id }) }

// decisions makes sure of each entry that a person stands behind that it is the
// right one, and returns the entries that may be there besides those that every
// request has. It returns no others if nobody decides.
func (o *oracle) decisions(entries []proof.Entry) map[string]bool {
	known := map[string]bool{}
	if o.cast == nil {
		return known
	}
	for _, e := range entries {
		by, want, asked := o.decision(e)
		if by != want {
			o.wrong("entry %s is by %q, want %q", e.ID(), by, want)
		}
		if asked {
			known[e.ID()] = true
		}
	}
	for _, p := range []person{o.cast.filer, o.cast.second} {
		if id := (&proof.TokenCreated{TokenID: p.ID}).ID(); !known[id] {
			o.wrong("the log has no entry of token %s", p.ID)
		}
	}
	for _, a := range o.book.asks {
		d := a.deed
		for _, must := range []struct {
			is bool
			e  proof.Entry
		}{
			{d.part == partExempt && d.done, &proof.Exempted{RequestID: a.id, Store: d.store, Place: d.place}},
			{d.part == partExtend && d.done, &proof.Extended{RequestID: a.id}},
		} {
			if must.is && !known[must.e.ID()] {
				o.wrong("the log does not have %s, which was answered", must.e.ID())
			}
		}
	}
	o.holds(entries)
	return known
}

// decision returns by whom an entry is, by whom it should be, and whether
// somebody has asked for it. Of entries of other kinds it returns nothing.
func (o *oracle) decision(e proof.Entry) (by, want string, asked bool) {
	filer, second := o.cast.filer.ID, o.cast.second.ID
	has := func(id string, parts ...string) bool {
		a := o.book.byID(id)
		return a != nil && (len(parts) == 0 || slices.Contains(parts, a.deed.part))
	}
	held := func(reason string) bool {
		return o.book.find(func(a *ask) bool { return a.key == reason && a.deed.part == partHold }) != nil
	}
	switch e := e.(type) {
	case *proof.Accepted:
		return e.By, filer, false
	case *proof.Cancelled:
		return e.By, filer, false
	case *proof.Rejected:
		return e.By, second, false
	case *proof.Approved:
		return e.By, second, has(e.RequestID)
	case *proof.Exempted:
		return e.By, second, has(e.RequestID, partExempt)
	case *proof.Extended:
		return e.By, second, has(e.RequestID, partExtend)
	case *proof.HoldPlaced:
		return e.By, second, held(e.Reason)
	case *proof.HoldReleased:
		return e.By, second, e.Reason == "lifted"
	case *proof.TokenCreated:
		return e.By, jobs.ActorLocal.ID, e.TokenID == filer || e.TokenID == second
	}
	return "", "", false
}

// holds makes sure that what was held and released stands in the log as that.
func (o *oracle) holds(entries []proof.Entry) {
	placed, released := map[string]string{}, map[string]bool{} // hold ID to reason
	for _, e := range entries {
		switch e := e.(type) {
		case *proof.HoldPlaced:
			placed[e.HoldID] = e.Reason
		case *proof.HoldReleased:
			released[e.HoldID] = true
		}
	}
	for id := range released {
		if placed[id] == "" {
			o.wrong("hold %s was released and never placed, says the log", id)
		}
	}
	for _, a := range o.book.asks {
		if a.deed.placed.IsZero() {
			continue
		}
		n := 0
		for id, reason := range placed {
			if reason != a.key {
				continue
			}
			n++
			if a.deed.released && !released[id] {
				o.wrong("hold %s of request %s was released, and the log does not say so", id, a.id)
			}
		}
		if n == 0 {
			o.wrong("a hold for request %s was answered, and the log does not have it", a.id)
		}
	}
	for id := range released {
		delete(placed, id)
	}
	if len(placed) > 0 && !slices.ContainsFunc(o.book.asks, func(a *ask) bool { return !a.done() }) {
		o.wrong("%d holds stand that nobody has placed", len(placed))
	}
}

// decided makes sure that a plan that had to be approved was, by the second
// person, before anything of it was erased.
func (o *oracle) decided(a *ask, e *proof.Completed) {
	if o.cast == nil {
		return
	}
	found := 0
	for _, s := range e.Stores {
		found += s.Erased
	}
	switch needed := found > o.cast.most || o.cast.most == 0; {
	case needed && e.ApprovedBy != o.cast.second.ID:
		o.wrong("request %s: NOT APPROVED by the second person, and it erased %d: by %q", a.id, found, e.ApprovedBy)
	case e.ApprovedBy != "" && e.ApprovedBy != o.cast.second.ID:
		o.wrong("request %s: its certificate says that %q approved it", a.id, e.ApprovedBy)
	case e.ApprovedBy != "" && e.FirstErasedAt != 0 && e.ApprovedAt > e.FirstErasedAt && !o.later(a):
		o.wrong("request %s: ERASED BEFORE IT WAS APPROVED: %s, %s", a.id, e.FirstErasedAt, e.ApprovedAt)
	}
	if d := a.deed; d.part == partExempt && d.done && len(e.Exemptions) != 1 {
		o.wrong("request %s: its certificate speaks of %d parts that were refused, want 1", a.id, len(e.Exemptions))
	}
}

// later reports whether more came while a request was carried out, which may
// have to be approved again.
func (o *oracle) later(a *ask) bool {
	for _, in := range o.world.stores {
		if a.asked(in) && slices.ContainsFunc(in.selected(a.user, a.ids), func(t *thing) bool { return t.late != nil }) {
			return true
		}
	}
	return false
}

// rejected makes sure that a request that ended so was turned down by who may.
func (o *oracle) rejected(a *ask, e *proof.Rejected) {
	if e.RequestID != a.id || a.last.Status != jobs.Rejected || a.deed == nil || a.deed.part != partReject || e.Reason != "unfounded" {
		o.wrong("request %s is %s and has the certificate of %s, rejected for %s", a.id, a.last.Status, e.RequestID, e.Reason)
	}
}
