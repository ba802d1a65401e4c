//go:build torture

package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// A sweepFiled is the request of a sweep as the service shows it, with its certificate.
type sweepFiled struct {
	api.Request
	cert []byte // nil if it has not ended
	key  []byte // of the subject; nil if it is destroyed
}

// A swept is a row of the ledger's book of sweeps.
type swept struct {
	Policy, Store, State, Request, Actor string
	Due, AsOf                            int64 // Unix milliseconds; AsOf is 0 for none
	Missed, Found                        int
}

// askSweeps asks the last life for what sweeps have filed.
func (o *oracle) askSweeps(ctx context.Context, l *life) {
	if o.book.broom == nil {
		return
	}
	for r, err := range l.client.List(ctx) {
		if err != nil {
			o.wrong("list requests: %w", err)
			return
		}
		if r.Origin != jobs.OriginSweep {
			continue
		}
		f := &sweepFiled{Request: r}
		if r.Status.Ended() {
			if f.cert, err = certificateOf(ctx, l, r.ID); err != nil {
				o.wrong("certificate of a sweep, %s: %w", r.ID, err)
			}
			if f.key, err = l.client.SubjectKey(ctx, r.ID); err != nil && !o.gone(err) {
				o.wrong("subject key of %s: %w", r.ID, err)
			}
		}
		o.filed = append(o.filed, f)
	}
}

// certificateOf fetches a certificate. On PostgreSQL the entry of a request that has
// ended comes into the log a little later.
func certificateOf(ctx context.Context, l *life, id string) ([]byte, error) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		text, err := l.client.Certificate(ctx, id)
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return text, err
		}
	}
}

// openFiled is how many requests of sweeps have not ended.
func (o *oracle) openFiled() (n int) {
	for _, f := range o.filed {
		if !f.Status.Ended() {
			n++
		}
	}
	return n
}

// sweeps compares what policies have done with the clock and with the rows, and adds
// what is gone by them: exactly what is as old as the policy wants it, each row by one
// request, each tick with one request at most, and none forgotten.
func (o *oracle) sweeps(ctx context.Context, db *records, policy *proof.Policy, gone map[*installation]map[*thing]bool) {
	br := o.book.broom
	if br == nil {
		return
	}
	all, err := o.sweepsOf(ctx, db)
	if err != nil {
		o.wrong("read what was swept: %w", err)
		return
	}
	since, err := o.firstSeenOf(ctx, db)
	if err != nil {
		o.wrong("read when policies were first seen: %w", err)
		return
	}
	for at, list := range all {
		o.ticks(at, list, since[at], br)
	}
	o.oneEach(all)
	for _, in := range o.world.stores {
		for _, p := range []string{policyEnded, policyOld, policyBraked} {
			o.taken(ctx, db, policy, in, p, all[p+" in "+in.name], since, gone[in])
		}
	}
}

// sweepsOf reads the ledger's book of sweeps, by policy and store, oldest first.
func (o *oracle) sweepsOf(ctx context.Context, db *records) (map[string][]swept, error) {
	object := `json_object('Policy', policy, 'Store', store, 'State', state, 'Request', request, 'Actor', actor, 'Due', due_at, 'AsOf', COALESCE(as_of, 0), 'Missed', missed, 'Found', found)`
	if db.postgres {
		object = strings.Replace(object, "json_object", "json_build_object", 1) + "::text"
	}
	rows, err := db.column(ctx, `SELECT `+object+` FROM sweeps ORDER BY due_at`)
	if err != nil {
		return nil, err
	}
	all := map[string][]swept{}
	for _, text := range rows {
		var s swept
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return nil, err
		}
		all[s.Policy+" in "+s.Store] = append(all[s.Policy+" in "+s.Store], s)
	}
	return all, nil
}

