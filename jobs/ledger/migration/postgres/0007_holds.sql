-- +goose Up
-- Legal holds. seq rises in the order in which they were committed.
CREATE TABLE holds (
  id           text COLLATE "C" PRIMARY KEY, -- UUID version 7
  seq          bigint NOT NULL UNIQUE,
  state        text NOT NULL,               -- placing, active, ended
  selector     bytea,                       -- sealed; NULL once the hold has ended
  subject      text NOT NULL,               -- commitment under the hold's own key
  reason       text NOT NULL,               -- code
  placed_by    text NOT NULL,
  created_at   bigint NOT NULL,
  placed_at    bigint,                      -- in force since; NULL while it is being placed
  until        bigint,                      -- NULL for until it is released
  ended_at     bigint,
  ended_by     text NOT NULL DEFAULT '',
  ended_reason text NOT NULL DEFAULT ''
);
CREATE INDEX holds_by_state ON holds (state, until);

-- What an attempt at a batch knew of holds: the newest seq, and how many had ended.
ALTER TABLE batches ADD COLUMN hold_seq bigint NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN hold_ends bigint NOT NULL DEFAULT 0;
