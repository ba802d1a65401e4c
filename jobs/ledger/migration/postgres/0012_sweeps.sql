-- +goose Up
-- What is known of a policy in a store. newest is the newest tick that was taken.
CREATE TABLE policies (
  policy text NOT NULL,
  store  text NOT NULL,
  since  bigint NOT NULL,             -- when it was first seen
  newest bigint NOT NULL,             -- since, before the first tick
  as_of  bigint,                      -- by the store's clock, of the last sweep that was done
  PRIMARY KEY (policy, store)
);

-- Sweeps: a tick of a policy in a store, or one by hand.
CREATE TABLE sweeps (
  id      text COLLATE "C" PRIMARY KEY, -- UUID version 7
  policy  text NOT NULL,
  store   text NOT NULL,
  due_at  bigint NOT NULL,
  actor   text NOT NULL DEFAULT '',    -- who ran it by hand; '' for a tick
  missed  bigint NOT NULL DEFAULT 0,  -- earlier ticks that it covers
  state   text NOT NULL,               -- open, filed, empty, covered, refused
  reason  text NOT NULL DEFAULT '',    -- code
  next_at bigint NOT NULL,            -- when an open one may be tried
  as_of   bigint,
  found   bigint NOT NULL DEFAULT 0,
  held    bigint NOT NULL DEFAULT 0,
  undated bigint NOT NULL DEFAULT 0,
  request text NOT NULL DEFAULT '',
  done_at bigint,
  UNIQUE (policy, store, due_at, actor)
);
CREATE INDEX sweeps_open ON sweeps (policy, store) WHERE state = 'open';
CREATE INDEX sweeps_filed ON sweeps (policy, store, done_at) WHERE request <> '';
CREATE INDEX sweeps_by_time ON sweeps (policy, id);
CREATE INDEX sweeps_done ON sweeps (policy, store, state, done_at);

-- How often a policy could not be run, for the metric.
CREATE TABLE sweep_refusals (
  policy text NOT NULL,
  reason text NOT NULL,                -- code
  n      bigint NOT NULL,
  PRIMARY KEY (policy, reason)
);

-- The brakes that a sweep's request was filed with, as JSON; '' for none.
ALTER TABLE requests ADD COLUMN brakes text NOT NULL DEFAULT '';

-- IDs that a sweep left when their turn came: held, or not selected any more.
ALTER TABLE jobs ADD COLUMN kept bigint NOT NULL DEFAULT 0;
