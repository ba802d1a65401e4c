-- +goose Up
-- Who asked, and who may. filed_by and cancelled_by are IDs of actors, which name
-- no person; what was filed before there were tokens was filed by "open".
ALTER TABLE requests ADD COLUMN filed_by text COLLATE "C" NOT NULL DEFAULT 'open';
ALTER TABLE requests ADD COLUMN cancelled_by text NOT NULL DEFAULT '';
CREATE INDEX requests_filed_by ON requests (filed_by, id);

CREATE TABLE tokens (
  id         text COLLATE "C" PRIMARY KEY, -- stands in the log as who did something
  hash       bytea NOT NULL UNIQUE,        -- SHA-256 of the token, which is 256 random bits
  name       text NOT NULL,                -- the operator's words
  role       text NOT NULL,
  created_at bigint NOT NULL,
  created_by text NOT NULL,
  expires_at bigint NOT NULL,
  revoked_at bigint,
  revoked_by text NOT NULL DEFAULT '',
  used_at    bigint,                       -- to the hour
  unlogged   integer NOT NULL              -- which of its entries the log is owed, since it was made (1) or revoked (2) beside the service
);
CREATE INDEX tokens_unlogged ON tokens (id) WHERE unlogged > 0;
