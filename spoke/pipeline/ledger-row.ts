// The ledger's own events as rows: what happened stands in the facts of one reason of the host.

import type { RowDraft } from '@weir/shared/audit/row.ts';
import type { LedgerEvent } from '../audit/ledger-event.ts';
import { eventRow } from './event-row.ts';
import type { PipelinePorts } from './ports.ts';

export function ledgerRow(ports: Pick<PipelinePorts, 'clock' | 'random' | 'policy'>, event: LedgerEvent): RowDraft {
  const { outcome, detail, facts } = event;
  const row = eventRow(ports, { outcome, level: 'allow', status: 0, detail, bundle: '' });
  const told = { rule: 'host.ledger', layer: 'host', code: outcome, level: 'allow', effective: 'allow' } as const;
  return { ...row, rules: [{ ...told, exception: '', facts }] };
}
