-- Operator tokens open the admin port; unit tokens are what clients show to spokes. Both exist only as their SHA-256.
CREATE TABLE operator_tokens (
  id         text PRIMARY KEY,
  sha256     text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  name       text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);

CREATE TABLE unit_tokens (
  id         text PRIMARY KEY,
  unit       text NOT NULL REFERENCES units (name),
  sha256     text NOT NULL UNIQUE CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  principal  text NOT NULL,
  kind       text NOT NULL CHECK (kind IN ('token', 'person', 'workload')),
  groups     text[] NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz
);
CREATE INDEX unit_tokens_by_unit ON unit_tokens (unit, id);
