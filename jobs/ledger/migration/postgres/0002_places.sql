-- +goose Up
-- What became of a finished batch's IDs, by place. Batches that were finished
-- before have no rows here.
CREATE TABLE outcomes (
  batch   text COLLATE "C" NOT NULL REFERENCES batches (id),
  place   text COLLATE "C" NOT NULL,
  erased  integer NOT NULL,
  absent  integer NOT NULL,
  held    integer NOT NULL,
  refused integer NOT NULL,
  PRIMARY KEY (batch, place)
);
