-- +goose Up
-- What the clock of a request shows besides its due date.
ALTER TABLE requests ADD COLUMN first_due_at bigint;                      -- what due_at was before it was extended
ALTER TABLE requests ADD COLUMN extended_at bigint;
ALTER TABLE requests ADD COLUMN extended_by text NOT NULL DEFAULT '';      -- opaque ID of an actor
ALTER TABLE requests ADD COLUMN extend_reason text NOT NULL DEFAULT '';    -- code
ALTER TABLE requests ADD COLUMN confirm_by bigint;                        -- NULL if its receipt need not be confirmed
ALTER TABLE requests ADD COLUMN confirmed_at bigint;
ALTER TABLE requests ADD COLUMN late_told integer NOT NULL DEFAULT 0;      -- the service's log has said that it is overdue
ALTER TABLE requests ADD COLUMN unconfirmed_told integer NOT NULL DEFAULT 0;
CREATE INDEX requests_unconfirmed ON requests (confirm_by, id) WHERE completed_at IS NULL AND confirmed_at IS NULL AND confirm_by IS NOT NULL;

-- Parts of requests that were refused.
CREATE TABLE exemptions (
  request   text NOT NULL REFERENCES requests (id),
  store     text COLLATE "C" NOT NULL,
  place     text COLLATE "C" NOT NULL,                -- empty for the whole store
  reason    text NOT NULL,                  -- code
  actor     text NOT NULL,                  -- opaque ID
  at        bigint NOT NULL,
  review_at bigint,
  found     integer NOT NULL DEFAULT 0,     -- IDs left, when the store was last read
  PRIMARY KEY (request, store, place)
);
