-- Spokes and what proves their identity. A join token exists only as its SHA-256.
CREATE TABLE spokes (
  unit        text NOT NULL REFERENCES units (name),
  name        text NOT NULL CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  site        text NOT NULL,
  engine      text NOT NULL,
  log_key     bytea NOT NULL CHECK (octet_length(log_key) = 32),
  enrolled_at timestamptz NOT NULL,
  left_at     timestamptz,
  denied_at   timestamptz,
  PRIMARY KEY (unit, name)
);

CREATE TABLE certificates (
  serial     text PRIMARY KEY CHECK (serial ~ '^[0-9a-f]{8,40}$'),
  unit       text NOT NULL,
  spoke      text NOT NULL,
  issued_at  timestamptz NOT NULL,
  not_after  timestamptz NOT NULL,
  revoked_at timestamptz,
  FOREIGN KEY (unit, spoke) REFERENCES spokes (unit, name)
);
CREATE INDEX certificates_by_spoke ON certificates (unit, spoke, not_after);
CREATE INDEX certificates_revoked ON certificates (not_after) WHERE revoked_at IS NOT NULL;

CREATE TABLE join_tokens (
  sha256     text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  unit       text NOT NULL REFERENCES units (name),
  spoke      text NOT NULL CHECK (spoke ~ '^[a-z][a-z0-9-]{0,39}$'),
  replaces   boolean NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  used_at    timestamptz
);
