package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"lethe/audit"
	"lethe/audit/fault"
	"lethe/jobs"
	"lethe/store"
)

// requestRow is a row of requests without what is sealed.
type requestRow struct {
	ID, Status, Origin, Ticket, Regime, Ground string
	ReceivedAt                                 int64         `db:"received_at"`
	DueAt                                      int64         `db:"due_at"`
	CreatedAt                                  int64         `db:"created_at"`
	NotBefore                                  int64         `db:"not_before"`
	CompletedAt                                sql.NullInt64 `db:"completed_at"`
	PlanHash                                   string        `db:"plan_hash"`
	approvalRow
	clockRow
	Entry      string
	Subject    string
	TicketHMAC string `db:"ticket_hmac"`
	Cancelling bool
	KeyGone    bool `db:"key_gone"`

	OutlivedAt  sql.NullInt64 `db:"outlived_at"`
	FiledBy     string        `db:"filed_by"`
	Related     bool
	CancelledBy string `db:"cancelled_by"`

	SupersededBy string `db:"superseded_by"`
}

const requestColumns = `id, status, origin, ticket, regime, ground, received_at, due_at, created_at, not_before,
	completed_at, plan_hash, entry, subject, ticket_hmac, cancelling, key_gone, filed_by, cancelled_by, related, superseded_by, outlived_at, ` + approvalColumns + `, ` + clockColumns

func (r requestRow) request() jobs.Request {
	return jobs.Request{
		ID: r.ID, Status: jobs.Status(r.Status), Origin: r.Origin, FiledBy: r.FiledBy, Related: r.Related, Ticket: r.Ticket, Regime: r.Regime, Ground: r.Ground,
		ReceivedAt: at(r.ReceivedAt), DueAt: at(r.DueAt), CreatedAt: at(r.CreatedAt), NotBefore: at(r.NotBefore),
		CompletedAt: atOrNil(r.CompletedAt), PlanHash: r.PlanHash, Certificate: r.Entry != "", OutlivedAt: atOrNil(r.OutlivedAt),
		Clock:    r.times(),
		Approval: r.approval(), Superseded: r.SupersededBy,
	}
}

// jobRow is a row of jobs with its progress, counted from its batches.
type jobRow struct {
	ID, Request, Store, Kind, Stage, Evidence string
	Places, Note, Rewrite                     string
	Round, Missing, Remaining, Unattributable int
	Plan                                      string
	MapVersion                                string `db:"map_version"`
	Residue, Related, Kept                    int
	Found, Erased, Absent, Held, Refused      int
	Exempt                                    int
	BatchesTotal                              int           `db:"batches_total"`
	BatchesDone                               int           `db:"batches_done"`
	PlannedAt                                 sql.NullInt64 `db:"planned_at"`
	VerifiedAt                                sql.NullInt64 `db:"verified_at"`
	PurgedAt                                  sql.NullInt64 `db:"purged_at"`
	FirstErasedAt                             sql.NullInt64 `db:"first_erased_at"`
	ErasedAt                                  sql.NullInt64 `db:"erased_at"`
}

const jobColumns = `SELECT j.id, j.request, j.store, j.kind, j.stage, j.evidence, j.places, j.note, j.rewrite, j.round, j.missing, j.plan, j.map_version, j.residue, j.related, j.kept,
		j.remaining, j.unattributable, j.planned_at, j.verified_at, j.purged_at,
		COALESCE(SUM(b.size), 0) AS found, COALESCE(SUM(b.erased), 0) AS erased, COALESCE(SUM(b.absent), 0) AS absent,
		COALESCE(SUM(b.held), 0) AS held, COALESCE(SUM(b.refused), 0) AS refused,
		COUNT(b.id) AS batches_total, COUNT(b.done_at) AS batches_done,
		COALESCE((SELECT SUM(x.found) FROM exemptions x WHERE x.request = j.request AND x.store = j.store), 0) AS exempt,
		MIN(b.started_at) AS first_erased_at, MAX(b.done_at) AS erased_at
	FROM jobs j LEFT JOIN batches b ON b.job = j.id `

