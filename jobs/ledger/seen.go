package ledger

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jmoiron/sqlx"

	"lethe/jobs"
)

// seen keeps keyed digests of IDs in a temporary database of its own, which
// SQLite removes when it is closed or the process ends. In memory a million
// of them would take 50 MB; in the ledger they would hold up its writer.
type seen struct {
	db  *sqlx.DB
	key []byte
}

// Seen implements jobs.Ledger.
func (l *Ledger) Seen(ctx context.Context, request string) (jobs.Seen, error) {
	key, err := l.keys.Seal(request)
	if err != nil {
		return nil, fmt.Errorf("open set of ids: %w", err)
	}
	db, err := sqlx.Open("sqlite3", "") // the empty name: a temporary database
	if err != nil {
		return nil, fmt.Errorf("open set of ids: %w", err)
	}
	db.SetMaxOpenConns(1) // each connection would be another database
	db.SetConnMaxLifetime(0)
	for _, q := range []string{
		`PRAGMA journal_mode = OFF`, `PRAGMA synchronous = OFF`, `PRAGMA cache_size = -8192`,
		`CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID`,
	} {
		if _, err := db.ExecContext(ctx, q); err != nil {
			return nil, errors.Join(fmt.Errorf("open set of ids: %w", err), db.Close())
		}
	}
	return &seen{db, key}, nil
}

// Add implements jobs.Seen.
func (s *seen) Add(ctx context.Context, ids []string) ([]string, error) {
	byDigest := make(map[string]int, len(ids))
	digests := make([]string, 0, len(ids))
	for i, id := range ids {
		mac := hmac.New(sha256.New, s.key)
		mac.Write([]byte(id))
		d := hex.EncodeToString(mac.Sum(nil)[:16]) // 2^-88 that two of a million agree
		if _, ok := byDigest[d]; !ok {
			byDigest[d] = i
			digests = append(digests, d)
		}
	}
	list, err := json.Marshal(digests)
	if err != nil {
		return nil, fmt.Errorf("add to set of ids: %w", err)
	}
	var added []string
	err = s.db.SelectContext(ctx, &added, `INSERT INTO seen SELECT unhex(value) FROM json_each(?) WHERE true ON CONFLICT DO NOTHING RETURNING lower(hex(digest))`, string(list))
	if err != nil {
		return nil, fmt.Errorf("add to set of ids: %w", err)
	}
	isNew := make(map[string]bool, len(added))
	for _, d := range added {
		isNew[d] = true
	}
	fresh := make([]string, 0, len(added))
	for _, d := range digests {
		if isNew[d] {
			fresh = append(fresh, ids[byDigest[d]])
		}
	}
	return fresh, nil
}

// Close implements jobs.Seen.
func (s *seen) Close() error { return s.db.Close() }
