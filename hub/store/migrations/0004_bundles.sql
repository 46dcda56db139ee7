-- Content-addressed layers, and the bundles that name them. Stored uncompressed out of line: a fetch reads slices.
CREATE TABLE layers (
  digest     text PRIMARY KEY CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
  bytes      bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE layers ALTER COLUMN bytes SET STORAGE EXTERNAL;

CREATE TABLE bundles (
  digest      text PRIMARY KEY CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
  unit        text NOT NULL REFERENCES units (name),
  epoch       bigint NOT NULL CHECK (epoch >= 0),
  version     bigint NOT NULL CHECK (version >= 0),
  prev        text REFERENCES bundles (digest),
  issued_at   bigint NOT NULL,
  expires     bigint NOT NULL,
  envelope    bytea NOT NULL,
  inserted_at timestamptz NOT NULL DEFAULT now(),
  UNIQUE (unit, epoch, version)
);

CREATE TABLE bundle_layers (
  bundle     text NOT NULL REFERENCES bundles (digest),
  position   integer NOT NULL,
  name       text NOT NULL,
  media_type text NOT NULL,
  digest     text NOT NULL REFERENCES layers (digest),
  size       bigint NOT NULL,
  PRIMARY KEY (bundle, name)
);
CREATE INDEX bundle_layers_by_digest ON bundle_layers (digest);
