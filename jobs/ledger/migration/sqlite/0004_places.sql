-- +goose Up
-- What became of a finished batch's IDs, by place. Batches that were finished
-- before have no rows here.
CREATE TABLE outcomes (
  batch   TEXT NOT NULL REFERENCES batches (id),
  place   TEXT NOT NULL,
  erased  INTEGER NOT NULL,
  absent  INTEGER NOT NULL,
  held    INTEGER NOT NULL,
  refused INTEGER NOT NULL,
  PRIMARY KEY (batch, place)
) STRICT, WITHOUT ROWID;
