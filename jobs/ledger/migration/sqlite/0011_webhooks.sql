-- +goose Up
-- Who is told when the status of a request changes. The row goes once the
-- request has ended and all is told.
CREATE TABLE webhooks (
  request  TEXT NOT NULL REFERENCES requests (id),
  endpoint TEXT NOT NULL,                   -- a configured one, or '' for the request's own URL
  url      BLOB,                            -- sealed under a key of its own
  seq      INTEGER NOT NULL,                -- of the last notice
  PRIMARY KEY (request, endpoint)
) STRICT, WITHOUT ROWID;

CREATE TABLE notices (                      -- what is still to be told, in order
  request     TEXT NOT NULL,
  endpoint    TEXT NOT NULL,
  seq         INTEGER NOT NULL,
  status      TEXT NOT NULL,
  at          INTEGER NOT NULL,
  found       INTEGER NOT NULL DEFAULT 0,
  erased      INTEGER NOT NULL DEFAULT 0,
  absent      INTEGER NOT NULL DEFAULT 0,
  held        INTEGER NOT NULL DEFAULT 0,
  refused     INTEGER NOT NULL DEFAULT 0,
  body        BLOB,                         -- made at the first try, and the same ever after
  attempts    INTEGER NOT NULL DEFAULT 0,
  next_at     INTEGER NOT NULL DEFAULT 0,
  lease_until INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (request, endpoint, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX notices_due ON notices (next_at);

-- Every statement that changes a status leaves a notice, in its transaction,
-- whichever statement it is.
-- +goose StatementBegin
CREATE TRIGGER requests_notice AFTER UPDATE OF status ON requests
WHEN NEW.status <> OLD.status AND EXISTS (SELECT 1 FROM webhooks WHERE request = NEW.id)
BEGIN
  UPDATE webhooks SET seq = seq + 1 WHERE request = NEW.id;
  INSERT INTO notices (request, endpoint, seq, status, at, found, erased, absent, held, refused)
  SELECT w.request, w.endpoint, w.seq, NEW.status, CAST(unixepoch('subsec') * 1000 AS INTEGER),
    COALESCE(b.found, 0), COALESCE(b.erased, 0), COALESCE(b.absent, 0) + m.missing, COALESCE(b.held, 0), COALESCE(b.refused, 0)
  FROM webhooks w,
    (SELECT SUM(size) AS found, SUM(erased) AS erased, SUM(absent) AS absent, SUM(held) AS held, SUM(refused) AS refused
      FROM batches WHERE job IN (SELECT id FROM jobs WHERE request = NEW.id)) b,
    (SELECT COALESCE(SUM(missing), 0) AS missing FROM jobs WHERE request = NEW.id) m
  WHERE w.request = NEW.id;
END;
-- +goose StatementEnd
