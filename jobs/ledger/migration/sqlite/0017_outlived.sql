-- +goose Up
-- outlived_at is when all was deleted that the record of a request does not need to
-- say that there was one: see Outlived.
ALTER TABLE requests ADD COLUMN outlived_at INTEGER;
CREATE INDEX requests_outliving ON requests (completed_at) WHERE outlived_at IS NULL AND key_gone = 1;
