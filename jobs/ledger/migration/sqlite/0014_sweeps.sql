-- +goose Up
-- What is known of a policy in a store. newest is the newest tick that was taken.
CREATE TABLE policies (
  policy TEXT NOT NULL,
  store  TEXT NOT NULL,
  since  INTEGER NOT NULL,             -- when it was first seen
  newest INTEGER NOT NULL,             -- since, before the first tick
  as_of  INTEGER,                      -- by the store's clock, of the last sweep that was done
  PRIMARY KEY (policy, store)
) STRICT;

-- Sweeps: a tick of a policy in a store, or one by hand.
CREATE TABLE sweeps (
  id      TEXT PRIMARY KEY,            -- UUID version 7
  policy  TEXT NOT NULL,
  store   TEXT NOT NULL,
  due_at  INTEGER NOT NULL,
  actor   TEXT NOT NULL DEFAULT '',    -- who ran it by hand; '' for a tick
  missed  INTEGER NOT NULL DEFAULT 0,  -- earlier ticks that it covers
  state   TEXT NOT NULL,               -- open, filed, empty, covered, refused
  reason  TEXT NOT NULL DEFAULT '',    -- code
  next_at INTEGER NOT NULL,            -- when an open one may be tried
  as_of   INTEGER,
  found   INTEGER NOT NULL DEFAULT 0,
  held    INTEGER NOT NULL DEFAULT 0,
  undated INTEGER NOT NULL DEFAULT 0,
  request TEXT NOT NULL DEFAULT '',
  done_at INTEGER,
  UNIQUE (policy, store, due_at, actor)
) STRICT;
CREATE INDEX sweeps_open ON sweeps (policy, store) WHERE state = 'open';
CREATE INDEX sweeps_filed ON sweeps (policy, store, done_at) WHERE request <> '';
CREATE INDEX sweeps_by_time ON sweeps (policy, id);
CREATE INDEX sweeps_done ON sweeps (policy, store, state, done_at);

-- How often a policy could not be run, for the metric.
CREATE TABLE sweep_refusals (
  policy TEXT NOT NULL,
  reason TEXT NOT NULL,                -- code
  n      INTEGER NOT NULL,
  PRIMARY KEY (policy, reason)
) STRICT;

-- The brakes that a sweep's request was filed with, as JSON; '' for none.
ALTER TABLE requests ADD COLUMN brakes TEXT NOT NULL DEFAULT '';

-- IDs that a sweep left when their turn came: held, or not selected any more.
ALTER TABLE jobs ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
