// A system outside that wants rows as they come, as a port; and a row as it goes there.

import { LINE_ENCODERS } from './export/formats.ts';
import type { LedgerRow } from './ledger-row.ts';
import { type Severity, severityOf } from './siem/severity.ts';

export const PUSH_FORMATS = ['native', 'ocsf', 'ecs', 'cef'] as const;
export type PushFormat = (typeof PUSH_FORMATS)[number];

export interface PushMessage {
  /** Row id: whoever gets a message twice knows it by this. */
  readonly id: string;
  readonly log: string;
  readonly index: number;
  readonly leaf: Buffer;
  /** RFC 3339, as the row claims it. */
  readonly time: string;
  readonly unit: string;
  readonly spoke: string;
  readonly outcome: string;
  readonly severity: Severity;
  /** The row in the sink's format: one line without its end. */
  readonly text: string;
}

export interface PushSink {
  /**
   * Resolves once the sink has taken the messages, all of them. Throws `invalid_argument` or `too_large` when it will never
   * take them as they are, anything else when it may take them later; then nobody knows how many arrived.
   */
  deliver(messages: readonly PushMessage[], signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** Total: projections have an answer for every row. */
export function pushMessage(entry: LedgerRow, format: PushFormat): PushMessage {
  const { row, leaf } = entry;
  const line = LINE_ENCODERS[format === 'native' ? 'jsonl' : format].line(entry);
  return {
    id: row.id,
    log: row.log,
    index: row.index,
    leaf,
    time: row.time,
    unit: row.unit,
    spoke: row.spoke,
    outcome: row.outcome,
    severity: severityOf(row),
    text: line.slice(0, -1),
  };
}
