// `weir why` with neither hub nor spoke running: the row behind a code is found in any log of any worker, closed or drained,
// across the edges of what is read at once, and beside damage.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { findCode } from '@weir/spoke/audit/find-code.ts';
import { whyAtSpokes } from '@weir/spoke/cli/why-at-spokes.ts';
import { openLedgerDisk } from '@weir/spoke/io/ledger-disk.ts';
import { ledgerOver, SMALL } from './ledger-ground.ts';
import { logParts } from './log-parts.ts';
import { memoryDisk } from './memory-disk.ts';
import { refusedDraft } from './sample-rows.ts';

/** Of a spoke that does not run: nobody listens on its admin port. */
const CONFIG = JSON.stringify({
  schema: 'weir.spoke/v1',
  name: 'edge-1',
  admin: { host: '127.0.0.1', port: 9 },
  hub: ['127.0.0.1:9'],
  upstreams: {},
});

const large = (): RowDraft => {
  const draft = refusedDraft();
  return { ...draft, rules: draft.rules.map((rule) => ({ ...rule, facts: { text: 'x'.repeat(15_000) } })) };
};

test('a code is found in large segments, wherever its row stands, also behind damage', async () => {
  const disk = memoryDisk();
  const limits = { segmentBytes: 10 << 20, totalBytes: 64 << 20, keepBytes: 64 << 20, pendingBytes: 64 << 20 };
  const log = await createAuditLog({ ...logParts, disk, limits });
  const drafts = Array.from({ length: 900 }, (_, n) => (n % 3 === 0 ? refusedDraft() : large()));
  for (let at = 0; at < drafts.length; at += 50) {
    await Promise.all(drafts.slice(at, at + 50).map((draft) => log.append(draft)));
  }
  await log.close();
  const find = (code: string, until = Number.MAX_SAFE_INTEGER) => findCode(disk, log.id, until, code);
  for (const [index, { code, id }] of drafts.entries()) {
    if (index % 31 !== 0) continue;
    const row = await find(code);
    assert.deepEqual([row?.id, row?.index], [id, index]);
  }
  assert.equal(await find('00000000'), undefined);
  const [{ code: first } = refusedDraft()] = drafts;
  assert.equal(await find(first, 0), undefined);
  assert.equal(await findCode(disk, 'another.log.w0.0', 10, first), undefined);
  // Damage in front of a row, and rows of a segment without a header.
  disk.files.get('0000000001.seg')?.fill(7, 0, 30_000);
  assert.equal((await find(drafts[500]?.code ?? ''))?.index, 500);
  assert.equal((await find(drafts[12]?.code ?? ''))?.index, 12);
  assert.equal(await find(first), undefined);
});

test('why finds rows of every worker and epoch with nothing running', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'weir-why-'));
  const before = process.env['WEIR_SPOKE_HOME'];
  t.after(async () => {
    if (before === undefined) delete process.env['WEIR_SPOKE_HOME'];
    else process.env['WEIR_SPOKE_HOME'] = before;
    await rm(home, { recursive: true });
  });
  process.env['WEIR_SPOKE_HOME'] = home;
  await writeFile(join(home, 'spoke.json'), CONFIG);
  const told: RowDraft[] = [];
  for (const worker of ['w0', 'w1']) {
    const disk = await openLedgerDisk(join(home, 'audit', worker));
    const ledger = await ledgerOver(disk, { worker, limits: { ...SMALL, keepBytes: SMALL.totalBytes } });
    for (const reason of ['operator', 'poisoned', '']) {
      const draft = refusedDraft();
      await ledger.append(draft);
      told.push(draft);
      if (reason !== '') await ledger.roll({ reason, detail: 'as the test wants it', settled: true });
    }
    await ledger.close();
  }
  const check = async (): Promise<void> => {
    for (const { code, id } of told) assert.equal((await whyAtSpokes(code))?.row.id, id);
  };
  await check();
  // A closed log whose own word about that is damaged still answers.
  const [epoch = ''] = (await readdir(join(home, 'audit', 'w0')))
    .filter((name) => /^[0-9a-f]{20}$/.test(name))
    .toSorted();
  await writeFile(join(home, 'audit', 'w0', epoch, 'closed.json'), 'noise');
  await check();
});
