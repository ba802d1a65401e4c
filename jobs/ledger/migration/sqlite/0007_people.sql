-- +goose Up
-- Who asked, and who may. filed_by and cancelled_by are IDs of actors, which name
-- no person; what was filed before there were tokens was filed by "open".
ALTER TABLE requests ADD COLUMN filed_by TEXT NOT NULL DEFAULT 'open';
ALTER TABLE requests ADD COLUMN cancelled_by TEXT NOT NULL DEFAULT '';
CREATE INDEX requests_filed_by ON requests (filed_by, id);

CREATE TABLE tokens (
  id         TEXT PRIMARY KEY,             -- stands in the log as who did something
  hash       BLOB NOT NULL UNIQUE,         -- SHA-256 of the token, which is 256 random bits
  name       TEXT NOT NULL,                -- the operator's words
  role       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER,
  revoked_by TEXT NOT NULL DEFAULT '',
  used_at    INTEGER,                      -- to the hour
  unlogged   INTEGER NOT NULL              -- which of its entries the log is owed, since it was made (1) or revoked (2) beside the service
) STRICT;
CREATE INDEX tokens_unlogged ON tokens (id) WHERE unlogged > 0;