func (o *oracle) firstSeenOf(ctx context.Context, db *records) (map[string]time.Time, error) {
	rows, err := db.QueryContext(ctx, `SELECT policy, store, since FROM policies`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := map[string]time.Time{}
	for rows.Next() {
		var policy, store string
		var ms int64
		if err := rows.Scan(&policy, &store, &ms); err != nil {
			return nil, err
		}
		all[policy+" in "+store] = time.UnixMilli(ms)
	}
	return all, rows.Err()
}

// ticks makes sure that each tick since a policy was first seen was taken once, or is
// made up for by the next, and that each that was taken is over.
func (o *oracle) ticks(at string, list []swept, since time.Time, br *broom) {
	every := tickEvery
	if strings.HasPrefix(at, policyEnded) {
		every = br.every
	}
	step := every.Milliseconds()
	last := since.UnixMilli()
	for i, s := range list {
		if n := s.Due/step - last/step; s.Due%step != 0 || n != int64(s.Missed)+1 || s.Actor != "" {
			o.wrong("policy %s: A TICK IS LOST, or there is one too many: %d ticks after %s one is due at %s that says that it makes up for %d", at, n, millisText(last), millisText(s.Due), s.Missed)
		}
		last = s.Due
		if s.State == string(jobs.SweepOpen) && i < len(list)-1 || (s.State == string(jobs.SweepFiled)) != (s.Request != "") {
			o.wrong("policy %s: the sweep that was due at %s is %s, request %q", at, millisText(s.Due), s.State, s.Request)
		}
		if s.AsOf > time.Now().UnixMilli() || s.AsOf > 0 && s.AsOf < s.Due-1000 { // the ledger's clock may be another
			o.wrong("policy %s: the sweep that was due at %s was run at %s by the store's clock", at, millisText(s.Due), millisText(s.AsOf))
		}
	}
}

func millisText(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05.000") }

// oneEach makes sure that each request of a sweep is that of one tick, and the other
// way round.
func (o *oracle) oneEach(all map[string][]swept) {
	ticks := map[string]int{}
	for _, list := range all {
		for _, s := range list {
			if s.Request != "" {
				ticks[s.Request]++
			}
		}
	}
	for _, f := range o.filed {
		if ticks[f.ID] != 1 {
			o.wrong("FILED TWICE, or by no tick: the request %s of %s stands in the ledger as that of %d ticks", f.ID, f.FiledBy, ticks[f.ID])
		}
		delete(ticks, f.ID)
	}
	for id := range ticks {
		o.wrong("a tick has filed request %s, which there is none of", id)
	}
}

// taken compares what a policy has taken from a store with what is as old as it
// wants it, and adds that to gone.
func (o *oracle) taken(ctx context.Context, db *records, policy *proof.Policy, in *installation, name string, list []swept, since map[string]time.Time, gone map[*thing]bool) {
	br := o.book.broom
	var cut int64 // of the sweep that looked last
	var ended []*sweepFiled
	for _, s := range list {
		if s.AsOf > 0 && (name != policyBraked || br.approves) {
			cut = max(cut, s.AsOf-sweptAge.Milliseconds())
		}
		i := slices.IndexFunc(o.filed, func(f *sweepFiled) bool { return f.ID == s.Request })
		if i < 0 {
			continue
		}
		if f := o.filed[i]; o.sweptRight(policy, in, s, f) {
			ended = append(ended, f)
		}
	}
	var ids []string
	var own []*thing
	for _, t := range in.rows {
		if t.age == nil || t.age.policy != name || t.age.held || t.age.made.IsZero() || name == policyEnded && !since[name+" in "+in.name].Before(br.tick) {
			continue
		}
		if t.age.made.UnixMilli() < cut {
			gone[t] = true
			own, ids = append(own, t), append(ids, t.place+"/"+t.id)
		}
	}
	erased := 0
	for _, f := range ended {
		erased += f.Stores[0].Erased
		if f.Stores[0].Evidence == store.Evidence(proof.EvidencePurged) {
			o.purged(&ask{id: f.ID}, in, own, gone)
		}
	}
	if erased != len(ids) {
		o.wrong("policy %s in %s: FALSE COUNTS: its certificates say that %d were erased, and %d are as old as it wants", name, in.name, erased, len(ids))
	}
	o.sweptLeaves(ctx, db, in, name, ended, ids)
}

// sweptRight makes sure that the request of a sweep has ended as it should, and that
// its certificate says so. It is false if it has not ended.
func (o *oracle) sweptRight(policy *proof.Policy, in *installation, s swept, f *sweepFiled) bool {
	braked := s.Policy == policyBraked
	if f.FiledBy != "policy/"+s.Policy || len(f.Stores) != 1 || f.Stores[0].Store != in.name {
		o.wrong("request %s of policy %s in %s is filed by %q in %d stores", f.ID, s.Policy, in.name, f.FiledBy, len(f.Stores))
		return false
	}
	if braked && !o.book.broom.approves {
		if f.Status != jobs.AwaitingApproval {
			o.wrong("request %s: SWEPT BEYOND ITS BRAKE without an approval: it found %d, and is %s", f.ID, s.Found, f.Status)
		}
		return f.cert != nil
	}
	result, err := proof.Verify(f.cert, policy)
	if err != nil {
		o.wrong("request %s of policy %s, which is %s: its certificate: %w", f.ID, s.Policy, f.Status, err)
		return false
	}
	o.book.saw(result.Head.Note)
	e, ok := result.Entry.(*proof.Completed)
	if !ok || f.Status != jobs.Completed || e.RequestID != f.ID || len(e.Stores) != 1 || e.Stores[0].Name != in.name {
		o.wrong("request %s of policy %s is %s and its certificate a %s", f.ID, s.Policy, f.Status, result.Entry.Kind())
		return false
	}
	c, p := e.Stores[0], f.Stores[0]
	if c.Erased != p.Erased || c.Absent != p.Absent || c.Found != p.Found || c.Absent+c.Held+c.Refused+c.Remaining != 0 || c.Found != c.Erased {
		o.wrong("request %s of policy %s: FALSE COUNTS: found %d erased %d absent %d held %d refused %d remaining %d, and its status says found %d erased %d absent %d",
			f.ID, s.Policy, c.Found, c.Erased, c.Absent, c.Held, c.Refused, c.Remaining, p.Found, p.Erased, p.Absent)
	}
	switch by := e.ApprovedBy; {
	case braked && (by == "" || strings.HasPrefix(by, "policy/") || e.FirstErasedAt != 0 && e.ApprovedAt > e.FirstErasedAt):
		o.wrong("request %s: SWEPT BEYOND ITS BRAKE without an approval: it erased %d, approved by %q", f.ID, c.Erased, by)
	case !braked && by != "":
		o.wrong("request %s of policy %s has no brakes and was approved by %q", f.ID, s.Policy, by)
	}
	o.sweptSelector(result, s, f)
	return true
}

// sweptSelector makes sure that the certificate is about what the policy wants, as
// old as it was at the tick.
func (o *oracle) sweptSelector(result *proof.Result, s swept, f *sweepFiled) {
	if f.key == nil {
		return
	}
	asOf := time.UnixMilli(s.AsOf).UTC()
	sel := store.Selector{RunID: runOf(s.Policy), CreatedBefore: asOf.Add(-sweptAge)}
	if s.Policy == policyEnded {
		sel = store.Selector{RunID: runOf(s.Policy), ExpiredBefore: asOf}
	}
	text, err := jobs.EncodeSelector(sel)
	if err == nil {
		var ok bool
		if ok, err = result.Subject(f.key, text); ok {
			return
		}
	}
	o.wrong("request %s: its certificate is not about what policy %s wants at %s (%v)", f.ID, s.Policy, millisText(s.AsOf), err)
}

// sweptLeaves makes sure that each row that is gone is in one receipt, and that there
// is nothing else in any.
func (o *oracle) sweptLeaves(ctx context.Context, db *records, in *installation, name string, ended []*sweepFiled, ids []string) {
	found, unknown := map[string]int{}, 0
	for _, f := range ended {
		if f.key == nil {
			return // nobody can tell any more
		}
		rows, err := db.column(ctx, `SELECT b.id || ' ' || hex(b.leaves) FROM batches b JOIN jobs j ON j.id = b.job WHERE j.request = ?`, f.ID)
		if err != nil {
			o.wrong("request %s: read receipts: %w", f.ID, err)
			return
		}
		for _, row := range rows {
			batch, text, _ := strings.Cut(row, " ")
			known := map[[32]byte]string{}
			for _, id := range ids {
				known[proof.ReceiptLeaf(f.key, batch, id, 'e')] = id
			}
			for _, leaf := range unhex(text) {
				if id, ok := known[leaf]; ok {
					found[id]++
				} else {
					unknown++
				}
			}
		}
	}
	for _, id := range ids {
		if found[id] != 1 {
			o.wrong("policy %s in %s: a row that was to be swept is in %d receipts", name, in.name, found[id])
		}
	}
	if unknown > 0 {
		o.wrong("policy %s in %s: ERASED TOO MUCH: %d receipts are of rows that it does not want", name, in.name, unknown)
	}
}

// sweptEntries adds the entries that sweeps, their approvals and the hold have in the
// log.
func (o *oracle) sweptEntries(entries []proof.Entry, known map[string]bool) {
	if o.book.broom == nil {
		return
	}
	of := map[string]*sweepFiled{}
	for _, f := range o.filed {
		of[f.ID] = f
	}
	accepted, completed := map[string]int{}, map[string]int{}
	for _, e := range entries {
		switch e := e.(type) {
		case *proof.Accepted:
			if f := of[e.RequestID]; f != nil && e.By == f.FiledBy {
				accepted[e.RequestID]++
				known[e.ID()] = true
			}
		case *proof.Completed:
			if of[e.RequestID] != nil {
				completed[e.RequestID]++
				known[e.ID()] = true
			}
		case *proof.Approved:
			if f := of[e.RequestID]; f != nil && f.FiledBy == "policy/"+policyBraked && o.book.broom.approves && e.By != f.FiledBy {
				known[e.ID()] = true
			}
		case *proof.SubjectKeyDestroyed:
			if of[e.RequestID] != nil {
				known[e.ID()] = true
			}
		case *proof.HoldPlaced:
			if e.Reason == o.book.broom.reason {
				known[e.ID()] = true
			}
		}
	}
	for id, f := range of {
		if accepted[id] != 1 || completed[id] > 1 || (completed[id] == 1) != f.Status.Ended() {
			o.wrong("request %s of a sweep is %s, and the log has it accepted %d and completed %d times", id, f.Status, accepted[id], completed[id])
		}
	}
}
