package console

import (
	"crypto/rand"
	"errors"
	"sync"
	"time"

	"lethe/jobs"
)

// Limits of what has been planned and not been filed.
const (
	draftFor  = 15 * time.Minute
	maxDrafts = 1000 // the oldest makes room
)

// errDraft means that a plan is not at hand: filed, too old, another session's,
// or the service was restarted.
var errDraft = errors.New("no such draft")

// drafts keep submissions between their plan and their filing. It is the one
// place where the page keeps identities, so they are in no page.
type drafts struct {
	mu   *sync.Mutex
	kept map[string]draft
}

type draft struct {
	jobs.Submission
	owner string // the form token of the session
	at    time.Time
}

func newDrafts() drafts { return drafts{&sync.Mutex{}, map[string]draft{}} }

// keep returns the name of a draft.
func (d drafts) keep(owner string, s jobs.Submission) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, oldest := time.Now(), ""
	for name, k := range d.kept {
		if now.Sub(k.at) >= draftFor {
			delete(d.kept, name)
		} else if oldest == "" || k.at.Before(d.kept[oldest].at) {
			oldest = name
		}
	}
	if len(d.kept) >= maxDrafts {
		delete(d.kept, oldest)
	}
	name := rand.Text()
	d.kept[name] = draft{s, owner, now}
	return name
}

// find returns the draft of that name, if it is its owner who asks.
func (d drafts) find(owner, name string) (jobs.Submission, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.kept[name]
	if !ok || !same(k.owner, owner) || time.Since(k.at) >= draftFor {
		return jobs.Submission{}, errDraft
	}
	return k.Submission, nil
}

// drop forgets a draft.
func (d drafts) drop(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.kept, name)
}
