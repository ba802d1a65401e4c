-- +goose Up
-- related of a request says that what is related is erased too; of a job, how many
-- rows were related when it was planned.
ALTER TABLE requests ADD COLUMN related INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN related INTEGER NOT NULL DEFAULT 0;
