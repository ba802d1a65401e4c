-- +goose Up
-- The logs of this database, one after the other: only the newest grows. Rows
-- of log n stand under n<<48 + index, hash ID or size.
CREATE TABLE audit_log (
  n      INTEGER PRIMARY KEY CHECK (n >= 0 AND n < 32768),
  origin TEXT NOT NULL UNIQUE
) STRICT;

-- What others said of a head that the log had signed.
CREATE TABLE audit_cosig (
  size INTEGER NOT NULL REFERENCES audit_checkpoint (size),
  key  TEXT NOT NULL,             -- name+hash of the witness's key
  line TEXT NOT NULL,             -- its signature line, whole
  at   INTEGER NOT NULL,          -- when the witness says it was; Unix seconds
  PRIMARY KEY (size, key)
) STRICT;

CREATE TABLE audit_stamp (
  size      INTEGER NOT NULL REFERENCES audit_checkpoint (size),
  authority TEXT NOT NULL,
  token     BLOB NOT NULL,        -- RFC 3161, over the head's note
  at        INTEGER NOT NULL,     -- when it was asked for, by the log's own clock; Unix seconds
  PRIMARY KEY (size, authority)
) STRICT;

DROP TRIGGER audit_entry_insert;
DROP TRIGGER audit_hash_insert;

-- +goose StatementBegin
CREATE TRIGGER audit_log_insert BEFORE INSERT ON audit_log
WHEN NEW.n IS NOT (SELECT coalesce(max(n) + 1, 0) FROM audit_log)
  OR EXISTS (SELECT 1 FROM audit_log WHERE origin = NEW.origin)
BEGIN SELECT RAISE(ABORT, 'audit_log: only a new log after the last'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_log_update BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_log_delete BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'audit_log: insert only'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_entry_insert BEFORE INSERT ON audit_entry
WHEN NEW.idx IS NOT max((SELECT coalesce(max(idx) + 1, 0) FROM audit_entry), (SELECT coalesce(max(n), 0) << 48 FROM audit_log))
  OR EXISTS (SELECT 1 FROM audit_entry WHERE entry_id = NEW.entry_id)
BEGIN SELECT RAISE(ABORT, 'audit_entry: only a new entry at the end'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_hash_insert BEFORE INSERT ON audit_hash
WHEN NEW.id IS NOT max((SELECT coalesce(max(id) + 1, 0) FROM audit_hash), (SELECT coalesce(max(n), 0) << 48 FROM audit_log))
BEGIN SELECT RAISE(ABORT, 'audit_hash: only at the end'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_cosig_insert BEFORE INSERT ON audit_cosig
WHEN EXISTS (SELECT 1 FROM audit_cosig WHERE size = NEW.size AND key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'audit_cosig: only a new one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_cosig_update BEFORE UPDATE ON audit_cosig
BEGIN SELECT RAISE(ABORT, 'audit_cosig: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_cosig_delete BEFORE DELETE ON audit_cosig
BEGIN SELECT RAISE(ABORT, 'audit_cosig: insert only'); END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER audit_stamp_insert BEFORE INSERT ON audit_stamp
WHEN EXISTS (SELECT 1 FROM audit_stamp WHERE size = NEW.size AND authority = NEW.authority)
BEGIN SELECT RAISE(ABORT, 'audit_stamp: only a new one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stamp_update BEFORE UPDATE ON audit_stamp
BEGIN SELECT RAISE(ABORT, 'audit_stamp: insert only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_stamp_delete BEFORE DELETE ON audit_stamp
BEGIN SELECT RAISE(ABORT, 'audit_stamp: insert only'); END;
-- +goose StatementEnd
