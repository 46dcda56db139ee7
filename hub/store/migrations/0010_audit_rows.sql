-- Rows exactly as spokes wrote them, with the members that queries look at. Partitioned by event time from the beginning;
-- partitions are made ahead by the hub, strays (clocks far off) go to the default one.
CREATE TABLE audit_rows (
  log        text NOT NULL,
  index      bigint NOT NULL CHECK (index >= 0),
  event_time timestamptz NOT NULL,
  stored_at  timestamptz NOT NULL DEFAULT now(),
  unit       text NOT NULL,
  spoke      text NOT NULL,
  actor      text NOT NULL,
  purl       text COLLATE "C" NOT NULL,
  level      smallint NOT NULL CHECK (level BETWEEN 0 AND 3),
  rules      text[] NOT NULL,
  code       text NOT NULL,
  action     text NOT NULL,
  outcome    text NOT NULL,
  row        bytea NOT NULL,
  PRIMARY KEY (log, index, event_time)
) PARTITION BY RANGE (event_time);

CREATE TABLE audit_rows_default PARTITION OF audit_rows DEFAULT;

-- Paging follows (event_time, log, index); a unit's own view is the common one.
CREATE INDEX audit_rows_by_time ON audit_rows (event_time, log, index);
CREATE INDEX audit_rows_by_unit ON audit_rows (unit, event_time, log, index);
CREATE INDEX audit_rows_by_purl ON audit_rows (purl, event_time, log, index);
CREATE INDEX audit_rows_by_code ON audit_rows (code) WHERE code <> '';

-- Where each log ends. Every row below next_index is stored: the row is locked by whoever appends.
CREATE TABLE audit_logs (
  log        text PRIMARY KEY,
  unit       text NOT NULL,
  spoke      text NOT NULL,
  next_index bigint NOT NULL DEFAULT 0 CHECK (next_index >= 0),
  updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_logs_by_unit ON audit_logs (unit, log);
