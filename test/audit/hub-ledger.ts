// The hub's side of the ledger on a real PostgreSQL, as its composition root builds it.

import { generateKeyPairSync } from 'node:crypto';
import { createIngest, type Ingest, type IngestParts } from '@weir/hub/audit/ingest.ts';
import { pastRoot } from '@weir/hub/audit/past-root.ts';
import { systemClock } from '@weir/hub/io/system-clock.ts';
import type { AlarmStore } from '@weir/hub/store/alarm-store.ts';
import type { AuditStore } from '@weir/hub/store/audit-store.ts';
import { createAlarmStore } from '@weir/hub/store/postgres/alarm-store.ts';
import { createAuditStore } from '@weir/hub/store/postgres/audit-store.ts';
import { createTileStore } from '@weir/hub/store/postgres/tile-store.ts';
import type { Pool } from '@weir/hub/store/postgres/pool.ts';
import { receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner, type NoteSigner, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import type { LogPosition, UploadAnswer } from '@weir/shared/wire/audit.ts';
import { quiet } from '../hub/database.ts';
import { uncounted } from './doubles.ts';
import { type SigningLog, type SigningSpoke, WORKSPACE } from './signing-spoke.ts';

export interface HubLedger {
  readonly pool: Pool;
  readonly store: AuditStore;
  readonly alarms: AlarmStore;
  readonly ingest: Ingest;
  readonly receiptKey: NoteSigner;
  /** Another replica on the same database. */
  readonly replica: (change?: Partial<IngestParts>) => Ingest;
  /** Opens a log in its spoke's name. */
  readonly open: (log: SigningLog, change?: Parameters<SigningLog['opening']>[0]) => Promise<LogPosition>;
  /** Uploads [from, until) of a log. */
  readonly upload: (log: SigningLog, from: number, until?: number) => Promise<UploadAnswer>;
  /** Size that a receipt of this hub covers. Throws when it is none. */
  readonly receipted: (log: SigningLog, receipt: Uint8Array) => number;
  /** Kinds of open alarms about a log, oldest first. */
  readonly openAlarms: (log: SigningLog) => Promise<readonly string[]>;
}

export function newReceiptKey(): NoteSigner {
  return createNoteSigner(receiptKeyName(WORKSPACE), generateKeyPairSync('ed25519').privateKey, COSIGNATURE_V1);
}

/** A hub that knows these spokes. */
export function hubLedger(pool: Pool, spokes: readonly SigningSpoke[], change: Partial<IngestParts> = {}): HubLedger {
  const store = createAuditStore(pool);
  const alarms = createAlarmStore(pool);
  const tiles = createTileStore(pool);
  const receiptKey = newReceiptKey();
  const replica = (different: Partial<IngestParts> = {}): Ingest =>
    createIngest({
      store,
      alarms,
      workspace: WORKSPACE,
      enrolledKey: async ({ unit, spoke }) =>
        spokes.find((each) => each.unit === unit && each.spoke === spoke)?.publicKey,
      receiptKey,
      rootAt: (log, size) => pastRoot({ store, tiles }, log, size),
      clock: systemClock,
      logger: quiet,
      metrics: uncounted,
      ...change,
      ...different,
    });
  const ingest = replica();
  return {
    pool,
    store,
    alarms,
    ingest,
    receiptKey,
    replica,
    open: (log, different) => ingest.open(senderOf(log), log.opening(different), new AbortController().signal),
    upload: async (log, from, until) => ingest.take(senderOf(log), await log.batch(from, until)),
    receipted(log, receipt) {
      const opened = openReceipt(receipt, { log: log.key, hub: parseVkey(receiptKey.vkey) });
      if (!opened.checkpoint.root.equals(log.root(opened.checkpoint.size)))
        throw new Error('a receipt for another root');
      return opened.checkpoint.size;
    },
    async openAlarms({ id }) {
      const { alarms: found } = await alarms.list({ log: id, openOnly: true }, { size: 100, cursor: '' });
      return found.map(({ kind }) => kind).toReversed();
    },
  };
}

export function senderOf(log: SigningLog): { readonly unit: string; readonly spoke: string } {
  const [unit = '', spoke = ''] = log.id.split('.');
  return { unit, spoke };
}

/** Everything stored of a log. */
export async function storedRows(store: AuditStore, log: string): Promise<readonly Buffer[]> {
  return (await store.rowsFrom(log, 0, 1_000_000)).map(({ bytes }) => Buffer.from(bytes));
}
