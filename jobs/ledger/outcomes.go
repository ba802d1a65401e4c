package ledger

import (
	"context"

	"github.com/jmoiron/sqlx"

	"lethe/jobs"
)

// keepOutcomes writes what became of a batch's IDs, by place.
func keepOutcomes(ctx context.Context, tx *txn, batch string, places []jobs.PlaceOutcome) error {
	for _, p := range places {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO outcomes (batch, place, erased, absent, held, refused) VALUES (?, ?, ?, ?, ?, ?)`),
			batch, p.Place, p.Erased, p.Absent, p.Held, p.Refused)
		if err != nil {
			return err
		}
	}
	return nil
}

// outcomes sums up what became of the IDs of a request, by job and place.
func outcomes(ctx context.Context, q querier, request string) (map[string][]jobs.PlaceOutcome, error) {
	var rows []struct {
		Job string
		jobs.PlaceOutcome
	}
	err := sqlx.SelectContext(ctx, q, &rows, q.Rebind(`SELECT b.job, o.place, SUM(o.erased) AS erased,
			SUM(o.absent) AS absent, SUM(o.held) AS held, SUM(o.refused) AS refused
		FROM outcomes o JOIN batches b ON b.id = o.batch JOIN jobs j ON j.id = b.job
		WHERE j.request = ? GROUP BY b.job, o.place ORDER BY b.job, o.place`), request)
	by := make(map[string][]jobs.PlaceOutcome, len(rows))
	for _, r := range rows {
		by[r.Job] = append(by[r.Job], r.PlaceOutcome)
	}
	return by, err
}
