package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"

	"lethe/jobs/keyring"
)

// stagedFor is how long IDs may be staged before their request is filed.
const stagedFor = time.Hour

// AddStaged implements jobs.Ledger.
func (l *Ledger) AddStaged(ctx context.Context, request string, seq int, ids []string) error {
	sealed, err := l.sealIDs(request, stagedContext(request, seq), ids)
	if err != nil {
		return fmt.Errorf("stage ids: %w", err)
	}
	err = l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`INSERT INTO staged (request, seq, ids, at) VALUES (?, ?, ?, ?)`), request, seq, sealed, millis(l.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("stage ids: %w", err)
	}
	return nil
}

// Staged implements jobs.Ledger.
func (l *Ledger) Staged(ctx context.Context, request string) iter.Seq2[[]string, error] {
	return func(yield func([]string, error) bool) {
		total := 0
		for seq := 1; ; seq++ {
			var sealed [][]byte
			err := l.read.SelectContext(ctx, &sealed, l.read.Rebind(`SELECT ids FROM staged WHERE request = ? AND seq = ?`), request, seq)
			if err != nil {
				yield(nil, fmt.Errorf("read staged ids: %w", err))
				return
			}
			if len(sealed) == 0 {
				if err := l.allStaged(ctx, request, total); err != nil {
					yield(nil, err)
				}
				return
			}
			ids, err := l.unsealIDs(request, stagedContext(request, seq), sealed[0])
			if err != nil {
				err = fmt.Errorf("read staged ids: %w", err)
			}
			total += len(ids)
			if !yield(ids, err) || err != nil {
				return
			}
		}
	}
}

// allStaged returns an error if a filed request has lost some of its IDs: to
// go on with the rest would end in a false proof.
func (l *Ledger) allStaged(ctx context.Context, request string, total int) error {
	var lost int
	err := l.read.GetContext(ctx, &lost, l.read.Rebind(`SELECT COUNT(*) FROM requests WHERE id = ? AND by_id = 1 AND requested <> ?`), request, total)
	if err != nil {
		return fmt.Errorf("read staged ids: %w", err)
	}
	if lost > 0 {
		return errors.New("read staged ids: some are missing")
	}
	return nil
}

// DropStaged implements jobs.Ledger.
func (l *Ledger) DropStaged(ctx context.Context, request string) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM staged WHERE request = ?`), request)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop staged ids: %w", err)
	}
	return nil
}

// sweepStaged removes what a crash left of requests that were never filed.
func (l *Ledger) sweepStaged(ctx context.Context) error {
	err := l.write(ctx, func(ctx context.Context, tx *txn) error {
		_, err := tx.ExecContext(ctx, tx.Rebind(`DELETE FROM staged WHERE at < ? AND request NOT IN (SELECT id FROM requests)`), millis(l.now().Add(-stagedFor)))
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep staged ids: %w", err)
	}
	return nil
}

func stagedContext(request string, seq int) string { return fmt.Sprintf("staged %s %d", request, seq) }

func (l *Ledger) sealIDs(request, context string, ids []string) ([]byte, error) {
	key, err := l.keys.Seal(request)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	return keyring.Seal(key, plain, context)
}

func (l *Ledger) unsealIDs(request, context string, sealed []byte) (ids []string, err error) {
	key, err := l.keys.Seal(request)
	if err != nil {
		return nil, err
	}
	plain, err := keyring.Unseal(key, sealed, context)
	if err != nil {
		return nil, err
	}
	return ids, json.Unmarshal(plain, &ids)
}
