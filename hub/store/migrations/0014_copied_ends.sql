-- Whether a copy says that its log is closed. Times cannot tell: a log may be closed while it is being copied.

ALTER TABLE audit_copies ADD COLUMN closed boolean NOT NULL DEFAULT false;
