-- +goose Up
CREATE TABLE IF NOT EXISTS audit_entry (
  idx      INTEGER PRIMARY KEY,
  entry_id TEXT NOT NULL UNIQUE,  -- request and kind: a retry cannot log twice
  body     BLOB NOT NULL          -- the exact bytes that were hashed
) STRICT;

CREATE TABLE IF NOT EXISTS audit_hash (
  id INTEGER PRIMARY KEY,         -- tlog.StoredHashIndex
  h  BLOB NOT NULL CHECK (length(h) = 32)
) STRICT;

CREATE TABLE IF NOT EXISTS audit_checkpoint (
  size INTEGER PRIMARY KEY,       -- at most one signed root for a size, ever
  root BLOB NOT NULL CHECK (length(root) = 32),
  note BLOB NOT NULL,
  at   INTEGER NOT NULL           -- Unix seconds
) STRICT;

-- The triggers stop accidents and injected SQL, not whoever owns the file.
-- INSERT OR REPLACE deletes without firing a DELETE trigger, so an insert must
-- be new in every unique column.

-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_entry_insert BEFORE INSERT ON audit_entry
WHEN NEW.idx IS NOT (SELECT coalesce(max(idx) + 1, 0) FROM audit_entry)
  OR EXISTS (SELECT 1 FROM audit_entry WHERE entry_id = NEW.entry_id)
BEGIN SELECT RAISE(ABORT, 'audit_entry: only a new entry at the end'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_entry_update BEFORE UPDATE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'audit_entry: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_entry_delete BEFORE DELETE ON audit_entry
BEGIN SELECT RAISE(ABORT, 'audit_entry: insert only'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_hash_insert BEFORE INSERT ON audit_hash
WHEN NEW.id IS NOT (SELECT coalesce(max(id) + 1, 0) FROM audit_hash)
BEGIN SELECT RAISE(ABORT, 'audit_hash: only at the end'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_hash_update BEFORE UPDATE ON audit_hash
BEGIN SELECT RAISE(ABORT, 'audit_hash: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_hash_delete BEFORE DELETE ON audit_hash
BEGIN SELECT RAISE(ABORT, 'audit_hash: insert only'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_checkpoint_insert BEFORE INSERT ON audit_checkpoint
WHEN NEW.size IS NULL OR NEW.size <= (SELECT coalesce(max(size), 0) FROM audit_checkpoint)
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint: only a larger size'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_checkpoint_update BEFORE UPDATE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER IF NOT EXISTS audit_checkpoint_delete BEFORE DELETE ON audit_checkpoint
BEGIN SELECT RAISE(ABORT, 'audit_checkpoint: insert only'); END;
-- +goose StatementEnd
