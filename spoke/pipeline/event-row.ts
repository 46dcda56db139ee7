// Rows about the spoke itself and about connections that never became a request: same log, same shape, action `event`.

import { ENGINE } from '@weir/shared/bundle/manifest.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import type { PipelinePorts } from './ports.ts';

export interface SpokeEvent {
  /** snake_case, e.g. `spoke_started`, `bundle_activated`, `connection_malformed`. */
  readonly outcome: string;
  /** `deny` when something was turned away. */
  readonly level: Level;
  /** HTTP status sent, 0 when none was. */
  readonly status: number;
  /** ≤ 200 characters, e.g. a bundle version or a NACK code. */
  readonly detail: string;
  /** Digest of the bundle meant, '' = the active one. */
  readonly bundle: string;
}

export function eventRow(ports: Pick<PipelinePorts, 'clock' | 'random' | 'policy'>, event: SpokeEvent): RowDraft {
  const policy = ports.policy();
  const refused = event.level === 'deny';
  return {
    id: ports.random.uuid(),
    time: new Date(ports.clock.nowMs()).toISOString(),
    actor: { id: '', kind: 'spoke' },
    request: {
      ecosystem: '',
      registry: '',
      method: '',
      route: 'event',
      client: '',
      target: event.detail.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 200),
    },
    subject: { purl: '', digest: '' },
    action: 'event',
    level: event.level,
    floor_level: event.level,
    overlay_level: 'allow',
    mode: policy?.settings.mode ?? 'block',
    enforced: refused,
    status: event.status,
    outcome: event.outcome,
    rules: [],
    exceptions: [],
    hidden: [],
    hidden_count: 0,
    bundle: event.bundle === '' ? (policy?.digest ?? '') : event.bundle,
    input: '',
    engine: ENGINE,
    duration_us: 0,
    trace: '',
    code: '',
  };
}
