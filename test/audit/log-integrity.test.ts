// What a log can prove of its rows, also of those that are gone; and that nothing in its folder can be changed unnoticed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { openBinding } from '@weir/shared/audit/tlog/log-binding.ts';
import { parseVkey, rawPublicKey } from '@weir/shared/audit/tlog/note.ts';
import { verifyConsistency, verifyInclusion } from '@weir/shared/audit/tlog/proof.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import { RECORD_HEADER_BYTES, readRecord, sealRecord } from '@weir/spoke/audit/record.ts';
import { SEGMENT_HEADER_BYTES } from '@weir/spoke/audit/segment.ts';
import type { SpoolLimits } from '@weir/spoke/audit/spool.ts';
import * as fc from 'fast-check';
import { ed25519, logParts, receiptFor } from './log-parts.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';
import { servedDraft } from './sample-rows.ts';

const KIB = 1024;
const SMALL: SpoolLimits = { segmentBytes: 64 * KIB, totalBytes: 16 * 64 * KIB, keepBytes: 0, pendingBytes: 4 << 20 };

const open = (disk: MemoryDisk, limits: Partial<SpoolLimits> = SMALL): Promise<AuditLog> =>
  createAuditLog({ ...logParts, disk, limits });

/** Appends rows in batches and returns their bytes as they were read back before anything was dropped. */
async function record(log: AuditLog, count: number): Promise<Buffer[]> {
  const rows: Buffer[] = [];
  for (let left = count; left > 0; left -= 30) {
    await Promise.all(Array.from({ length: Math.min(30, left) }, () => log.append(servedDraft())));
  }
  const { nextIndex } = log.stats();
  for (let next = nextIndex - count; next < nextIndex; next = nextIndex - count + rows.length) {
    rows.push(...(await log.read(next, 500, 1 << 20)).rows.map((row) => Buffer.from(row)));
  }
  return rows;
}

function rootOf(rows: readonly Buffer[]): Buffer {
  const edge = new TreeEdge();
  for (const row of rows) edge.append(leafHash(row));
  return edge.root();
}

async function checkProofs(log: AuditLog, rows: readonly Buffer[], indexes: readonly number[]): Promise<void> {
  const size = rows.length;
  const root = rootOf(rows);
  assert.deepEqual(await log.rootAt(size), root);
  assert.deepEqual(openCheckpoint(await log.checkpointAt(size), parseVkey(log.vkey)).root, root);
  for (const index of indexes) {
    const proof = await log.inclusion(index, size);
    const leaf = leafHash(rows[index] ?? Buffer.alloc(0));
    assert.ok(verifyInclusion({ size, index, leaf, proof, root }), `row ${index} of ${size}`);
  }
}

test('each row comes with its leaf hash, and the log is the tree of them', async () => {
  const log = await open(memoryDisk());
  const recorded = await Promise.all(Array.from({ length: 40 }, () => log.append(servedDraft())));
  const { rows } = await log.read(0, 100, 1 << 20);
  assert.deepEqual(
    recorded.map(({ leaf }) => leaf),
    rows.map((row) => leafHash(row)),
  );
  await checkProofs(log, rows, [0, 17, 39]);
  await log.close();
});

test('the log vouches for its key with the enrolled one, for every key that is enrolled later too', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const { workspace, unit, spoke, auditKey } = logParts;
  const identity = { workspace, unit, spoke };
  const expected = { log: log.id, vkey: log.vkey };
  assert.deepEqual(openBinding(log.binding, { ...identity, publicKey: rawPublicKey(auditKey) }), expected);
  await log.close();
  const next = ed25519(Buffer.alloc(32, 8));
  const again = await createAuditLog({ ...logParts, disk, limits: SMALL, auditKey: next });
  assert.deepEqual(openBinding(again.binding, { ...identity, publicKey: rawPublicKey(next) }), expected);
  await again.close();
});

