-- +goose Up
-- What is looked for again and again must not cost a walk over all requests
-- that ever were.
CREATE INDEX requests_cancelling ON requests (completed_at, id) WHERE cancelling = 1;
CREATE INDEX requests_open ON requests (due_at) WHERE completed_at IS NULL;
CREATE INDEX requests_keys ON requests (key_until, id) WHERE key_gone = 0;
