-- +goose Up
-- What the clock of a request shows besides its due date.
ALTER TABLE requests ADD COLUMN first_due_at INTEGER;                      -- what due_at was before it was extended
ALTER TABLE requests ADD COLUMN extended_at INTEGER;
ALTER TABLE requests ADD COLUMN extended_by TEXT NOT NULL DEFAULT '';      -- opaque ID of an actor
ALTER TABLE requests ADD COLUMN extend_reason TEXT NOT NULL DEFAULT '';    -- code
ALTER TABLE requests ADD COLUMN confirm_by INTEGER;                        -- NULL if its receipt need not be confirmed
ALTER TABLE requests ADD COLUMN confirmed_at INTEGER;
ALTER TABLE requests ADD COLUMN late_told INTEGER NOT NULL DEFAULT 0;      -- the service's log has said that it is overdue
ALTER TABLE requests ADD COLUMN unconfirmed_told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX requests_unconfirmed ON requests (confirm_by, id) WHERE completed_at IS NULL AND confirmed_at IS NULL AND confirm_by IS NOT NULL;

-- Parts of requests that were refused.
CREATE TABLE exemptions (
  request   TEXT NOT NULL REFERENCES requests (id),
  store     TEXT NOT NULL,
  place     TEXT NOT NULL,                  -- empty for the whole store
  reason    TEXT NOT NULL,                  -- code
  actor     TEXT NOT NULL,                  -- opaque ID
  at        INTEGER NOT NULL,
  review_at INTEGER,
  found     INTEGER NOT NULL DEFAULT 0,     -- IDs left, when the store was last read
  PRIMARY KEY (request, store, place)
) STRICT, WITHOUT ROWID;
