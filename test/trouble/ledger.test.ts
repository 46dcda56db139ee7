// When the audit's own files are damaged: in block nothing is served beside them until somebody has looked, in warn it goes
// on, loudly; what can be saved is saved, and the ledger says who let the spoke go on.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { acceptDamage } from '@weir/spoke/audit/damage-note.ts';
import { viewLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { until } from '../federation/local-federation.ts';
import { SAMPLES } from '../upstreams/sample-packages.ts';
import { getRaw, prepareGround, statusOf, told, type Ground, type Row } from './ground.ts';

const BLOCK = 'payments';
const WARN = 'research';
const PLAIN = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;

let ground: Ground;
before(async () => {
  ground = await prepareGround({
    units: [{ name: BLOCK }, { name: WARN, settings: { mode: 'warn' } }],
    spokeLimits: { spool_segment_bytes: 1 << 20, spool_bytes: 8 << 20 },
  });
});
after(() => ground?.[Symbol.asyncDispose]());

const get = (unit: string, target = PLAIN) => getRaw(ground.federation.origin(unit), target);
const rowsOf = async (unit: string) => (await ground.federation.rows(unit)) as unknown as readonly Row[];
const folderOf = (unit: string): string => join(ground.federation.spokeHome(unit), 'audit', 'w0');
const isDelivered = async (unit: string): Promise<boolean> => {
  const { log } = await statusOf(ground.federation, unit);
  return log.acknowledged >= log.nextIndex;
};

/** Turns one bit of a row in the open log's first segment; the spoke does not notice before it reads it again. */
function damage(unit: string): string {
  const folder = folderOf(unit);
  const epoch = readFileSync(join(folder, 'current'), 'utf8').trim();
  const segment = readdirSync(join(folder, epoch))
    .filter((name) => name.endsWith('.seg'))
    .toSorted()[0];
  const path = join(folder, epoch, segment ?? '');
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(400) ^ 1, 400);
  writeFileSync(path, bytes);
  return epoch;
}

for (const unit of [BLOCK, WARN]) {
  test(`${unit}: a flipped bit found at the start, told and accepted`, async () => {
    for (let n = 0; n < 20; n += 1) assert.equal((await get(unit)).status, 200);
    await until(() => isDelivered(unit), 'the hub has the rows');
    const known = (await rowsOf(unit)).map(({ id }) => id);
    const damaged = damage(unit);
    await ground.federation.restartSpoke(unit);

    const answer = await get(unit);
    if (unit === BLOCK) {
      assert.equal(answer.status, 503);
      assert.match(told(answer.body).detail, /damaged/);
      await until(
        async () => (await rowsOf(unit)).some(({ outcome }) => outcome === 'audit_damaged'),
        'the refusal has its row',
      );
    } else {
      assert.equal(answer.status, 200);
    }
    await until(
      async () => (await rowsOf(unit)).some(({ outcome }) => outcome === 'log_damaged'),
      'the damage is told',
    );
    const facts = (await rowsOf(unit)).find(({ outcome }) => outcome === 'log_damaged')?.rules[0]?.facts;
    assert.equal(String(facts?.['log']).endsWith(damaged), true);
    assert.equal(facts?.['what'], 'flipped_bits');

    const { load } = viewLedgerDisk(folderOf(unit));
    const replace = (name: string, bytes: Uint8Array): Promise<void> =>
      Promise.resolve(writeFileSync(join(folderOf(unit), name), bytes));
    await acceptDamage({ load, replace }, 'ada', new Date().toISOString());
    await until(async () => (await get(unit)).status === 200, 'served again');
    await until(
      async () => (await rowsOf(unit)).some(({ outcome }) => outcome === 'damage_accepted'),
      'by whom is told',
    );

    const ids = (await rowsOf(unit)).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length, 'no row is doubled');
    for (const id of known) assert.ok(ids.includes(id));
  });
}
