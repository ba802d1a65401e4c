package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lethe/audit"
	"lethe/jobs/api"
	"lethe/jobs/ledger"
)

const (
	taskPatience = 2 * time.Minute // for a task that is due to be rung for, and taken
	namedAtMost  = 5               // IDs in one finding
)

// checkLedger: what is written in it must be what is read.
func checkLedger(ctx context.Context, p *ward) []api.Finding {
	switch {
	case p.noDB != nil:
		return []api.Finding{broken("the ledger cannot be opened: "+p.noDB.Error(), "see that its database or its file is there, and may be read by this user")}
	case p.db == nil:
		return []api.Finding{weak("there is no ledger yet", "lethe serve makes it at its first start; if there was one, put its newest backup back before that")}
	case p.config.postgres() != "":
		return nil // it was opened, which makes sure that commits there are durable
	}
	var found []string
	err := p.db.SelectContext(ctx, &found, `PRAGMA integrity_check(1)`)
	switch {
	case ctx.Err() != nil:
		return nil // make says it
	case err != nil || len(found) != 1 || found[0] != "ok": // the text would name rows
		return []api.Finding{broken("the ledger's database is damaged", `stop the service, keep the folder as it is, and put the newest backup back: "Backups of Lethe itself" in deploy/OPERATIONS.md`)}
	}
	return nil
}

// checkLogHead: as the guard at the start, which hashes the newest entries again and
// asks every anchor.
func checkLogHead(ctx context.Context, p *ward) []api.Finding {
	if p.db == nil {
		return nil
	}
	l, err := p.openLog(ctx)
	if err != nil {
		return []api.Finding{broken("the log cannot be read: "+err.Error(), "lethe log check says more; put back what is missing of log.key, log.key.pub and the ledger")}
	}
	var found []api.Finding
	if refusal := l.Refusal(); refusal != nil && !errors.Is(refusal, audit.ErrSucceeded) {
		found = append(found, broken(refusal.Error(), waysFor(refusal)))
	}
	for _, w := range l.Warnings() {
		found = append(found, weak(w, "it gets the newest head once the service runs; see that it can be written to"))
	}
	waits, err := l.Pending(ctx)
	if err == nil && waits.Oldest > time.Minute {
		found = append(found, broken(fmt.Sprintf("entries have waited for %s to be logged", waits.Oldest.Round(time.Second)), stalledWaysOut))
	}
	if err == nil && waits.Outcast > 0 {
		found = append(found, weak(fmt.Sprintf("%s put beside the log's outbox by other means than Lethe", counted(int(waits.Outcast), "row was", "rows were")), "look at the table audit_outcast, and find out who writes to this database"))
	}
	return found
}

func (p *ward) openLog(ctx context.Context) (*audit.Log, error) {
	keys, err := p.config.believedKeys()
	if err != nil {
		return nil, err
	}
	anchors, err := p.config.logAnchors()
	if err != nil {
		return nil, err
	}
	restored, err := ledger.Restored(ctx, p.db)
	if err != nil {
		return nil, err
	}
	origin, _, _ := strings.Cut(keys, "+")
	return audit.Open(ctx, p.db, audit.Options{Verifier: keys, Origin: origin, Anchors: anchors, Restored: restored})
}

// checkKeys: without the log's key nothing is appended, and without its own key an
// open request cannot be carried out by anybody.
func checkKeys(ctx context.Context, p *ward) (found []api.Finding) {
	if err := p.config.keyLost(ctx); err != nil {
		found = append(found, broken(err.Error(), "put it back from where it is kept; if it is gone for good: lethe log succeed --reason key-lost"))
	}
	if f, err := os.Open(filepath.Join(p.config.Data, logKeyFile)); err == nil {
		_ = f.Close()
	} else if errors.Is(err, os.ErrPermission) {
		found = append(found, weak("this user may not read the log's key", "run lethe doctor as the user of the service"))
	}
	keys := filepath.Join(p.config.Data, keysFolder)
	info, err := os.Stat(keys)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		found = append(found, broken("the folder of keys is open to others, and the service refuses it: "+keys, "chmod 700 "+keys))
	}
	if p.db == nil {
		return found
	}
	requests, holds, err := p.keyless(ctx)
	if err != nil {
		return append(found, weak("it cannot be said whether all keys are there: "+err.Error(), "look at the finding on the ledger"))
	}
	if len(requests) > 0 {
		found = append(found, broken(counted(len(requests), "open request cannot be carried out, for its key is gone: ", "open requests cannot be carried out, for their keys are gone: ")+some(requests),
			"put the folder keys back, if it still is somewhere; else have each asked for again by whoever filed it (lethe status REQUEST_ID has the ticket), and then: lethe cancel REQUEST_ID"))
	}
	if len(holds) > 0 {
		found = append(found, broken(counted(len(holds), "hold stands of which nobody knows whom it is about, for its key is gone, and nothing is erased meanwhile: ", "holds stand of which nobody knows whom they are about, for their keys are gone, and nothing is erased meanwhile: ")+some(holds),
			"put the folder keys back, if it still is somewhere; else place each hold again (lethe hold add), and then: lethe hold release HOLD_ID"))
	}
	return found
}

