-- +goose Up
-- What every scrape of the metrics asks must not cost a walk over all requests
-- that ever were.
CREATE INDEX requests_open_by ON requests (status, origin) WHERE completed_at IS NULL;
CREATE INDEX requests_oldest ON requests (created_at) WHERE completed_at IS NULL;
CREATE INDEX requests_ended ON requests (completed_at, origin, status) WHERE completed_at IS NOT NULL;
CREATE INDEX batches_done ON batches (done_at) WHERE done_at IS NOT NULL;
CREATE INDEX jobs_planned ON jobs (planned_at) WHERE planned_at IS NOT NULL;
CREATE INDEX jobs_verified ON jobs (verified_at) WHERE verified_at IS NOT NULL;
CREATE INDEX jobs_purged ON jobs (purged_at) WHERE purged_at IS NOT NULL;
DROP INDEX outbox_by_state;
CREATE INDEX outbox_by_state ON outbox (state, next_at, store);
