// Watches what passes between spoke and hub and says at once what must not be: receipts that contradict each other, a spoke let
// in that has gone back, a poisoned batch taken, trouble without an alarm.

import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { parseVkey } from '@weir/shared/audit/tlog/note.ts';
import type { LogOpening, LogPosition, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';
import type { Fault } from './faults.ts';
import type { SimDatabase } from './sim-database.ts';
import type { LineWatch } from './sim-line.ts';

/** Refusals that no second sending cures. */
const FATAL: ReadonlySet<string> = new Set([
  'malformed',
  'not_canonical',
  'too_large',
  'unsound',
  'fork',
  'bad_signature',
  'inconsistent',
  'wrong_identity',
]);

export function createWitness(parts: {
  readonly db: SimDatabase;
  readonly done: ReadonlySet<Fault>;
  readonly fail: (what: string) => void;
  readonly reach: (what: string) => void;
}): LineWatch {
  const { db, done, fail, reach } = parts;
  /** Roots by log and size. */
  const roots = new Map<string, string>();

  const isAlarmed = (kinds: readonly string[], log: string): boolean =>
    db.alarms.some((alarm) => alarm.log === log && kinds.includes(alarm.kind));

  function sawReceipt(log: string, nextIndex: number, receipt: Uint8Array): void {
    if (receipt.length === 0) return;
    const [, size = '', root = ''] = Buffer.from(receipt).toString('latin1').split('\n', 3);
    if (Number(size) !== nextIndex) fail(`a receipt for ${size} rows came with ${nextIndex} of ${log}`);
    const known = roots.get(`${log} ${size}`);
    roots.set(`${log} ${size}`, root);
    // A database that was put back may take another history than the one that it has forgotten.
    if (known !== undefined && known !== root && !done.has('hub_restored'))
      fail(`two receipts for ${size} rows of ${log} contradict each other`);
  }

  return {
    opened(opening: LogOpening, position: LogPosition) {
      const { log } = opening;
      const { nextIndex, state } = position;
      sawReceipt(log, nextIndex, position.receipt);
      const head = db.heads().get(log);
      if (head === undefined) return;
      if (state === 'closed') {
        if (head.state === 'closed' && !db.alarms.some((alarm) => alarm.log === log))
          fail(`${log} was closed without an alarm`);
        return;
      }
      const size = opening.checkpoint.length === 0 ? 0 : openCheckpoint(opening.checkpoint, parseVkey(head.vkey)).size;
      if (size < nextIndex && !done.has('clone'))
        fail(`the hub has ${nextIndex} rows of ${log} and let in a spoke with ${size}`);
      if (sizeIn(opening.receipt) > nextIndex && !isAlarmed(['rows_lost'], log))
        fail(`the hub lost rows of ${log} that it had receipted, without an alarm`);
    },
    answered(batch: RowBatch, answer: UploadAnswer, isPoisoned: boolean) {
      if (answer.kind === 'ack') {
        sawReceipt(answer.log, answer.nextIndex, answer.receipt);
        if (isPoisoned) fail(`a batch that was changed on its way was taken into ${batch.log}`);
      } else if (isPoisoned && FATAL.has(answer.code)) {
        reach('poisoned batch refused');
        if (!isAlarmed(['poisoned', 'fork'], batch.log)) fail(`a poisoned batch of ${batch.log} raised no alarm`);
      }
    },
  };
}

/** Size in a checkpoint or receipt, 0 for none. */
export function sizeIn(note: Uint8Array): number {
  return Number(Buffer.from(note).toString('latin1').split('\n', 2)[1] ?? 0);
}