// keyless returns open requests and holds whose keys are not there. What ends
// meanwhile loses its key and is none of them.
func (p *ward) keyless(ctx context.Context) (requests, holds []string, err error) {
	requests, holds, err = p.withoutKey(ctx, nil, nil)
	if err != nil || len(requests)+len(holds) == 0 {
		return nil, nil, err
	}
	return p.withoutKey(ctx, requests, holds)
}

// withoutKey looks for the keys of all that is open, or of what is and was found
// before.
func (p *ward) withoutKey(ctx context.Context, was, were []string) (requests, holds []string, err error) {
	open, stand, err := ledger.OpenIDs(ctx, p.db)
	if err != nil {
		return nil, nil, err
	}
	return p.missing(open, was), p.missing(stand, were), nil
}

func (p *ward) missing(ids, among []string) (list []string) {
	seen := map[string]bool{}
	for _, id := range among {
		seen[id] = true
	}
	for _, id := range ids {
		if among != nil && !seen[id] {
			continue
		}
		if _, err := os.Lstat(filepath.Join(p.config.Data, keysFolder, "seal", id)); errors.Is(err, os.ErrNotExist) {
			list = append(list, id)
		}
	}
	return list
}

func some(ids []string) string {
	if len(ids) <= namedAtMost {
		return strings.Join(ids, ", ")
	}
	return strings.Join(ids[:namedAtMost], ", ") + " …"
}

// checkRunning: whether each role is had by somebody is not written anywhere; what
// comes of it is.
func checkRunning(ctx context.Context, p *ward) (found []api.Finding) {
	if p.db == nil {
		return nil
	}
	if serving, known := p.serving(ctx); known && serving == 0 {
		return []api.Finding{weak("nobody serves this ledger now", "lethe serve, with the same --config or --data")}
	}
	pulse, err := ledger.PulseOf(ctx, p.db, p.now, taskPatience)
	switch {
	case err != nil:
		found = append(found, weak("it cannot be said what waits: "+err.Error(), "look at the finding on the ledger"))
	case pulse.Unclaimed > 0 && pulse.Running == 0:
		found = append(found, broken(counted(pulse.Unclaimed, "task was rung for more than 2 minutes ago, and no worker has taken it", "tasks were rung for more than 2 minutes ago, and no worker has taken any"),
			"start a process with the role worker, or see in the logs of the one that runs what it waits for"))
	case pulse.Unrung > 0 && pulse.Running+pulse.Unclaimed == 0:
		found = append(found, weak(counted(pulse.Unrung, "task has been due for more than 2 minutes, and nobody rings for it", "tasks have been due for more than 2 minutes, and nobody rings for them"),
			"see whether their store is down or the log refuses; else start a process with the role scheduler"))
	}
	return found
}

// serving returns how many processes serve the ledger; known is false where that
// cannot be seen.
func (p *ward) serving(ctx context.Context) (n int, known bool) {
	if p.within {
		return 1, true
	}
	if p.config.postgres() != "" {
		n, err := ledger.Serving(ctx, p.db)
		return n, err == nil
	}
	return lockHolders(filepath.Join(p.config.Data, "ledger.lock"))
}

// liveTokens counts those who may open the door.
func (p *ward) liveTokens(ctx context.Context) (int, error) {
	if p.db == nil {
		return 1, nil // none is made yet, and nobody is let in
	}
	return ledger.LiveTokens(ctx, p.db, p.now)
}
