-- +goose Up
-- Ended requests that only the log knows, since an import: their subject keys
-- are destroyed on schedule too. The row goes with the key.
CREATE TABLE orphans (
  request   TEXT PRIMARY KEY,
  key_until INTEGER NOT NULL
) STRICT;
CREATE INDEX orphans_due ON orphans (key_until);
