-- +goose Up
-- Marks of the IDs of a finished batch, 16 bytes each, under the key of an epoch.
CREATE TABLE marks (
  batch text PRIMARY KEY,
  job   text NOT NULL,
  epoch text NOT NULL,                 -- year and month
  marks bytea NOT NULL
);
CREATE INDEX marks_of ON marks (job);
CREATE INDEX marks_epoch ON marks (epoch);

-- Marks of identifiers by which completed requests have forgotten somebody.
CREATE TABLE suppressions (
  mark    bytea NOT NULL,
  request text NOT NULL,
  epoch   text NOT NULL,
  PRIMARY KEY (mark, request)
);
CREATE INDEX suppressions_of ON suppressions (request);
CREATE INDEX suppressions_epoch ON suppressions (epoch);

-- Epochs whose key has been destroyed.
CREATE TABLE epochs (epoch text PRIMARY KEY, destroyed_at bigint NOT NULL);

-- When it is looked whether what a request has erased has come back to a store.
CREATE TABLE watches (
  request text NOT NULL,
  store   text NOT NULL,
  due_at  bigint NOT NULL,
  next_at bigint NOT NULL,            -- when one that is not done may be tried
  done_at bigint,
  unable  bigint NOT NULL DEFAULT 0,  -- 1: the store lists nothing
  back    bigint NOT NULL DEFAULT 0,  -- IDs
  later   bigint NOT NULL DEFAULT 0,
  undated bigint NOT NULL DEFAULT 0,
  filed   text NOT NULL DEFAULT '',    -- the request that erases them again
  PRIMARY KEY (request, store, due_at)
);
CREATE INDEX watches_due ON watches (store, due_at) WHERE done_at IS NULL;

-- The request that goes on with what has come back.
ALTER TABLE requests ADD COLUMN superseded_by text NOT NULL DEFAULT '';

-- Ends that only the log knows, since the book was put back to an older state: who
-- was forgotten is recognized by the commitment, while the request's key is kept.
CREATE TABLE log_ends (
  request   text NOT NULL,
  store     text NOT NULL,
  subject   text NOT NULL,              -- as it stands in the log
  erased_at bigint NOT NULL,
  exempt    text NOT NULL,              -- places, one a line
  PRIMARY KEY (request, store)
);
