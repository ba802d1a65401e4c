-- +goose Up
-- A batch whose worker dies is told from one that fails: open is 1 from the
-- beginning of an attempt to its answer, and what is found open had no answer.
ALTER TABLE batches ADD COLUMN open INTEGER NOT NULL DEFAULT 0;
ALTER TABLE batches ADD COLUMN crashes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX batches_refused ON batches (job, refused) WHERE refused > 0 AND done_at IS NULL;
