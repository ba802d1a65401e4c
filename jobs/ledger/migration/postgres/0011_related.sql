-- +goose Up
-- related of a request says that what is related is erased too; of a job, how many
-- rows were related when it was planned.
ALTER TABLE requests ADD COLUMN related boolean NOT NULL DEFAULT false;
ALTER TABLE jobs ADD COLUMN related integer NOT NULL DEFAULT 0;
