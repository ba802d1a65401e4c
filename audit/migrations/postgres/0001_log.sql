-- +goose Up
-- The same tables as on SQLite, and three more: what waits for the sequencer,
-- where the sequencer stands, and what it would not take.

-- The logs of this database, one after the other: only the newest grows. Rows
-- of log n stand under n<<48 + index, hash ID or size.
CREATE TABLE audit_log (
  n      bigint PRIMARY KEY CHECK (n >= 0 AND n < 32768),
  origin text   NOT NULL UNIQUE
);

CREATE TABLE audit_entry (
  idx      bigint PRIMARY KEY,
  entry_id text   NOT NULL UNIQUE,  -- request and kind: a retry cannot log twice
  body     bytea  NOT NULL          -- the exact bytes that were hashed
);

CREATE TABLE audit_hash (
  id bigint PRIMARY KEY,            -- tlog.StoredHashIndex
  h  bytea  NOT NULL CHECK (octet_length(h) = 32)
);

CREATE TABLE audit_checkpoint (
  size bigint PRIMARY KEY,          -- at most one signed root for a size, ever
  root bytea  NOT NULL CHECK (octet_length(root) = 32),
  note bytea  NOT NULL,
  at   bigint NOT NULL              -- Unix seconds
);

-- What others said of a head that the log had signed.
CREATE TABLE audit_cosig (
  size bigint NOT NULL REFERENCES audit_checkpoint (size),
  key  text   NOT NULL,             -- name+hash of the witness's key
  line text   NOT NULL,             -- its signature line, whole
  at   bigint NOT NULL,             -- when the witness says it was; Unix seconds
  PRIMARY KEY (size, key)
);

CREATE TABLE audit_stamp (
  size      bigint NOT NULL REFERENCES audit_checkpoint (size),
  authority text   NOT NULL,
  token     bytea  NOT NULL,        -- RFC 3161, over the head's note
  at        bigint NOT NULL,        -- when it was asked for, by the log's own clock; Unix seconds
  PRIMARY KEY (size, authority)
);

-- Entries that are committed with the change they tell of, and not logged yet.
-- Their numbers are given before they are committed, so a smaller one can come
-- into sight after a larger one. Rows come and go: vacuum by number, not share.
CREATE TABLE audit_outbox (
  seq      bigserial   PRIMARY KEY,
  entry_id text        NOT NULL UNIQUE,
  body     bytea       NOT NULL,
  at       timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Rows of the outbox that cannot be logged. A human looks at them.
CREATE TABLE audit_outcast (
  seq      bigint      PRIMARY KEY,
  entry_id text        NOT NULL,
  body     bytea       NOT NULL,
  reason   text        NOT NULL,
  at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Where the newest log stands. An append replaces what it has read here, or
-- does not commit: a process that slept while another appended is held off.
CREATE TABLE audit_head (
  one  int    PRIMARY KEY CHECK (one = 1),
  log  bigint NOT NULL,
  size bigint NOT NULL,
  root bytea  NOT NULL CHECK (octet_length(root) = 32)
) WITH (fillfactor = 10);
INSERT INTO audit_head VALUES (1, 0, 0, sha256(''));

-- The triggers stop accidents and injected SQL, not whoever owns the tables.

-- +goose StatementBegin
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%: insert only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
-- +goose StatementEnd

-- What one statement inserts into audit_entry, audit_hash or audit_log must be
-- the next keys without a gap. A log begins at its own first key.
-- +goose StatementBegin
CREATE FUNCTION audit_at_end() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  low bigint; high bigint; n bigint; next bigint;
BEGIN
  EXECUTE format('SELECT min(%1$I), max(%1$I), count(*) FROM added', TG_ARGV[0]) INTO low, high, n;
  IF n = 0 THEN RETURN NULL; END IF;
  EXECUTE format('SELECT coalesce(max(%1$I) + 1, 0) FROM %2$I.%3$I WHERE %1$I < $1', TG_ARGV[0], TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO next USING low;
  IF TG_TABLE_NAME <> 'audit_log' THEN
    EXECUTE format('SELECT greatest($1, coalesce(max(n), 0) << 48) FROM %I.audit_log', TG_TABLE_SCHEMA) INTO next USING next;
  END IF;
  EXECUTE format('SELECT count(*) + $2 FROM %2$I.%3$I WHERE %1$I > $1', TG_ARGV[0], TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO n USING high, n;
  IF low <> next OR n <> high - low + 1 THEN
    RAISE EXCEPTION '%: only at the end', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION audit_larger() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  newest bigint;
BEGIN
  EXECUTE format('SELECT coalesce(max(size), 0) FROM %I.audit_checkpoint', TG_TABLE_SCHEMA) INTO newest;
  IF NEW.size <= newest THEN
    RAISE EXCEPTION 'audit_checkpoint: only a larger size' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd

-- The head row follows a log that succeeds another, and so fences the old one.
-- +goose StatementBegin
CREATE FUNCTION audit_next_log() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('UPDATE %I.audit_head SET log = $1, size = 0, root = sha256('''') WHERE log < $1', TG_TABLE_SCHEMA) USING NEW.n;
  RETURN NULL;
END $$;
-- +goose StatementEnd

-- ALWAYS, so that a session that poses as a replica does not get round them.
-- +goose StatementBegin
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['log', 'entry', 'hash', 'checkpoint', 'cosig', 'stamp', 'outcast'] LOOP
    EXECUTE format('CREATE TRIGGER audit_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()', 'audit_' || name);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_insert_only', 'audit_' || name);
  END LOOP;
  FOREACH name IN ARRAY ARRAY['log n', 'entry idx', 'hash id'] LOOP
    EXECUTE format('CREATE TRIGGER audit_at_end AFTER INSERT ON %I REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_at_end(%L)', 'audit_' || split_part(name, ' ', 1), split_part(name, ' ', 2));
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER audit_at_end', 'audit_' || split_part(name, ' ', 1));
  END LOOP;
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_larger BEFORE INSERT ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_larger();
ALTER TABLE audit_checkpoint ENABLE ALWAYS TRIGGER audit_larger;
CREATE TRIGGER audit_next_log AFTER INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION audit_next_log();
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_next_log;

-- Rows of the outbox are taken out, and never changed; the head is replaced,
-- and never taken away.
CREATE TRIGGER audit_no_update BEFORE UPDATE OR TRUNCATE ON audit_outbox FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_outbox ENABLE ALWAYS TRIGGER audit_no_update;
CREATE TRIGGER audit_no_delete BEFORE DELETE OR TRUNCATE ON audit_head FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
ALTER TABLE audit_head ENABLE ALWAYS TRIGGER audit_no_delete;
