-- Logs become Merkle logs: every row with its leaf hash, every log with the right edge of its tree, what its spoke signed and
-- what this hub receipted; beside them tiles, alarms with their evidence, rows that were refused, and the write-once copy.

ALTER TABLE audit_rows ADD COLUMN leaf bytea;
-- Bit 1: claimed more than five minutes after it arrived. Bit 2: claimed more than a minute earlier
-- than the row before it.
ALTER TABLE audit_rows ADD COLUMN flags smallint NOT NULL DEFAULT 0;
UPDATE audit_rows SET leaf = sha256('\x00'::bytea || row);
ALTER TABLE audit_rows ALTER COLUMN leaf SET NOT NULL;

ALTER TABLE audit_logs
  -- open, or closed for a reason: the hub takes no more rows of it.
  ADD COLUMN state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
  ADD COLUMN reason text NOT NULL DEFAULT '',
  -- The log's public key as a note verifier line, and the spoke's signed word that it is its own.
  ADD COLUMN vkey text NOT NULL DEFAULT '',
  ADD COLUMN binding bytea NOT NULL DEFAULT '',
  -- Hashes of the largest complete subtrees left to right, 32 bytes each; together they give the root at next_index.
  ADD COLUMN edge bytea NOT NULL DEFAULT '',
  -- What the spoke signed for exactly next_index rows, and the same with the hub's cosignature.
  ADD COLUMN checkpoint bytea NOT NULL DEFAULT '',
  ADD COLUMN receipt bytea NOT NULL DEFAULT '',
  ADD COLUMN last_event_time timestamptz,
  -- Rows below are no longer in this database: retention moved them to the write-once copy.
  ADD COLUMN kept_from bigint NOT NULL DEFAULT 0 CHECK (kept_from >= 0),
  -- Leaves below are covered by full tiles in audit_tiles (a multiple of 256).
  ADD COLUMN tiled bigint NOT NULL DEFAULT 0 CHECK (tiled >= 0);
-- Logs from before signed tree heads had no key: nobody may extend them.
UPDATE audit_logs SET state = 'closed', reason = 'retired';

-- Full tiles of every level, 256 hashes each.
CREATE TABLE audit_tiles (
  log    text NOT NULL,
  level  smallint NOT NULL CHECK (level BETWEEN 0 AND 7),
  index  bigint NOT NULL CHECK (index >= 0),
  hashes bytea NOT NULL CHECK (length(hashes) = 8192),
  PRIMARY KEY (log, level, index)
);

-- Something that somebody has to look at, with what proves it to a third party.
CREATE TABLE audit_alarms (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT now(),
  -- fork, rollback, gap, poisoned, rows_lost, cloned_identity
  kind       text NOT NULL,
  unit       text NOT NULL,
  spoke      text NOT NULL,
  log        text NOT NULL,
  detail     text NOT NULL,
  -- Two signed checkpoints (or receipts) that cannot both be true, as signed notes; empty where the kind has none.
  held       bytea NOT NULL DEFAULT '',
  offered    bytea NOT NULL DEFAULT '',
  settled_at timestamptz,
  settled_by text NOT NULL DEFAULT ''
);
CREATE INDEX audit_alarms_open ON audit_alarms (unit, spoke, log) WHERE settled_at IS NULL;
-- The same trouble told again and again is one alarm.
CREATE UNIQUE INDEX audit_alarms_once ON audit_alarms (log, spoke, unit, kind) WHERE settled_at IS NULL;

-- Batches that were refused for good, as they came: evidence, bounded per log.
CREATE TABLE audit_quarantine (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at          timestamptz NOT NULL DEFAULT now(),
  log         text NOT NULL,
  unit        text NOT NULL,
  spoke       text NOT NULL,
  first_index bigint NOT NULL,
  code        text NOT NULL,
  detail      text NOT NULL,
  rows        bytea[] NOT NULL,
  checkpoint  bytea NOT NULL
);
CREATE INDEX audit_quarantine_by_log ON audit_quarantine (log, id);

-- Which process of a spoke spoke last; one that was followed by another must never be heard again.
CREATE TABLE audit_instances (
  unit          text NOT NULL,
  spoke         text NOT NULL,
  instance      text NOT NULL,
  first_seen    timestamptz NOT NULL DEFAULT now(),
  superseded_at timestamptz,
  PRIMARY KEY (unit, spoke, instance)
);

-- How far each log is in each write-once copy.
CREATE TABLE audit_copies (
  target        text NOT NULL,
  log           text NOT NULL,
  -- Rows in the copy, and rows of it that were read back and compared.
  copied        bigint NOT NULL DEFAULT 0,
  verified      bigint NOT NULL DEFAULT 0,
  checkpoint_at timestamptz,
  updated_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (target, log)
);

-- Who is behind a pseudonym. Rows hold only the pseudonym; deleting name and salt here leaves every row and proof as it was.
CREATE TABLE audit_actors (
  unit       text NOT NULL,
  actor      text NOT NULL,
  name       text NOT NULL,
  salt       bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  erased_at  timestamptz,
  PRIMARY KEY (unit, actor)
);
CREATE INDEX audit_actors_by_name ON audit_actors (unit, name) WHERE erased_at IS NULL;

-- How far each log was pushed to each sink.
CREATE TABLE audit_pushes (
  sink       text NOT NULL,
  log        text NOT NULL,
  next_index bigint NOT NULL DEFAULT 0,
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (sink, log)
);

-- Every filter finds its first page by an index; rare levels, rules, actions and outcomes by small partial ones. A spoke's
-- name is looked up together with its unit, whose other spokes may have many more rows.
CREATE INDEX audit_rows_by_spoke ON audit_rows (spoke, unit, event_time, log, index);
CREATE INDEX audit_rows_by_actor ON audit_rows (actor, event_time, log, index) WHERE actor <> '';
CREATE INDEX audit_rows_by_level ON audit_rows (level, event_time, log, index) WHERE level > 0;
CREATE INDEX audit_rows_with_rules ON audit_rows (event_time, log, index) WHERE rules <> '{}';
CREATE INDEX audit_rows_by_rule ON audit_rows USING gin (rules) WHERE rules <> '{}';
CREATE INDEX audit_rows_by_action ON audit_rows (action, event_time, log, index) WHERE action <> 'install' AND action <> 'metadata';
CREATE INDEX audit_rows_by_outcome ON audit_rows (outcome, event_time, log, index) WHERE outcome <> 'served';