func (r jobRow) job() (jobs.Job, error) {
	j := jobs.Job{
		ID: r.ID, Request: r.Request, Store: r.Store, Kind: r.Kind, Stage: jobs.Stage(r.Stage), Evidence: store.Evidence(r.Evidence),
		Requested: r.Missing + r.Found + r.Exempt, Found: r.Found + r.Exempt, Exempt: r.Exempt, Erased: r.Erased, Absent: r.Missing + r.Absent, Held: r.Held, Refused: r.Refused,
		Remaining: r.Remaining, Unattributable: r.Unattributable, BatchesTotal: r.BatchesTotal, BatchesDone: r.BatchesDone,
		MapVersion: r.MapVersion, Digest: r.Plan, Residue: r.Residue, Related: r.Related, Kept: r.Kept,
		Round: r.Round, Rewrite: jobs.Rewrite(r.Rewrite), Note: r.Note, PlannedAt: atOrNil(r.PlannedAt), VerifiedAt: atOrNil(r.VerifiedAt),
		PurgedAt: atOrNil(r.PurgedAt), FirstErasedAt: atOrNil(r.FirstErasedAt), ErasedAt: atOrNil(r.ErasedAt),
	}
	if j.BatchesDone < j.BatchesTotal {
		j.ErasedAt = nil // not all of it
	}
	return j, json.Unmarshal([]byte(r.Places), &j.Places)
}

// Request implements jobs.Ledger.
func (l *Ledger) Request(ctx context.Context, id string) (jobs.Request, error) {
	r, err := request(ctx, l.read, id)
	if err != nil {
		return jobs.Request{}, fmt.Errorf("read request: %w", err)
	}
	return r, nil
}

func request(ctx context.Context, q querier, id string) (jobs.Request, error) {
	row, err := requestByID(ctx, q, id)
	if err != nil {
		return jobs.Request{}, err
	}
	r := row.request()
	of, err := jobsOf(ctx, q, id)
	if err != nil {
		return r, err
	}
	r.Jobs = of[id]
	exempt, err := exemptionsOf(ctx, q, id)
	r.Exemptions = exempt[id]
	return r, err
}

func requestByID(ctx context.Context, q querier, id string) (row requestRow, err error) {
	err = sqlx.GetContext(ctx, q, &row, q.Rebind(`SELECT `+requestColumns+` FROM requests WHERE id = ?`), id)
	if errors.Is(err, sql.ErrNoRows) {
		err = jobs.ErrNotFound
	}
	return row, err
}

// jobsOf returns the jobs of some requests, by request.
func jobsOf(ctx context.Context, q querier, requests ...string) (map[string][]jobs.Job, error) {
	of := make(map[string][]jobs.Job, len(requests))
	if len(requests) == 0 {
		return of, nil
	}
	query, args, err := sqlx.In(jobColumns+`WHERE j.request IN (?) GROUP BY j.id ORDER BY j.request, j.seq`, requests)
	if err != nil {
		return nil, err
	}
	var rows []jobRow
	if err := sqlx.SelectContext(ctx, q, &rows, q.Rebind(query), args...); err != nil {
		return nil, err
	}
	for _, row := range rows {
		j, err := row.job()
		if err != nil {
			return nil, err
		}
		of[row.Request] = append(of[row.Request], j)
	}
	return of, nil
}

// FiledBy implements jobs.Ledger.
func (l *Ledger) FiledBy(ctx context.Context, id string) (by string, err error) {
	err = l.read.GetContext(ctx, &by, l.read.Rebind(`SELECT filed_by FROM requests WHERE id = ?`), id)
	if errors.Is(err, sql.ErrNoRows) {
		err = jobs.ErrNotFound
	}
	if err != nil {
		return "", fmt.Errorf("read request: %w", err)
	}
	return by, nil
}

// List implements jobs.Ledger.
func (l *Ledger) List(ctx context.Context, filedBy string, statuses []jobs.Status, limit int, before string) ([]jobs.Request, error) {
	if len(statuses) == 0 {
		statuses = jobs.Statuses()
	}
	where, given := `status IN (?) AND (? = '' OR id < ?)`, []any{statuses, before, before}
	if filedBy != "" { // an own form, so that the index of filers serves it
		where, given = where+` AND filed_by = ?`, append(given, filedBy)
	}
	return l.listed(ctx, `SELECT `+requestColumns+` FROM requests WHERE `+where+` ORDER BY id DESC LIMIT ?`, append(given, limit)...)
}

