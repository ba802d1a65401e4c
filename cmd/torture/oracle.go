//go:build torture

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/api"
	"lethe/store"
)

// An oracle judges what a case has left, from outside: it believes its own book
// and what stands in files, and nothing that the service says of itself.
type oracle struct {
	*house
	book *book
	keys []byte // the log's verifier keys, as handed out
	said map[string]string

	filed []*sweepFiled // by sweeps
	bad   []error
}

func (o *oracle) wrong(format string, args ...any) {
	o.bad = append(o.bad, fmt.Errorf(format, args...))
}

// ask asks the last life what can only be asked of one: certificates once more,
// subject keys, the verifier keys, the metrics.
func (o *oracle) ask(ctx context.Context, l *life) {
	var err error
	if o.keys, err = l.client.Keys(ctx); err != nil {
		o.wrong("verifier keys: %w", err)
	}
	o.said = map[string]string{}
	for _, a := range o.book.asks {
		if a.id == "" || !a.ended {
			continue
		}
		o.certificate(ctx, a)
		if key, err := l.client.SubjectKey(ctx, a.id); err == nil {
			o.said[a.id] = string(key)
		} else if !o.gone(err) {
			o.wrong("subject key of %s: %w", a.id, err)
		}
	}
	o.askSweeps(ctx, l)
	if head, err := l.client.Checkpoint(ctx); err == nil {
		o.book.saw(head)
	}
	o.metrics(ctx, l)
}

func (o *oracle) gone(err error) bool {
	var refused *api.Problem
	return errors.As(err, &refused) && refused.Status == 410
}

// judge looks at everything once the service has stopped.
func (o *oracle) judge(ctx context.Context) error {
	for _, a := range o.book.asks {
		for _, err := range a.problems {
			o.wrong("%w", err)
		}
		for _, text := range a.certs[min(1, len(a.certs)):] {
			if string(text) != string(a.certs[0]) {
				o.wrong("request %s: its certificate has changed", a.id)
			}
		}
	}
	o.identities() // the raw files first
	policy, err := proof.ParseKeys(o.keys)
	if err != nil {
		o.wrong("verifier keys: %w", err)
		return errors.Join(o.bad...)
	}
	db, err := o.records()
	if err != nil {
		return err
	}
	defer db.Close()
	if db.postgres {
		o.written(ctx, db, spellings(o.world.token))
	}
	o.log(ctx, db, policy)
	o.ledger(ctx, db)
	gone := map[*installation]map[*thing]bool{}
	for _, in := range o.world.stores {
		gone[in] = map[*thing]bool{}
	}
	for _, a := range o.book.asks {
		o.certified(ctx, db, policy, a, gone)
	}
	o.sweeps(ctx, db, policy, gone)
	for _, in := range o.world.stores {
		o.rest(ctx, in, gone[in])
	}
	if o.cast != nil {
		o.cast.ears.judge(o)
	}
	return errors.Join(o.bad...)
}

// asked reports whether an ask is about a store.
func (a *ask) asked(in *installation) bool {
	return len(a.stores) == 0 || slices.Contains(a.stores, in.name)
}

// rest makes sure that what should be gone is gone and everything else is bit
// for bit there. What a cancelled request had erased has been added to gone.
func (o *oracle) rest(ctx context.Context, in *installation, gone map[*thing]bool) {
	now, err := in.snapshot(ctx)
	if err != nil {
		o.wrong("store %s: %w", in.name, err)
		return
	}
	want := in.expected(in.first, gone)
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch text, there := now[key]; {
		case !there:
			o.wrong("store %s: ERASED TOO MUCH: %s is gone", in.name, key)
		case text != want[key]:
			o.wrong("store %s: %s has changed:\n    was  %s\n    is   %s", in.name, key, want[key], text)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(now)) {
		if _, expected := want[key]; !expected {
			o.wrong("store %s: NOT ERASED: %s is still there", in.name, key)
		}
	}
}

