-- +goose Up
CREATE TABLE requests (
  id           TEXT PRIMARY KEY,            -- UUID version 7: sorts by time of intake
  status       TEXT NOT NULL,
  origin       TEXT NOT NULL,
  ticket       TEXT NOT NULL,
  regime       TEXT NOT NULL,
  ground       TEXT NOT NULL,
  received_at  INTEGER NOT NULL,
  due_at       INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  not_before   INTEGER NOT NULL,
  completed_at INTEGER,
  by_id        INTEGER NOT NULL,            -- 1: the selector is a list of IDs that stands in staged
  requested    INTEGER NOT NULL,             -- how many explicit IDs, 0 for any other selector
  selector     BLOB,                        -- sealed; NULL once the request has ended
  subject      TEXT NOT NULL,               -- commitment under the subject key
  ticket_hmac  TEXT NOT NULL,
  plan_hash    TEXT NOT NULL DEFAULT '',
  cancelling   INTEGER NOT NULL DEFAULT 0,
  entry        TEXT NOT NULL DEFAULT '',    -- ID of the terminal entry in the log
  key_until    INTEGER,                      -- when the subject key is to be destroyed
  key_gone     INTEGER NOT NULL DEFAULT 0,
  idempotency  BLOB UNIQUE,                 -- keyed digest of the idempotency key
  body         BLOB                         -- keyed digest of the body it came with
) STRICT;
CREATE INDEX requests_by_status ON requests (status, id);

CREATE TABLE staged (                       -- explicit IDs, at most 1000 a row
  request TEXT NOT NULL,
  seq     INTEGER NOT NULL,
  ids     BLOB NOT NULL,                    -- sealed
  at      INTEGER NOT NULL,
  PRIMARY KEY (request, seq)
) STRICT;

CREATE TABLE jobs (
  id              TEXT PRIMARY KEY,
  request         TEXT NOT NULL REFERENCES requests (id),
  seq             INTEGER NOT NULL,
  store           TEXT NOT NULL,
  kind            TEXT NOT NULL,
  stage           TEXT NOT NULL,
  evidence        TEXT NOT NULL DEFAULT 'none',
  round           INTEGER NOT NULL DEFAULT 0,
  missing         INTEGER NOT NULL DEFAULT 0, -- IDs asked for that planning did not find
  remaining       INTEGER NOT NULL DEFAULT 0,
  unattributable  INTEGER NOT NULL DEFAULT 0,
  places          TEXT NOT NULL DEFAULT '[]',
  plan            TEXT NOT NULL DEFAULT '',  -- hash of the frozen batches
  note            TEXT NOT NULL DEFAULT '',
  planned_at      INTEGER,
  verified_at     INTEGER,
  purged_at       INTEGER,
  UNIQUE (request, seq)
) STRICT;
CREATE INDEX jobs_by_stage ON jobs (stage, store);

CREATE TABLE batches (
  id         TEXT PRIMARY KEY,
  job        TEXT NOT NULL REFERENCES jobs (id),
  seq        INTEGER NOT NULL,
  round      INTEGER NOT NULL,
  size       INTEGER NOT NULL,
  ids        BLOB,                          -- sealed; NULL once the request has ended
  attempts   INTEGER NOT NULL DEFAULT 0,     -- written before the work, so that a crash counts
  started_at INTEGER,                        -- first attempt
  done_at    INTEGER,
  erased     INTEGER NOT NULL DEFAULT 0,
  absent     INTEGER NOT NULL DEFAULT 0,
  held       INTEGER NOT NULL DEFAULT 0,
  refused    INTEGER NOT NULL DEFAULT 0,
  leaves     BLOB,                          -- the receipt: keyed digests, 32 bytes an ID
  root       BLOB,                          -- RFC 6962 root over them
  UNIQUE (job, seq)
) STRICT;

CREATE TABLE outbox (
  id          TEXT PRIMARY KEY,             -- random: all that the queue ever sees
  kind        TEXT NOT NULL,                -- plan, batch, settle
  request     TEXT NOT NULL REFERENCES requests (id),
  job         TEXT NOT NULL REFERENCES jobs (id),
  batch       TEXT NOT NULL DEFAULT '',
  store       TEXT NOT NULL,
  state       TEXT NOT NULL DEFAULT 'ready', -- ready, queued, running
  epoch       INTEGER NOT NULL DEFAULT 1,
  attempts    INTEGER NOT NULL DEFAULT 0,
  next_at     INTEGER NOT NULL,              -- not before
  queued_at   INTEGER NOT NULL DEFAULT 0,
  owner       TEXT NOT NULL DEFAULT '',
  lease_until INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX outbox_by_state ON outbox (state, next_at);
CREATE INDEX outbox_by_job ON outbox (job, kind);
CREATE INDEX outbox_by_request ON outbox (request);
