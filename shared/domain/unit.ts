// A unit (the tenant) and how strictly its spokes act on verdicts.

export const MODES = ['block', 'warn', 'observe'] as const;
/** block: refuse; warn: serve and tell; observe: serve silently. Every mode records. */
export type Mode = (typeof MODES)[number];

/** Lower-case label, 1–40 characters, also a NATS subject token and a Rego package segment once '-' becomes '_'. */
export const UNIT_NAME = /^[a-z][a-z0-9-]{0,39}$/;
