-- +goose Up
-- Entries about the log's keys are read before each head. The unique index on
-- their IDs does not find them by their beginning in every collation.
CREATE INDEX audit_entry_key ON audit_entry (idx) WHERE entry_id LIKE 'key/%';
