-- +goose Up
-- Marks of the IDs of a finished batch, 16 bytes each, under the key of an epoch.
CREATE TABLE marks (
  batch TEXT PRIMARY KEY,
  job   TEXT NOT NULL,
  epoch TEXT NOT NULL,                 -- year and month
  marks BLOB NOT NULL
) STRICT;
CREATE INDEX marks_of ON marks (job);
CREATE INDEX marks_epoch ON marks (epoch);

-- Marks of identifiers by which completed requests have forgotten somebody.
CREATE TABLE suppressions (
  mark    BLOB NOT NULL,
  request TEXT NOT NULL,
  epoch   TEXT NOT NULL,
  PRIMARY KEY (mark, request)
) STRICT;
CREATE INDEX suppressions_of ON suppressions (request);
CREATE INDEX suppressions_epoch ON suppressions (epoch);

-- Epochs whose key has been destroyed.
CREATE TABLE epochs (epoch TEXT PRIMARY KEY, destroyed_at INTEGER NOT NULL) STRICT;

-- When it is looked whether what a request has erased has come back to a store.
CREATE TABLE watches (
  request TEXT NOT NULL,
  store   TEXT NOT NULL,
  due_at  INTEGER NOT NULL,
  next_at INTEGER NOT NULL,            -- when one that is not done may be tried
  done_at INTEGER,
  unable  INTEGER NOT NULL DEFAULT 0,  -- 1: the store lists nothing
  back    INTEGER NOT NULL DEFAULT 0,  -- IDs
  later   INTEGER NOT NULL DEFAULT 0,
  undated INTEGER NOT NULL DEFAULT 0,
  filed   TEXT NOT NULL DEFAULT '',    -- the request that erases them again
  PRIMARY KEY (request, store, due_at)
) STRICT;
CREATE INDEX watches_due ON watches (store, due_at) WHERE done_at IS NULL;

-- The request that goes on with what has come back.
ALTER TABLE requests ADD COLUMN superseded_by TEXT NOT NULL DEFAULT '';

-- Ends that only the log knows, since the book was put back to an older state: who
-- was forgotten is recognized by the commitment, while the request's key is kept.
CREATE TABLE log_ends (
  request   TEXT NOT NULL,
  store     TEXT NOT NULL,
  subject   TEXT NOT NULL,              -- as it stands in the log
  erased_at INTEGER NOT NULL,
  exempt    TEXT NOT NULL,              -- places, one a line
  PRIMARY KEY (request, store)
) STRICT;
