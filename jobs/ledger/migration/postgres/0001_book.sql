-- +goose Up
-- The same tables as on SQLite. Whole numbers stand for times (milliseconds
-- since 1970 in UTC) and for yes and no (1 and 0), as they do there; texts are
-- compared by their bytes, whatever the database's collation is.
CREATE TABLE requests (
  id           text COLLATE "C" PRIMARY KEY, -- UUID version 7: sorts by time of intake
  status       text NOT NULL,
  origin       text NOT NULL,
  ticket       text NOT NULL,
  regime       text NOT NULL,
  ground       text NOT NULL,
  received_at  bigint NOT NULL,
  due_at       bigint NOT NULL,
  created_at   bigint NOT NULL,
  not_before   bigint NOT NULL,
  completed_at bigint,
  by_id        integer NOT NULL,             -- 1: the selector is a list of IDs that stands in staged
  requested    integer NOT NULL,             -- how many explicit IDs, 0 for any other selector
  selector     bytea,                        -- sealed; NULL once the request has ended
  subject      text NOT NULL,                -- commitment under the subject key
  ticket_hmac  text NOT NULL,
  plan_hash    text NOT NULL DEFAULT '',
  cancelling   integer NOT NULL DEFAULT 0,
  entry        text NOT NULL DEFAULT '',     -- ID of the terminal entry in the log
  key_until    bigint,                       -- when the subject key is to be destroyed
  key_gone     integer NOT NULL DEFAULT 0,
  idempotency  bytea UNIQUE,                 -- keyed digest of the idempotency key
  body         bytea                         -- keyed digest of the body it came with
);
CREATE INDEX requests_by_status ON requests (status, id);
-- What is looked for again and again must not cost a walk over all requests
-- that ever were.
CREATE INDEX requests_cancelling ON requests (completed_at, id) WHERE cancelling = 1;
CREATE INDEX requests_open ON requests (due_at) WHERE completed_at IS NULL;
CREATE INDEX requests_keys ON requests (key_until, id) WHERE key_gone = 0;

CREATE TABLE staged (                        -- explicit IDs, at most 1000 a row
  request text COLLATE "C" NOT NULL,
  seq     integer NOT NULL,
  ids     bytea NOT NULL,                    -- sealed
  at      bigint NOT NULL,
  PRIMARY KEY (request, seq)
);

CREATE TABLE jobs (
  id              text COLLATE "C" PRIMARY KEY,
  request         text COLLATE "C" NOT NULL REFERENCES requests (id),
  seq             integer NOT NULL,
  store           text COLLATE "C" NOT NULL,
  kind            text NOT NULL,
  stage           text COLLATE "C" NOT NULL,
  evidence        text NOT NULL DEFAULT 'none',
  round           integer NOT NULL DEFAULT 0,
  missing         integer NOT NULL DEFAULT 0, -- IDs asked for that planning did not find
  remaining       integer NOT NULL DEFAULT 0,
  unattributable  integer NOT NULL DEFAULT 0,
  places          text NOT NULL DEFAULT '[]',
  plan            text NOT NULL DEFAULT '',   -- hash of the frozen batches
  note            text NOT NULL DEFAULT '',
  planned_at      bigint,
  verified_at     bigint,
  purged_at       bigint,
  UNIQUE (request, seq)
);
CREATE INDEX jobs_by_stage ON jobs (stage, store);

CREATE TABLE batches (
  id         text COLLATE "C" PRIMARY KEY,
  job        text COLLATE "C" NOT NULL REFERENCES jobs (id),
  seq        integer NOT NULL,
  round      integer NOT NULL,
  size       integer NOT NULL,
  ids        bytea,                           -- sealed; NULL once the request has ended
  attempts   integer NOT NULL DEFAULT 0,      -- written before the work, so that a crash counts
  started_at bigint,                          -- first attempt
  done_at    bigint,
  erased     integer NOT NULL DEFAULT 0,
  absent     integer NOT NULL DEFAULT 0,
  held       integer NOT NULL DEFAULT 0,
  refused    integer NOT NULL DEFAULT 0,
  leaves     bytea,                           -- the receipt: keyed digests, 32 bytes an ID
  root       bytea,                           -- RFC 6962 root over them
  UNIQUE (job, seq)
);

-- Rows come and go: vacuum by number, not share.
CREATE TABLE outbox (
  id          text COLLATE "C" PRIMARY KEY,   -- random: all that the queue ever sees
  kind        text NOT NULL,                  -- plan, batch, settle
  request     text COLLATE "C" NOT NULL REFERENCES requests (id),
  job         text COLLATE "C" NOT NULL REFERENCES jobs (id),
  batch       text NOT NULL DEFAULT '',
  store       text COLLATE "C" NOT NULL,
  state       text COLLATE "C" NOT NULL DEFAULT 'ready', -- ready, queued, running
  epoch       bigint NOT NULL DEFAULT 1,
  attempts    integer NOT NULL DEFAULT 0,
  next_at     bigint NOT NULL,                -- not before
  queued_at   bigint NOT NULL DEFAULT 0,
  owner       text NOT NULL DEFAULT '',
  lease_until bigint NOT NULL DEFAULT 0
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX outbox_by_state ON outbox (state, next_at);
CREATE INDEX outbox_by_job ON outbox (job, kind);
CREATE INDEX outbox_by_request ON outbox (request);

-- Ended requests that only the log knows, since an import: their subject keys
-- are destroyed on schedule too. The row goes with the key.
CREATE TABLE orphans (
  request   text COLLATE "C" PRIMARY KEY,
  key_until bigint NOT NULL
);
CREATE INDEX orphans_due ON orphans (key_until);
