-- +goose Up
-- touched is 1 for a batch that an answered attempt may have begun to erase, or
-- one that was never answered. The attempt that goes on now is told by open.
ALTER TABLE batches ADD COLUMN touched integer NOT NULL DEFAULT 0;
UPDATE batches SET touched = 1 WHERE attempts > 0;
