-- +goose Up
-- Whether a plan has to be approved, is decided when it is frozen. Nothing is
-- erased unless approval is 'none' or 'given'.
ALTER TABLE requests ADD COLUMN approval text COLLATE "C" NOT NULL DEFAULT ''; -- '' undecided, none, needed, given
ALTER TABLE requests ADD COLUMN beyond text NOT NULL DEFAULT '[]';             -- why it is needed, as JSON
ALTER TABLE requests ADD COLUMN plan_no integer NOT NULL DEFAULT 0;            -- plans made so far; the hash covers it
ALTER TABLE requests ADD COLUMN waits_since bigint;                            -- for an approval
ALTER TABLE requests ADD COLUMN approved_by text COLLATE "C" NOT NULL DEFAULT ''; -- opaque
ALTER TABLE requests ADD COLUMN approved_at bigint;
ALTER TABLE requests ADD COLUMN approved_hash text NOT NULL DEFAULT '';
UPDATE requests SET approval = 'none', plan_no = 1 WHERE plan_hash <> '';
CREATE INDEX requests_waiting ON requests (waits_since) WHERE approval = 'needed' AND completed_at IS NULL;

ALTER TABLE jobs ADD COLUMN map_version text NOT NULL DEFAULT '';              -- of the data map that it was planned by
ALTER TABLE jobs ADD COLUMN checked_at bigint;                                 -- when the plan was last found to hold
ALTER TABLE jobs ADD COLUMN residue integer NOT NULL DEFAULT 0;                -- IDs of all rounds after the plan's
