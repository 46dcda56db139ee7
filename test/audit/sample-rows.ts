// Drafts that meet the row schema, for the audit tests.

import { randomBytes } from 'node:crypto';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';

/** A new UUIDv7. */
export function uuid(atMs = Date.now()): string {
  const hex = atMs.toString(16).padStart(12, '0') + randomBytes(10).toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-7${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** A served install. */
export function servedDraft(change: Partial<RowDraft> = {}): RowDraft {
  const atMs = Date.now();
  return {
    id: uuid(atMs),
    time: new Date(atMs).toISOString(),
    actor: { id: `h:${'0'.repeat(32)}`, kind: 'token' },
    request: {
      ecosystem: 'npm',
      registry: 'npm',
      method: 'GET',
      route: 'artifact',
      client: 'npm',
      target: 'a-1.0.0.tgz',
    },
    subject: { purl: 'pkg:npm/a@1.0.0', digest: '' },
    action: 'install',
    level: 'allow',
    floor_level: 'allow',
    overlay_level: 'allow',
    mode: 'block',
    enforced: true,
    status: 200,
    outcome: 'served',
    rules: [],
    exceptions: [],
    hidden: [],
    hidden_count: 0,
    bundle: `sha256:${'1'.repeat(64)}`,
    input: `sha256:${'2'.repeat(64)}`,
    engine: 'weir/0.1.0',
    duration_us: 250,
    trace: '',
    code: '',
    ...change,
  };
}

/** A refused install with its request code. */
export function refusedDraft(change: Partial<RowDraft> = {}): RowDraft {
  const draft = servedDraft(change);
  const rule = {
    rule: 'WEIR-AGE-001',
    layer: 'floor',
    code: 'too_young',
    level: 'deny',
    effective: 'deny',
    exception: '',
    facts: { hours: 3 },
  } as const;
  return {
    ...draft,
    level: 'deny',
    floor_level: 'deny',
    status: 403,
    outcome: 'refused',
    rules: [rule],
    code: requestCodeOf(draft.id),
    ...change,
  };
}
