-- Published sources: the floor (unit '') and one overlay per unit; and documents whose bytes are layers.
CREATE TABLE policy_versions (
  kind         text NOT NULL CHECK (kind IN ('floor', 'overlay')),
  unit         text NOT NULL CHECK ((kind = 'floor') = (unit = '')),
  version      integer NOT NULL CHECK (version > 0),
  digest       text NOT NULL CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
  layers       jsonb NOT NULL,
  facts        jsonb NOT NULL,
  rules        integer NOT NULL,
  note         text NOT NULL,
  published_by text NOT NULL,
  published_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, unit, version)
);

CREATE TABLE policy_files (
  kind    text NOT NULL,
  unit    text NOT NULL,
  version integer NOT NULL,
  path    text NOT NULL,
  content bytea NOT NULL,
  PRIMARY KEY (kind, unit, version, path),
  FOREIGN KEY (kind, unit, version) REFERENCES policy_versions (kind, unit, version)
);

CREATE TABLE policy_documents (
  kind         text NOT NULL CHECK (kind IN ('intel', 'exceptions')),
  version      integer NOT NULL CHECK (version > 0),
  digest       text NOT NULL REFERENCES layers (digest),
  size         bigint NOT NULL,
  published_by text NOT NULL,
  published_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (kind, version)
);