// certified checks what became of one ask against its certificate, the ledger
// and the store, and adds what is gone by it.
func (o *oracle) certified(ctx context.Context, db *records, policy *proof.Policy, a *ask, gone map[*installation]map[*thing]bool) {
	if a.id == "" || len(a.certs) == 0 {
		o.wrong("an ask (%s) was never answered or never ended", a.key)
		return
	}
	result, err := proof.Verify(a.certs[0], policy)
	if err != nil {
		o.wrong("request %s: its certificate: %w", a.id, err)
		return
	}
	o.book.saw(result.Head.Note)
	if a.receipt != nil {
		accepted, err := proof.Verify(a.receipt, policy)
		if err != nil {
			o.wrong("request %s: the receipt of its acceptance: %w", a.id, err)
		} else if e, ok := accepted.Entry.(*proof.Accepted); !ok || e.RequestID != a.id {
			o.wrong("request %s: the receipt of its acceptance is of something else", a.id)
		} else {
			o.book.saw(accepted.Head.Note)
		}
	}
	o.subject(a, result)
	switch e := result.Entry.(type) {
	case *proof.Completed:
		if e.RequestID != a.id || a.last.Status != jobs.Completed {
			o.wrong("request %s is %s and has the certificate of %s, completed", a.id, a.last.Status, e.RequestID)
		}
		o.completed(ctx, db, a, e, gone)
	case *proof.Rejected:
		o.rejected(a, e) // and all of it is there: see rest
	case *proof.Cancelled:
		if e.RequestID != a.id || a.last.Status != jobs.Cancelled || !a.stopped && a.cancel == 0 {
			o.wrong("request %s is %s and has the certificate of %s, cancelled", a.id, a.last.Status, e.RequestID)
		}
		o.cancelled(ctx, a, e, gone)
	default:
		o.wrong("request %s: its certificate is %s", a.id, e.Kind())
	}
}

// subject makes sure that the certificate is about the person asked for.
func (o *oracle) subject(a *ask, result *proof.Result) {
	key := o.said[a.id]
	if key == "" {
		return // destroyed on schedule, or an error that has been noted
	}
	selector, err := jobs.EncodeSelector(store.Selector{UserID: a.user, IDs: distinct(a.ids)})
	if err != nil {
		o.wrong("request %s: %w", a.id, err)
		return
	}
	if ok, err := result.Subject([]byte(key), selector); err != nil || !ok {
		o.wrong("request %s: the certificate is not about who was asked for (%v)", a.id, err)
	}
}

func distinct(ids []string) []string {
	var all []string
	seen := map[string]bool{}
	for _, id := range ids {
		if !seen[id] {
			all = append(all, id)
		}
		seen[id] = true
	}
	return all
}

func (o *oracle) completed(ctx context.Context, db *records, a *ask, e *proof.Completed, gone map[*installation]map[*thing]bool) {
	if a.grace > 0 && e.CompletedAt.Time().Before(a.last.CreatedAt.Add(a.grace)) {
		o.wrong("request %s was carried out in its grace period", a.id)
	}
	n := 0
	for _, in := range o.world.stores {
		if !a.asked(in) {
			continue
		}
		n++
		i := slices.IndexFunc(e.Stores, func(s proof.StoreProof) bool { return s.Name == in.name })
		if i < 0 {
			o.wrong("request %s: the certificate does not speak of store %s", a.id, in.name)
			continue
		}
		o.completedIn(ctx, db, a, e.Stores[i], in, gone[in])
	}
	if n != len(e.Stores) {
		o.wrong("request %s: the certificate speaks of %d stores, asked were %d", a.id, len(e.Stores), n)
	}
	o.roots(ctx, db, a, e.BatchesRoot, e.Batches)
	o.exclusions(a, e)
	o.decided(a, e)
}

