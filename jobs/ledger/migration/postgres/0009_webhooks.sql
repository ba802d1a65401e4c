-- +goose Up
-- Who is told when the status of a request changes. The row goes once the
-- request has ended and all is told.
CREATE TABLE webhooks (
  request  text COLLATE "C" NOT NULL REFERENCES requests (id),
  endpoint text COLLATE "C" NOT NULL,                   -- a configured one, or '' for the request's own URL
  url      bytea,                           -- sealed under a key of its own
  seq      bigint NOT NULL,                 -- of the last notice
  PRIMARY KEY (request, endpoint)
);

CREATE TABLE notices (                      -- what is still to be told, in order
  request     text COLLATE "C" NOT NULL,
  endpoint    text COLLATE "C" NOT NULL,
  seq         bigint NOT NULL,
  status      text NOT NULL,
  at          bigint NOT NULL,
  found       bigint NOT NULL DEFAULT 0,
  erased      bigint NOT NULL DEFAULT 0,
  absent      bigint NOT NULL DEFAULT 0,
  held        bigint NOT NULL DEFAULT 0,
  refused     bigint NOT NULL DEFAULT 0,
  body        bytea,                        -- made at the first try, and the same ever after
  attempts    bigint NOT NULL DEFAULT 0,
  next_at     bigint NOT NULL DEFAULT 0,
  lease_until bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (request, endpoint, seq)
);
CREATE INDEX notices_due ON notices (next_at);

-- Every statement that changes a status leaves a notice, in its transaction,
-- whichever statement it is.
-- +goose StatementBegin
CREATE FUNCTION requests_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE webhooks SET seq = seq + 1 WHERE request = NEW.id;
  IF FOUND THEN
    INSERT INTO notices (request, endpoint, seq, status, at, found, erased, absent, held, refused)
    SELECT w.request, w.endpoint, w.seq, NEW.status, (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::BIGINT,
      COALESCE(b.found, 0), COALESCE(b.erased, 0), COALESCE(b.absent, 0) + m.missing, COALESCE(b.held, 0), COALESCE(b.refused, 0)
    FROM webhooks w,
      (SELECT SUM(size) AS found, SUM(erased) AS erased, SUM(absent) AS absent, SUM(held) AS held, SUM(refused) AS refused
        FROM batches WHERE job IN (SELECT id FROM jobs WHERE request = NEW.id)) b,
      (SELECT COALESCE(SUM(missing), 0) AS missing FROM jobs WHERE request = NEW.id) m
    WHERE w.request = NEW.id;
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER requests_notice AFTER UPDATE OF status ON requests
  FOR EACH ROW WHEN (NEW.status <> OLD.status) EXECUTE FUNCTION requests_notice();
