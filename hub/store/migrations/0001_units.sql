-- Units: the tenants. Settings are the document weir.settings/v1, checked by the hub before it is written.
CREATE TABLE units (
  name       text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,39}$'),
  settings   jsonb NOT NULL,
  salt       bytea NOT NULL CHECK (octet_length(salt) = 32),
  created_at timestamptz NOT NULL DEFAULT now()
);

-- What happened at the hub itself; `alarm` marks what someone should look at.
CREATE TABLE hub_events (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at     timestamptz NOT NULL DEFAULT now(),
  kind   text NOT NULL,
  alarm  boolean NOT NULL,
  unit   text NOT NULL DEFAULT '',
  spoke  text NOT NULL DEFAULT '',
  detail jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX hub_events_alarms ON hub_events (id) WHERE alarm;
CREATE INDEX hub_events_by_unit ON hub_events (unit, id);
