package ledger

import (
	"context"

	"lethe/jobs"
)

// Urgent implements jobs.Ledger. The index of statuses finds the rows; of those
// that are open there are few enough to sort.
func (l *Ledger) Urgent(ctx context.Context, filedBy string, statuses []jobs.Status, limit int, after string) ([]jobs.Request, error) {
	where, given := `status IN (?)`, []any{statuses}
	if after != "" {
		where, given = where+` AND (due_at, id) > (SELECT due_at, id FROM requests WHERE id = ?)`, append(given, after)
	}
	if filedBy != "" {
		where, given = where+` AND filed_by = ?`, append(given, filedBy)
	}
	return l.listed(ctx, `SELECT `+requestColumns+` FROM requests WHERE `+where+` ORDER BY due_at, id LIMIT ?`, append(given, limit)...)
}
