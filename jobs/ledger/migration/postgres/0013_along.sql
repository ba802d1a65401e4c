-- +goose Up
-- along is what goes from the store with the batch and has IDs of its own, sealed
-- as ids are; NULL for nothing. Another batch of the job may have these IDs.
ALTER TABLE batches ADD COLUMN along bytea;
CREATE INDEX batches_along ON batches (job) WHERE along IS NOT NULL;