test('proofs hold between any two sizes and for any row, whatever was dropped and however often it was opened', async () => {
  const disk = memoryDisk();
  let log = await open(disk);
  const rows: Buffer[] = [];
  for (const count of [1, 254, 1, 1, 200, 90]) {
    rows.push(...(await record(log, count)));
    await log.acknowledge(await receiptFor(log, rows.length - (rows.length % 7)));
    await log.close();
    log = await open(disk);
    assert.equal(log.stats().nextIndex, rows.length);
  }
  assert.ok(log.stats().firstIndex > 300, String(log.stats().firstIndex));
  const index = fc.integer({ min: 0, max: rows.length - 1 });
  const size = fc.integer({ min: 1, max: rows.length });
  await fc.assert(
    fc.asyncProperty(index, size, size, async (at, one, other) => {
      const [oldSize, newSize] = one < other ? [one, other] : [other, one];
      const [oldRoot, newRoot] = [rootOf(rows.slice(0, oldSize)), rootOf(rows.slice(0, newSize))];
      assert.deepEqual(await log.rootAt(oldSize), oldRoot);
      const proof = await log.consistency(oldSize, newSize);
      assert.ok(verifyConsistency({ oldSize, newSize, oldRoot, newRoot, proof }));
      const inside = at % newSize;
      const path = await log.inclusion(inside, newSize);
      const leaf = leafHash(rows[inside] ?? Buffer.alloc(0));
      assert.ok(verifyInclusion({ size: newSize, index: inside, leaf, proof: path, root: newRoot }));
    }),
    { numRuns: 60 },
  );
  await assert.rejects(log.rootAt(rows.length + 1), { code: 'invalid_argument' });
  await log.close();
});

test('tiles that are lost while their rows are there are made again; those of rows that are gone were flushed', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const rows = await record(log, 600);
  await log.acknowledge(await receiptFor(log, 400));
  const { firstIndex } = log.stats();
  assert.ok(firstIndex > 256);
  for (const path of disk.unflushed) assert.ok(!path.startsWith('tile/0/000'), path);
  await log.close();
  for (const path of disk.unflushed) disk.files.delete(path);
  const again = await open(disk);
  await checkProofs(again, rows, [0, 255, 256, 511, 599]);
  await again.close();
});

test('no row goes while the disk takes no tiles, and all go on when it does', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const rows = await record(log, 400);
  disk.onStep = (step) => {
    if (step.startsWith('store tile') || step.startsWith('flush')) throw new WeirError('resource_exhausted', 'full');
  };
  await log.acknowledge(await receiptFor(log, 400));
  assert.equal(log.stats().firstIndex, 0);
  disk.onStep = () => undefined;
  rows.push(...(await record(log, 10)));
  await log.acknowledge(await receiptFor(log, 410));
  assert.ok(log.stats().firstIndex > 0);
  await checkProofs(log, rows, [0, 300, 409]);
  await log.close();
});

test('a segment that cannot be removed stays the oldest: no later one goes before it', async () => {
  const disk = memoryDisk();
  let log = await open(disk);
  const rows = await record(log, 300);
  let isStuck = true;
  disk.onStep = (step) => {
    if (isStuck && /^(?:remove|recycle) 0000000001\.seg$/.test(step)) throw new Error('EIO: injected');
  };
  for (const size of [200, 280]) await log.acknowledge(await receiptFor(log, size));
  assert.ok(disk.files.has('0000000001.seg') && disk.files.has('0000000002.seg'));
  await log.close();
  log = await open(disk);
  isStuck = false;
  await log.acknowledge(await receiptFor(log, 290));
  assert.ok(!disk.files.has('0000000001.seg'));
  await checkProofs(log, rows, [0, 100, 299]);
  await log.close();
});

