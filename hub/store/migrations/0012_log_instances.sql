-- Which process opened a log last, so that a copy of a spoke which comes back to a log that another has opened since is told
-- from one that has a log of its own. Workers are told apart: each has its own logs and connections.

ALTER TABLE audit_logs ADD COLUMN instance text NOT NULL DEFAULT '';

ALTER TABLE audit_instances ADD COLUMN worker text NOT NULL DEFAULT '';
ALTER TABLE audit_instances DROP CONSTRAINT audit_instances_pkey;
ALTER TABLE audit_instances ADD PRIMARY KEY (unit, spoke, worker, instance);
