// A row that the hub never takes: it is named and kept aside, and every other row arrives, once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { createShipper } from '@weir/spoke/audit/shipper.ts';
import type { ShipLog } from '@weir/spoke/audit/tend-epochs.ts';
import { quiet } from '../hub/database.ts';
import { uncounted, until } from './doubles.ts';
import { memoryLedgerDisk } from './faulty-disk.ts';
import { hastyClock, ledgerOver, SMALL } from './ledger-ground.ts';
import { hubVerifier, testRandom } from './log-parts.ts';
import { type MirrorHub, mirrorHub, nack } from './mirror-hub.ts';
import { servedDraft } from './sample-rows.ts';

/** A hub of many logs that closes each log of which it is sent one of these rows. */
function hubThatRefuses(bad: ReadonlySet<string>) {
  const logs = new Map<string, MirrorHub>();
  const closed = new Set<string>();
  const isBad = (row: Uint8Array): boolean => bad.has(readRow(row).id);
  const ship: ShipLog = (log, hooks) => {
    const hub = logs.get(log.id) ?? mirrorHub(log.vkey);
    logs.set(log.id, hub);
    hub.onPosition = async () =>
      closed.has(log.id)
        ? { nextIndex: hub.rows.length, receipt: hub.receipt(), state: 'closed', reason: 'poisoned' }
        : undefined;
    hub.answer = async (batch) => {
      if (closed.has(log.id)) return nack(log.id, 'closed', hub.rows.length);
      if (!batch.rows.some(isBad)) return undefined;
      closed.add(log.id);
      return nack(log.id, 'unsound', hub.rows.length);
    };
    const parts = { instance: 'i1', clock: hastyClock, random: testRandom, logger: quiet, metrics: uncounted };
    return createShipper({ log, uplink: hub, receiptKeys: [hubVerifier], ...parts, ...hooks });
  };
  const rows = () => [...logs.values()].flatMap((hub) => hub.rows.map((row) => readRow(row)));
  return { logs, closed, ship, rows };
}

for (const [name, badAt] of [
  ['one', [20]],
  ['several in one batch', [5, 6, 40]],
] as const) {
  test(`rows that the hub refuses for good (${name}) are left aside and told; the rest arrives once`, async () => {
    const disk = memoryLedgerDisk();
    const drafts = Array.from({ length: 60 }, () => servedDraft());
    const bad = new Set(badAt.map((at) => drafts[at]?.id ?? ''));
    const hub = hubThatRefuses(bad);
    const limits = { ...SMALL, totalBytes: 64 * SMALL.segmentBytes };
    const ledger = await ledgerOver(disk, { ship: hub.ship, limits });
    const first = ledger.open().id;
    await Promise.all(drafts.map((draft) => ledger.append(draft)));
    const stopping = new AbortController();
    const run = ledger.run(stopping.signal);
    try {
      const isDone = (): boolean =>
        ledger.open().id !== first &&
        ledger.stats().owing.length === 0 &&
        hub.logs.get(ledger.open().id)?.rows.length === ledger.stats().nextIndex;
      await until(isDone, 'everything else is at the hub', 20_000);
    } finally {
      stopping.abort();
      await run;
    }
    const rows = hub.rows();
    const arrived = rows.filter(({ action }) => action !== 'event').map(({ id }) => id);
    const wanted = drafts.map(({ id }) => id).filter((id) => !bad.has(id));
    assert.deepEqual(arrived.toSorted(), wanted.toSorted());
    const told = rows.filter(({ outcome }) => outcome === 'row_refused').map(({ rules }) => rules[0]?.facts);
    assert.deepEqual(told.map((facts) => String(facts?.['id'])).toSorted(), [...bad].toSorted());
    for (const facts of told) {
      const folder = disk.folders.get(String(facts?.['log']).split('.').at(-1) ?? '');
      const kept = folder?.files.get(String(facts?.['file']));
      assert.ok(kept !== undefined && bad.has(readRow(kept).id));
    }
    // The batch, then each bad row by itself.
    assert.equal(hub.closed.size, bad.size + 1);
    await ledger.close();
  });
}
