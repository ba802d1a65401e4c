-- +goose Up
-- Legal holds. seq rises in the order in which they were committed.
CREATE TABLE holds (
  id           TEXT PRIMARY KEY,            -- UUID version 7
  seq          INTEGER NOT NULL UNIQUE,
  state        TEXT NOT NULL,               -- placing, active, ended
  selector     BLOB,                        -- sealed; NULL once the hold has ended
  subject      TEXT NOT NULL,               -- commitment under the hold's own key
  reason       TEXT NOT NULL,               -- code
  placed_by    TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  placed_at    INTEGER,                     -- in force since; NULL while it is being placed
  until        INTEGER,                     -- NULL for until it is released
  ended_at     INTEGER,
  ended_by     TEXT NOT NULL DEFAULT '',
  ended_reason TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX holds_by_state ON holds (state, until);

-- What an attempt at a batch knew of holds: the newest seq, and how many had ended.
ALTER TABLE batches ADD COLUMN hold_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN hold_ends INTEGER NOT NULL DEFAULT 0;
