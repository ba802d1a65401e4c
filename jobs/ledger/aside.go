package ledger

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/jobs/keyring"
	"lethe/store"
)

// A look is what a batch is compared with: the holds that stand, the number of
// the newest, and how many have ended. All three are of one moment.
type look struct {
	ids  []string
	seq  int64
	ends int64
}

// heldNote is the code of a job some of whose batches are held; see jobs.Job.Note.
const heldNote = "held"

// standingHolds also counts those that have ended, in the same statement.
const standingHolds = `SELECT id, seq, (SELECT COUNT(*) FROM holds WHERE state = 'ended') AS ends FROM holds
	WHERE state IN ('placing', 'active') ORDER BY seq`

func lookAt(ctx context.Context, q querier) (l look, err error) {
	var rows []struct {
		ID        string
		Seq, Ends int64
	}
	if err := sqlx.SelectContext(ctx, q, &rows, standingHolds); err != nil {
		return l, err
	}
	for _, r := range rows {
		l.ids, l.seq, l.ends = append(l.ids, r.ID), r.Seq, r.Ends
	}
	return l, nil
}

// newHolds says of a row o of the outbox that a hold stands which its batch, if it
// has one, was not compared with.
const newHolds = `(COALESCE((SELECT MAX(h.seq) FROM holds h WHERE h.state IN ('placing', 'active')), 0) >
	COALESCE((SELECT b.hold_seq FROM batches b WHERE b.id = o.batch), 9223372036854775807))`

// Look has the batch of a claimed task compared with the holds that stand now,
// and returns them: Fence refuses it once there is a newer one.
func (l *Ledger) Look(ctx context.Context, t jobs.Task) ([]jobs.Standing, error) {
	var seen look
	err := l.owned(ctx, "look at holds", t.Ring, func(ctx context.Context, tx *txn) (err error) {
		seen, err = seeHolds(ctx, tx, t.Batch)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l.standing(ctx, seen)
}

// seeHolds notes, in the transaction that reads them, which holds an attempt at a
// batch knows of.
func seeHolds(ctx context.Context, tx *txn, batch string) (look, error) {
	seen, err := lookAt(ctx, tx)
	if err != nil {
		return seen, err
	}
	if fault.Bug("holds/read-at-start-only") {
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET hold_seq = ?, hold_ends = ? WHERE id = ?`), 1<<40, seen.ends, batch)
		return seen, err
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET hold_seq = ?, hold_ends = ? WHERE id = ?`), seen.seq, seen.ends, batch)
	return seen, err
}

// Standing returns the holds that stand, also those that are being placed.
func (l *Ledger) Standing(ctx context.Context) ([]jobs.Standing, error) {
	seen, err := lookAt(ctx, l.read)
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	return l.standing(ctx, seen)
}

// An openedHolds is the selectors of standing holds that this process has unsealed.
type openedHolds struct {
	mu  sync.Mutex
	all map[string]jobs.Standing
}

// standing unseals holds, each once in the life of the process. A hold that
// cannot be read lets nothing be erased.
func (l *Ledger) standing(ctx context.Context, seen look) ([]jobs.Standing, error) {
	if len(seen.ids) == 0 || fault.Bug("holds/ignored") {
		return nil, nil
	}
	l.opened.mu.Lock()
	defer l.opened.mu.Unlock()
	stands := make(map[string]bool, len(seen.ids))
	list := make([]jobs.Standing, 0, len(seen.ids))
	for _, id := range seen.ids {
		stands[id] = true
		h, ok := l.opened.all[id]
		if !ok {
			var err error
			if h, err = l.openHold(ctx, id); errors.Is(err, errHoldEnded) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if l.opened.all == nil {
				l.opened.all = make(map[string]jobs.Standing)
			}
			l.opened.all[id] = h
		}
		list = append(list, h)
	}
	maps.DeleteFunc(l.opened.all, func(id string, _ jobs.Standing) bool { return !stands[id] })
	return list, nil
}

// errHoldEnded: it has, since it was looked at, and forbids nothing any more.
var errHoldEnded = errors.New("the hold has ended")

func (l *Ledger) openHold(ctx context.Context, id string) (jobs.Standing, error) {
	fail := func(err error) (jobs.Standing, error) {
		return jobs.Standing{}, fmt.Errorf("read hold %s: nothing is erased until it can be read or is released: %w", id, err)
	}
	var sealed []byte
	if err := l.read.GetContext(ctx, &sealed, l.read.Rebind(`SELECT selector FROM holds WHERE id = ?`), id); err != nil {
		return fail(err)
	}
	if sealed == nil {
		return jobs.Standing{}, errHoldEnded
	}
	key, err := l.keys.Seal(id)
	if err != nil {
		return fail(err)
	}
	plain, err := keyring.Unseal(key, sealed, holdContext(id))
	if err != nil {
		return fail(err)
	}
	sel, err := jobs.DecodeSelector(plain)
	if err != nil {
		return fail(err)
	}
	return jobs.Standing{ID: id, Selector: sel}, nil
}

// SetAside answers a claimed batch some of whose IDs are held. They become a
// batch of their own, which is not done and waits until a hold ends; the free
// ones another, which goes on. It returns jobs.ErrStopped if the request is being
// cancelled: then somebody has to account for what was begun.
func (l *Ledger) SetAside(ctx context.Context, t jobs.Task, b jobs.Batch, free, held []store.ID) error {
	parts := []*sideBatch{{ids: free, state: "ready"}, {ids: held, state: "held"}}
	for _, p := range parts {
		var err error
		p.id = uuid.NewString()
		if p.sealed, err = l.sealIDs(t.Request, "batch "+p.id, texts(p.ids)); err != nil {
			return fmt.Errorf("set aside: %w", err)
		}
	}
	err := l.ordered(ctx, "set aside", t, func(ctx context.Context, tx *txn) error {
		var cancelling bool
		if err := tx.GetContext(ctx, &cancelling, tx.Rebind(`SELECT cancelling = 1 FROM requests WHERE id = ?`), t.Request); err != nil || cancelling {
			if err == nil {
				err = jobs.ErrStopped
			}
			return err
		}
		var seq int
		if err := tx.GetContext(ctx, &seq, tx.Rebind(`SELECT MAX(seq) FROM batches WHERE job = ?`), t.Job); err != nil {
			return err
		}
		now := millis(l.now())
		for _, p := range parts {
			if len(p.ids) == 0 {
				continue
			}
			seq++
			if err := p.write(ctx, tx, t, b, seq, now); err != nil {
				return err
			}
		}
		fault.Point("ledger/set-aside")
		if _, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM batches WHERE id = ?`), b.ID); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET note = ? WHERE id = ?`), heldNote, t.Job); err != nil {
			return err
		}
		if err := answered(ctx, tx, t.Ring); err != nil {
			return err
		}
		return heldStatus(ctx, tx, t.Request)
	})
	if err == nil {
		l.wake()
	}
	return err
}

