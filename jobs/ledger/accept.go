package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"lethe/audit/fault"
	"lethe/audit/proof"
	"lethe/jobs"
	"lethe/jobs/keyring"
)

// Accept implements jobs.Ledger.
func (l *Ledger) Accept(ctx context.Context, a jobs.Acceptance) (existing *jobs.Request, body []byte, err error) {
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		if a.Idempotency != nil {
			// Looked up inside the transaction: of two equal submissions at
			// once, one files and the other finds.
			if existing, body, err = byIdempotency(ctx, tx, a.Idempotency); err != nil || existing != nil {
				return err
			}
		}
		if filed, err := l.insertRequest(ctx, tx, a); err != nil {
			return err
		} else if !filed { // by an equal submission, in another process, since it was looked up
			existing, body, err = byIdempotency(ctx, tx, a.Idempotency)
			return err
		}
		if !fault.Bug("sweep/filed-apart") {
			if err := l.fileSweep(ctx, tx, a); err != nil {
				return err
			}
		}
		if err := l.insertNotify(ctx, tx, a); err != nil {
			return err
		}
		for i, j := range a.Request.Jobs {
			if _, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO jobs (id, request, seq, store, kind, stage) VALUES (?, ?, ?, ?, ?, ?)`),
				j.ID, a.Request.ID, i, j.Store, j.Kind, jobs.StagePlanning); err != nil {
				return err
			}
			if err := ring(ctx, tx, row{Kind: jobs.PlanTask, Request: a.Request.ID, Job: j.ID, Store: j.Store, NextAt: millis(a.Request.CreatedAt)}); err != nil {
				return err
			}
		}
		fault.Point("ledger/accept-written")
		if fault.Bug("ledger/accept-unlogged") {
			return nil
		}
		also, err := l.supersede(ctx, tx, a)
		if err != nil {
			return err
		}
		return tx.log(ctx, slices.Concat([]proof.Entry{a.Entry}, a.Also, also)...)
	})
	if err == nil && fault.Bug("sweep/filed-apart") {
		err = l.write(ctx, func(ctx context.Context, tx *txn) error { return l.fileSweep(ctx, tx, a) })
	}
	if err != nil {
		return nil, nil, fmt.Errorf("accept request: %w", err)
	}
	l.wake()
	return existing, body, nil
}

func (l *Ledger) insertRequest(ctx context.Context, tx *txn, a jobs.Acceptance) (filed bool, err error) {
	r := a.Request
	key, err := l.keys.Seal(r.ID) // without it, staged IDs could not be read either
	if err != nil {
		return false, err
	}
	var selector []byte
	byID := 1
	if a.Selector != nil {
		byID = 0
		if selector, err = keyring.Seal(key, a.Selector, "selector "+r.ID); err != nil {
			return false, err
		}
	}
	brakes, err := brakesText(a.Brakes)
	if err != nil {
		return false, err
	}
	res, err := tx.ExecContext(ctx, tx.Rebind(`
		INSERT INTO requests (id, status, origin, ticket, regime, ground, received_at, due_at, created_at, not_before,
			by_id, requested, selector, subject, ticket_hmac, idempotency, body, filed_by, confirm_by, related, brakes)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (idempotency) DO NOTHING`),
		r.ID, r.Status, r.Origin, r.Ticket, r.Regime, r.Ground, millis(r.ReceivedAt), millis(r.DueAt), millis(r.CreatedAt), millis(r.NotBefore),
		byID, a.Requested, selector, a.Subject, a.TicketHMAC, a.Idempotency, a.Body, r.FiledBy, confirmBy(r), r.Related, brakes)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

func confirmBy(r jobs.Request) any {
	if r.Clock.ConfirmBy == nil {
		return nil
	}
	return millis(*r.Clock.ConfirmBy)
}

// ByIdempotency implements jobs.Ledger.
func (l *Ledger) ByIdempotency(ctx context.Context, digest []byte) (*jobs.Request, []byte, error) {
	r, body, err := byIdempotency(ctx, l.read, digest)
	if err != nil {
		return nil, nil, fmt.Errorf("look up idempotency key: %w", err)
	}
	return r, body, nil
}

func byIdempotency(ctx context.Context, q querier, digest []byte) (*jobs.Request, []byte, error) {
	var found struct {
		ID   string
		Body []byte
	}
	err := sqlx.GetContext(ctx, q, &found, q.Rebind(`SELECT id, body FROM requests WHERE idempotency = ?`), digest)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	r, err := request(ctx, q, found.ID)
	return &r, found.Body, err
}

// row is what an outbox row says when it is made.
type row struct {
	Kind                       jobs.TaskKind
	Request, Job, Batch, Store string
	NextAt                     int64
}

// ring puts a row into the outbox: whatever has to be done is such a row,
// committed together with the reason for it.
func ring(ctx context.Context, tx *txn, r row) error {
	_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO outbox (id, kind, request, job, batch, store, next_at) VALUES (?, ?, ?, ?, ?, ?, ?)`),
		ringID(r), r.Kind, r.Request, r.Job, r.Batch, r.Store, r.NextAt)
	return err
}

// ringID is random: it is all that the queue ever sees of a row.
func ringID(r row) string {
	if fault.Bug("ledger/ring-names-memory") && r.Batch != "" {
		return r.Batch
	}
	return uuid.NewString()
}

func (l *Ledger) wake() {
	select {
	case l.bell <- struct{}{}:
	default: // one ring is pending already
	}
}

func millis(t time.Time) int64 { return t.UnixMilli() }

func at(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

func atOrNil(ms sql.NullInt64) *time.Time {
	if !ms.Valid {
		return nil
	}
	t := at(ms.Int64)
	return &t
}
