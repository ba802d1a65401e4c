package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jmoiron/sqlx"
)

// Grant gives a role of PostgreSQL the rights that a service needs of the log's
// tables, and takes all others from it:
//
//	REVOKE ALL ON audit_… FROM role
//	GRANT SELECT, INSERT ON audit_log, audit_entry, audit_hash, audit_checkpoint, audit_cosig, audit_stamp, audit_outcast TO role
//	GRANT SELECT, INSERT, DELETE ON audit_outbox TO role   -- and its sequence
//	GRANT SELECT, UPDATE ON audit_head TO role
//	GRANT SELECT ON audit_migrations TO role
//	GRANT USAGE ON SCHEMA … TO role   -- the one that the tables are in
//
// This is a bound only if the role neither owns the tables nor is a superuser:
// migrate as their owner, run the service as the role. An owner is stopped by
// the triggers, until it drops them. Call it after [Migrate], as the owner; it
// may be called again.
func Grant(ctx context.Context, db *sqlx.DB, role string) error {
	if isSQLite(db) {
		return errors.New("grant: SQLite has no roles")
	}
	// A name cannot be a parameter. Doubling is what quote_ident does.
	to := `"` + strings.ReplaceAll(role, `"`, `""`) + `"`
	const logged = `audit_log, audit_entry, audit_hash, audit_checkpoint, audit_cosig, audit_stamp, audit_outcast`
	tx, err := db.BeginTxx(ctx, nil)
	if err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	var schema string
	if err := tx.GetContext(ctx, &schema, `SELECT quote_ident(current_schema())`); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	for _, s := range []string{
		`GRANT USAGE ON SCHEMA ` + schema + ` TO ` + to,
		`REVOKE ALL ON ` + logged + `, audit_outbox, audit_head, audit_migrations FROM PUBLIC, ` + to,
		`REVOKE ALL ON SEQUENCE audit_outbox_seq_seq FROM PUBLIC, ` + to,
		`GRANT SELECT, INSERT ON ` + logged + ` TO ` + to,
		`GRANT SELECT, INSERT, DELETE ON audit_outbox TO ` + to,
		`GRANT USAGE ON SEQUENCE audit_outbox_seq_seq TO ` + to,
		`GRANT SELECT, UPDATE ON audit_head TO ` + to,
		`GRANT SELECT ON audit_migrations TO ` + to,
	} {
		if _, err := tx.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("grant: %w", err)
	}
	return nil
}