// listed returns the requests that a query selects, with their jobs.
func (l *Ledger) listed(ctx context.Context, query string, args ...any) ([]jobs.Request, error) {
	query, args, err := sqlx.In(query, args...)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	var rows []requestRow
	if err := l.read.SelectContext(ctx, &rows, l.read.Rebind(query), args...); err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	list := make([]jobs.Request, len(rows))
	ids := make([]string, len(rows))
	for i, row := range rows {
		list[i], ids[i] = row.request(), row.ID
	}
	of, err := jobsOf(ctx, l.read, ids...)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	exempt, err := exemptionsOf(ctx, l.read, ids...)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	for i := range list {
		list[i].Jobs, list[i].Exemptions = of[list[i].ID], exempt[list[i].ID]
	}
	return list, nil
}

// Record implements jobs.Ledger.
func (l *Ledger) Record(ctx context.Context, id string) (jobs.Record, error) {
	return record(ctx, l.read, id)
}

func record(ctx context.Context, q querier, id string) (jobs.Record, error) {
	row, err := requestByID(ctx, q, id)
	if err != nil {
		return jobs.Record{}, fmt.Errorf("read request: %w", err)
	}
	rec := jobs.Record{
		Request: row.request(), Subject: row.Subject, TicketHMAC: row.TicketHMAC, Cancelling: row.Cancelling, CancelledBy: row.CancelledBy,
		Entry: row.Entry, KeyGone: row.KeyGone,
	}
	of, err := jobsOf(ctx, q, id)
	if err != nil {
		return jobs.Record{}, fmt.Errorf("read request: %w", err)
	}
	rec.Jobs = of[id]
	exempt, err := exemptionsOf(ctx, q, id)
	if err != nil {
		return jobs.Record{}, fmt.Errorf("read exemptions: %w", err)
	}
	rec.Exemptions = exempt[id]
	if rec.Outcomes, err = outcomes(ctx, q, id); err != nil {
		return jobs.Record{}, fmt.Errorf("read receipts: %w", err)
	}
	var roots [][]byte
	err = sqlx.SelectContext(ctx, q, &roots, q.Rebind(`SELECT b.root FROM batches b JOIN jobs j ON j.id = b.job
		WHERE j.request = ? AND b.root IS NOT NULL ORDER BY j.seq, b.seq`), id)
	if err != nil {
		return jobs.Record{}, fmt.Errorf("read receipts: %w", err)
	}
	if fault.Bug("ledger/others-receipts") {
		if err := sqlx.SelectContext(ctx, q, &roots, `SELECT root FROM batches WHERE root IS NOT NULL ORDER BY id`); err != nil {
			return jobs.Record{}, err
		}
	}
	for _, r := range roots {
		rec.Roots = append(rec.Roots, [32]byte(r))
	}
	return rec, nil
}

// Certificate implements jobs.Ledger.
func (l *Ledger) Certificate(ctx context.Context, entryID string) ([]byte, error) {
	return l.cut(ctx, entryID, l.log.Certificate)
}

// CertificateAt implements jobs.Ledger.
func (l *Ledger) CertificateAt(ctx context.Context, entryID string, newest bool) ([]byte, error) {
	return l.cut(ctx, entryID, func(ctx context.Context, id string) ([]byte, error) { return l.log.CertificateAt(ctx, id, newest) })
}

// cut asks for a certificate. On PostgreSQL its entry may be committed and not in
// the log yet, which it is in a moment.
func (l *Ledger) cut(ctx context.Context, entryID string, ask func(context.Context, string) ([]byte, error)) ([]byte, error) {
	text, err := ask(ctx, entryID)
	if !errors.Is(err, audit.ErrNotFound) {
		return text, err
	}
	waits, out := l.log.Waits(ctx, entryID)
	if out != nil {
		return nil, out
	}
	if waits {
		l.logged(ctx, entryID)
	}
	text, err = ask(ctx, entryID) // also if it did not wait: it may have been logged since
	switch {
	case !errors.Is(err, audit.ErrNotFound):
		return text, err
	case waits:
		return nil, fmt.Errorf("%w: the log does not have its entry yet", jobs.ErrTooLate)
	}
	return nil, fmt.Errorf("%w: %w", jobs.ErrNotFound, err) // in the book's words
}