// completedIn compares the oracle's counts with those of a certificate.
func (o *oracle) completedIn(ctx context.Context, db *records, a *ask, s proof.StoreProof, in *installation, gone map[*thing]bool) {
	selected := in.selected(a.user, a.ids)
	before, late, exempt := 0, 0, 0 // late is what may or may not have been seen
	var ids []string
	for _, t := range selected {
		if a.exempts(in, t) { // and bit for bit there: see rest
			exempt++
			if t.late != nil {
				late++
			}
			continue
		}
		if t.late != nil && t.late.written >= int64(s.VerifiedAt)*1000 {
			late++ // after the second that the certificate speaks of, or in it
			if _, there := o.present(ctx, in, t); there {
				continue
			}
		}
		before++
		gone[t] = true
		ids = append(ids, t.place+"/"+t.id)
	}
	missing := 0
	for _, id := range distinct(a.ids) {
		if !slices.ContainsFunc(selected, func(t *thing) bool { return t.id == id }) {
			missing++
		}
	}
	want := fmt.Sprintf("requested %d found %d erased %d absent %d held 0 refused 0 remaining 0", before+exempt+missing, before+exempt, before, missing)
	is := fmt.Sprintf("requested %d found %d erased %d absent %d held %d refused %d remaining %d", s.Requested, s.Found, s.Erased, s.Absent, s.Held, s.Refused, s.Remaining)
	if want != is && late == 0 {
		o.wrong("request %s, store %s: FALSE COUNTS in its certificate:\n    is    %s\n    want  %s", a.id, in.name, is, want)
	}
	if s.Rounds > 1 && late == 0 && !slices.ContainsFunc(selected, func(t *thing) bool { return t.late != nil }) {
		o.wrong("request %s, store %s: it took %d rounds to erase what was there at once", a.id, in.name, s.Rounds)
	}
	o.leaves(ctx, db, a, in, ids)
	for i, p := range a.last.Stores {
		if p.Store == in.name && (p.Erased != s.Erased || p.Absent != s.Absent || p.Found != s.Found || p.BatchesDone != s.Batches || p.Evidence != store.Evidence(s.Evidence)) {
			o.wrong("request %s, store %d: status says erased %d absent %d found %d, the certificate erased %d absent %d found %d", a.id, i, p.Erased, p.Absent, p.Found, s.Erased, s.Absent, s.Found)
		}
	}
	if s.Evidence == proof.EvidencePurged {
		o.purged(a, in, selected, gone)
	}
}

// present reports whether the row of a thing is there.
func (o *oracle) present(ctx context.Context, in *installation, t *thing) (string, bool) {
	now, err := in.snapshot(ctx)
	if err != nil {
		o.wrong("store %s: %w", in.name, err)
	}
	text, there := now[t.key(in)]
	return text, there
}

// purged makes sure that no bytes of what was erased are in the store's files.
func (o *oracle) purged(a *ask, in *installation, selected []*thing, gone map[*thing]bool) {
	for _, path := range []string{in.files.Vectors, in.files.Entities, in.files.History} {
		for _, suffix := range []string{"", "-wal", "-journal"} {
			text, err := os.ReadFile(path + suffix)
			if err != nil {
				continue
			}
			for _, t := range selected {
				if gone[t] && strings.Contains(string(text), t.secret) {
					o.wrong("request %s, store %s: NOT PURGED: the text of %s is in %s", a.id, in.name, t.place, filepath.Base(path)+suffix)
					break
				}
			}
		}
	}
}

// cancelled adds what the store has lost of a cancelled request to gone, and
// makes sure that the certificate says as much, and that it is whole.
func (o *oracle) cancelled(ctx context.Context, a *ask, e *proof.Cancelled, gone map[*installation]map[*thing]bool) {
	for _, in := range o.world.stores {
		if !a.asked(in) {
			continue
		}
		i := slices.IndexFunc(e.Stores, func(s proof.CancelledStore) bool { return s.Name == in.name })
		if i < 0 {
			o.wrong("request %s: the certificate does not speak of store %s", a.id, in.name)
			continue
		}
		now, err := in.snapshot(ctx)
		if err != nil {
			o.wrong("store %s: %w", in.name, err)
			continue
		}
		lost := 0
		for _, t := range in.selected(a.user, a.ids) {
			if _, there := now[t.key(in)]; !there {
				lost++
				gone[in][t] = true
			}
		}
		if s := e.Stores[i]; s.Erased != lost {
			o.wrong("request %s, store %s: FALSE COUNTS: cancelled, its certificate says erased %d, the store has lost %d (found %d, batches %d, done %d)", a.id, in.name, s.Erased, lost, s.Found, s.Batches, s.BatchesDone)
		}
		if a.grace > 0 && lost > 0 {
			o.wrong("request %s, store %s: erased %d in its grace period", a.id, in.name, lost)
		}
	}
}