test('receipts survive: the newest, and one an hour for ever', async () => {
  const disk = memoryDisk();
  let log = await open(disk);
  await record(log, 40);
  for (const [size, timeS] of [
    [10, 1_000_000],
    [20, 1_000_500],
    [30, 1_003_700],
    [40, 1_003_800],
  ] as const) {
    const receipt = await receiptFor(log, size, timeS);
    await log.acknowledge(receipt);
    await log.close();
    log = await open(disk);
    assert.deepEqual(log.receipt()?.bytes, receipt.bytes);
    assert.deepEqual([log.receipt()?.size, log.receipt()?.timeS], [size, timeS]);
    assert.equal(log.stats().acknowledged, size);
  }
  assert.deepEqual((await disk.list('receipts')).toSorted(), ['10', '30']);
  await log.close();
});

test('a retired log takes no rows, keeps its end signed, and opens again as such', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const rows = await record(log, 20);
  const late = log.append(servedDraft());
  assert.equal(await log.retire(), 21);
  assert.equal((await late).index, 20);
  await assert.rejects(log.append(servedDraft()), { code: 'conflict' });
  assert.equal(log.stats().state, 'retired');
  await log.close();
  const again = await createAuditLog({ ...logParts, disk, limits: SMALL, retiredAt: 21 });
  await assert.rejects(again.append(servedDraft()), { code: 'conflict' });
  rows.push(...(await again.read(20, 1, 1)).rows);
  await checkProofs(again, rows, [0, 20]);
  await again.acknowledge(await receiptFor(again, 21));
  assert.equal(again.stats().acknowledged, 21);
  await again.close();
  // Rows beyond an end that was written down do not count.
  const shorter = await createAuditLog({ ...logParts, disk, limits: SMALL, retiredAt: 7 });
  assert.equal(shorter.stats().durableIndex, 7);
  await checkProofs(shorter, rows.slice(0, 7), [0, 6]);
  await shorter.close();
});

/** A closed log of 400 rows, the first of them gone, and what is known of it. */
async function closedLog(): Promise<{ readonly disk: MemoryDisk; readonly rows: readonly Buffer[] }> {
  const disk = memoryDisk();
  const log = await open(disk);
  const rows = await record(log, 400);
  await log.acknowledge(await receiptFor(log, 200));
  assert.ok(log.stats().firstIndex > 0);
  await log.close();
  return { disk, rows };
}

/** Changes one byte of a row and makes its checksum right. */
function tamper(disk: MemoryDisk, index: number): string {
  for (const [name, bytes] of disk.files) {
    if (!name.endsWith('.seg')) continue;
    for (let at = SEGMENT_HEADER_BYTES; ; ) {
      const found = readRecord(bytes, at);
      if (found === undefined) break;
      if (found.index === index) {
        const digit = bytes.indexOf('"duration_us":250', found.bytesStart) + '"duration_us":25'.length;
        bytes[digit] = '1'.charCodeAt(0);
        const length = found.bytesEnd - found.bytesStart;
        sealRecord(bytes, found.bytesStart - RECORD_HEADER_BYTES, { ...found, length });
        return name;
      }
      at = found.bytesEnd;
    }
  }
  throw new Error(`row ${index} is not there`);
}

test('a row that was changed together with its checksum is damage, named by its index', async () => {
  const { disk } = await closedLog();
  const first = (await open(disk.copy())).stats().firstIndex;
  for (const index of [first, first + 1, 255, 256, 300, 399]) {
    const changed = disk.copy();
    const file = tamper(changed, index);
    await assert.rejects(open(changed), (error: WeirError) => {
      assert.equal(error.code, 'corrupt');
      assert.deepEqual(
        [error.detail['what'], error.detail['index'], error.detail['file']],
        ['changed_row', index, file],
      );
      return true;
    });
    // With all that could name it gone as well, the row is still missed.
    for (const name of changed.files.keys()) if (/^(?:edge|tile\/0\/001)/.test(name)) changed.files.delete(name);
    await assert.rejects(open(changed), { code: 'corrupt' });
  }
});

