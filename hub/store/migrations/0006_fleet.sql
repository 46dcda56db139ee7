-- The last word of each spoke about itself, and what became of the last offer.
CREATE TABLE fleet_status (
  unit      text NOT NULL,
  spoke     text NOT NULL,
  status    jsonb,
  watching  boolean NOT NULL DEFAULT false,
  last_seen timestamptz NOT NULL,
  PRIMARY KEY (unit, spoke),
  FOREIGN KEY (unit, spoke) REFERENCES spokes (unit, name)
);