// A sideBatch is one of the two that a batch becomes.
type sideBatch struct {
	id, state string
	ids       []store.ID
	sealed    []byte
}

// write inherits all attempts but this one, in which nothing was tried.
func (p *sideBatch) write(ctx context.Context, tx *txn, t jobs.Task, b jobs.Batch, seq int, now int64) error {
	held := 0
	if p.state == "held" && !fault.Bug("holds/held-uncounted") {
		held = len(p.ids)
	}
	_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO batches (id, job, seq, round, size, ids, attempts, crashes, started_at, touched, along, held, hold_seq, hold_ends)
		SELECT ?, job, ?, round, ?, ?, attempts - 1, ?, CASE WHEN attempts > 1 THEN started_at END, touched, along, ?, hold_seq, hold_ends FROM batches WHERE id = ?`),
		p.id, seq, len(p.ids), p.sealed, b.Crashes, held, b.ID)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`INSERT INTO outbox (id, kind, request, job, batch, store, state, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`),
		ringID(row{Batch: p.id}), jobs.BatchTask, t.Request, t.Job, p.id, t.Store, p.state, now)
	return err
}

// heldStatus says of a request that it is held once nothing of it goes on before
// a hold ends, and of the jobs whose other batches are done what that shows.
func heldStatus(ctx context.Context, tx *txn, request string) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET evidence = ? WHERE request = ? AND evidence = ? AND stage = ?
		AND EXISTS (SELECT 1 FROM batches b WHERE b.job = jobs.id AND b.done_at IS NOT NULL AND b.erased > 0)
		AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.job = jobs.id AND o.state <> 'held')`),
		store.EvidenceErased, request, store.EvidenceNone, jobs.StageErasing)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE requests SET status = ? WHERE id = ? AND status IN (?, ?, ?)
		AND EXISTS (SELECT 1 FROM outbox o WHERE o.request = requests.id AND o.state = 'held')
		AND NOT EXISTS (SELECT 1 FROM outbox o JOIN jobs j ON j.id = o.job
			WHERE o.request = requests.id AND o.state <> 'held' AND j.stage NOT IN (?, ?))`),
		jobs.Held, request, jobs.Planning, jobs.Erasing, jobs.Verifying, jobs.StagePurging, jobs.StageDone)
	return err
}

// Unhold implements jobs.HoldLedger. Whatever else may hold a batch, its next
// attempt is compared with.
func (l *Ledger) Unhold(ctx context.Context) error {
	const over = `SELECT DISTINCT o.request FROM outbox o JOIN batches b ON b.id = o.batch
		WHERE o.state = 'held' AND b.hold_ends < (SELECT COUNT(*) FROM holds WHERE state = 'ended') ORDER BY o.request`
	var requests []string
	if err := l.read.SelectContext(ctx, &requests, over); err != nil {
		return fmt.Errorf("go on after holds: %w", err)
	}
	if fault.Bug("holds/release-forgets") {
		return nil
	}
	for _, id := range requests {
		if err := l.unhold(ctx, id); err != nil {
			return fmt.Errorf("go on after holds: %w", err)
		}
	}
	return nil
}

func (l *Ledger) unhold(ctx context.Context, request string) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		if err := tx.lock(ctx, request); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE outbox SET state = 'ready', epoch = epoch + 1, next_at = ? WHERE request = ? AND state = 'held'`), millis(l.now()), request)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, tx.Rebind(`UPDATE batches SET held = 0 WHERE done_at IS NULL AND held > 0 AND job IN (SELECT id FROM jobs WHERE request = ?)`), request)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, tx.Rebind(`UPDATE jobs SET note = '' WHERE request = ? AND note = ?`), request, heldNote); err != nil {
			return err
		}
		return statusOf(ctx, tx, request)
	})
	if err == nil {
		l.wake()
	}
	return err
}