test('no byte of a log can be changed unnoticed: each is named, or put right', async () => {
  const { disk, rows } = await closedLog();
  const outcomes = { named: 0, right: 0 };
  for (const [name, content] of disk.files) {
    const step = name.endsWith('.seg') ? 1_009 : name.startsWith('tile') ? 211 : 7;
    for (let at = 0; at < content.length; at += step) {
      const damaged = disk.copy();
      const bytes = damaged.files.get(name) ?? Buffer.alloc(0);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      let log: AuditLog;
      try {
        log = await open(damaged);
      } catch (thrown) {
        assert.ok(thrown instanceof WeirError, `${name} at ${at}: ${String(thrown)}`);
        assert.ok(['corrupt', 'conflict', 'untrusted'].includes(thrown.code), `${name} at ${at}: ${thrown.code}`);
        outcomes.named += 1;
        continue;
      }
      const where = `${name} at ${at}`;
      assert.equal(log.stats().nextIndex, rows.length, where);
      const { firstIndex } = log.stats();
      const kept = (await log.read(firstIndex, 500, 1 << 20)).rows;
      assert.ok(kept.length > 0, where);
      for (const [offset, row] of kept.entries()) assert.ok(rows[firstIndex + offset]?.equals(row), where);
      try {
        await checkProofs(log, rows, [0, 255, 256, 399]);
        outcomes.right += 1;
      } catch (thrown) {
        // A tile of rows that are gone: named when it is asked for.
        assert.ok(thrown instanceof WeirError && thrown.code === 'corrupt', `${where}: ${String(thrown)}`);
        assert.equal(thrown.detail['file'], name);
        outcomes.named += 1;
      }
      await log.close();
    }
  }
  assert.ok(outcomes.named > 100 && outcomes.right > 10, JSON.stringify(outcomes));
});

for (const [what, files] of [
  ['key', ['log-key.pem']],
  ['checkpoint', ['checkpoint']],
  ['receipt', ['receipt']],
  ['tiles', ['tile/0/000']],
] as const) {
  test(`a log whose ${what} is gone is damaged, or needs it no more`, async () => {
    const { disk, rows } = await closedLog();
    for (const name of files) assert.ok(disk.files.delete(name), name);
    try {
      const log = await open(disk);
      await checkProofs(log, rows, [0, 399]);
      await log.close();
      assert.equal(what, 'tiles');
    } catch (thrown) {
      assert.equal((thrown as WeirError).code, 'corrupt');
    }
  });
}

test('the alarm rings at four fifths of the limit, says when it will be full, and is quiet again below', async () => {
  const lines: string[] = [];
  const logger = { ...logParts.logger, error: (_fields: unknown, message: string) => void lines.push(message) };
  let nowMs = 0;
  const clock = {
    monotonicMs: () => nowMs,
    sleep: (_ms: number, signal?: AbortSignal) =>
      new Promise<void>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
  const log = await createAuditLog({ ...logParts, disk: memoryDisk(), limits: SMALL, clock, logger });
  while (!log.stats().nearlyFull) {
    nowMs += 10_000;
    await record(log, 30);
    const { unreceiptedBytes, limitBytes, growthBytesPerS, secondsUntilFull } = log.stats();
    if (log.stats().nearlyFull) {
      assert.ok(unreceiptedBytes >= 0.8 * limitBytes && unreceiptedBytes < 0.9 * limitBytes);
      // 30 rows of about 850 bytes in 10 seconds.
      assert.ok(growthBytesPerS > 2_000 && growthBytesPerS < 3_500, String(growthBytesPerS));
      assert.ok((secondsUntilFull ?? 0) > 10 && (secondsUntilFull ?? 0) < 120, String(secondsUntilFull));
    }
  }
  assert.deepEqual(lines, ['the audit spool is nearly full: check that the hub can be reached']);
  assert.equal(log.stats().state, 'open');
  assert.equal((await log.oldestUnreceipted())?.index, 0);
  nowMs += 10_000;
  await log.acknowledge(await receiptFor(log, log.stats().durableIndex));
  assert.equal(log.stats().nearlyFull, false);
  assert.equal(await log.oldestUnreceipted(), undefined);
  await log.close();
});
