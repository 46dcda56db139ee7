// AuditAlarmService: trouble with logs, with the two signed notes that prove it, until somebody has looked at it.

import type { AuditAlarmService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { AlarmRecord, AlarmStore } from '../store/alarm-store.ts';
import { readIndex } from './audit-messages.ts';
import { readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

export function auditAlarmService(
  store: Pick<AlarmStore, 'list' | 'alarm' | 'settle'>,
): OperatorHandlers<typeof AuditAlarmService> {
  return {
    async listAlarms({ unit, log, all, page }) {
      const { alarms, nextCursor } = await store.list({ unit, log, openOnly: !all }, readPage(page));
      return { alarms: alarms.map(encodeAlarm), nextCursor };
    },
    async settleAlarm({ id }, { operator }) {
      const number = readIndex(id);
      const settled = await store.settle(number, operator.name);
      const alarm = await store.alarm(number);
      if (alarm === undefined) {
        throw new WeirError('not_found', `there is no alarm ${number}`, { next: 'see `weir audit alarms list --all`' });
      }
      if (!settled) {
        throw new WeirError('conflict', `alarm ${number} was settled already, by ${alarm.settledBy}`, {
          next: 'nothing is left to do',
        });
      }
      return { alarm: encodeAlarm(alarm) };
    },
  };
}

function encodeAlarm(alarm: AlarmRecord) {
  const { id, atMs, kind, unit, spoke, log, detail, held, offered, settledAtMs, settledBy } = alarm;
  return {
    id: BigInt(id),
    atMs: BigInt(atMs),
    kind,
    unit,
    spoke,
    log,
    detail,
    held: Uint8Array.from(held),
    offered: Uint8Array.from(offered),
    settledAtMs: BigInt(settledAtMs ?? 0),
    settledBy,
  };
}
