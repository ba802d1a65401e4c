package audit

import (
	"bytes"
	"context"
	"database/sql"
	"errors"

	"github.com/jmoiron/sqlx"
	"golang.org/x/mod/sumdb/tlog"
)

// A tip is the newest head, and those hashes that the next entries are hashed
// with, as a confirmed commit left them. It saves reading and verifying them
// anew as long as the database still shows this very head.
type tip struct {
	head   Head
	keys   *chain
	hashes map[int64]tlog.Hash
}

// newTip keeps of hashes what roots from this size on are made of: one for
// each bit of the size.
func newTip(h Head, keys *chain, hashes map[int64]tlog.Hash) *tip {
	t := &tip{head: h, keys: keys, hashes: map[int64]tlog.Hash{}}
	for level, n := 0, h.Size; n > 0; level, n = level+1, n>>1 {
		if n&1 == 1 {
			id := tlog.StoredHashIndex(level, n-1)
			if x, ok := hashes[id]; ok { // else it is read when it is needed
				t.hashes[id] = x
			}
		}
	}
	return t
}

// tipQuery reads the newest head and what it must cover.
const tipQuery = `SELECT size, root, note,
	(SELECT coalesce(max(idx), -1) FROM audit_entry), (SELECT coalesce(max(id), -1) FROM audit_hash)
	FROM audit_checkpoint ORDER BY size DESC LIMIT 1`

// shown tells whether the database still ends where t does.
func (t *tip) shown(ctx context.Context, l *Log, query *sqlx.Stmt) (bool, error) {
	var size, idx, id int64
	var root, note []byte
	err := query.QueryRowxContext(ctx).Scan(&size, &root, &note, &idx, &id)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil && size == l.base+t.head.Size && bytes.Equal(root, t.head.Root[:]) && bytes.Equal(note, t.head.Note) &&
		idx == size-1 && id == l.base+tlog.StoredHashCount(t.head.Size)-1, err
}
