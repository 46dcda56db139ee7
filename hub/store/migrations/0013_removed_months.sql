-- Months of rows that retention has removed after they were verified in every write-once copy: what queries can no longer
-- find here, and where it still is.

CREATE TABLE audit_removed_months (
  -- First moment of the month, UTC.
  month      timestamptz PRIMARY KEY,
  rows       bigint NOT NULL,
  removed_at timestamptz NOT NULL DEFAULT now()
);
