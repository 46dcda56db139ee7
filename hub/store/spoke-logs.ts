// The logs of some spokes as the fleet view shows them: those that take rows, and those that somebody has to look at.

import type { AlarmKind } from './alarm-store.ts';
import type { LogHead } from './audit-store.ts';

export interface SpokeLog
  extends Pick<LogHead, 'log' | 'unit' | 'spoke' | 'state' | 'reason' | 'nextIndex' | 'receipt' | 'lastEventMs'> {
  /** Kinds of its open alarms. */
  readonly alarms: readonly AlarmKind[];
}

/** An open alarm about a spoke that names a log which the hub does not know. */
export interface SpokeAlarm {
  readonly unit: string;
  readonly spoke: string;
  readonly kind: AlarmKind;
}

export interface SpokeLogs {
  /** Of these spokes, open logs and closed ones with an open alarm, by log id. */
  logsOf(spokes: readonly { readonly unit: string; readonly spoke: string }[]): Promise<{
    readonly logs: readonly SpokeLog[];
    readonly alarms: readonly SpokeAlarm[];
  }>;
}
