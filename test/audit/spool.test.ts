import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { ROW_BYTES_MAX, type RowDraft } from '@weir/shared/audit/row.ts';
import { requestCodeOf } from '@weir/shared/domain/request-code.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import type { SpoolLimits } from '@weir/spoke/audit/spool.ts';
import type { SpoolDisk } from '@weir/spoke/audit/spool-disk.ts';
import { viewLog } from '@weir/spoke/audit/view-log.ts';
import { logParts, receiptFor } from './log-parts.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

const KIB = 1024;
const SMALL: SpoolLimits = { segmentBytes: 64 * KIB, totalBytes: 4 * 64 * KIB, keepBytes: 0, pendingBytes: 1 << 20 };

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
const noop = (): void => undefined;

let nowMs = 0;
/** Time stands still unless a test lets it pass; whoever sleeps does so until the log closes. */
const clock = {
  monotonicMs: () => nowMs,
  sleep: (_ms: number, signal?: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    }),
};

function open(disk: SpoolDisk, limits: Partial<SpoolLimits> = SMALL): Promise<AuditLog> {
  return createAuditLog({ ...logParts, disk, clock, limits });
}

async function acknowledge(log: AuditLog, rows: number): Promise<void> {
  await log.acknowledge(await receiptFor(log, rows));
}

async function rowsOf(log: Pick<AuditLog, 'read'>, from = 0): Promise<readonly Buffer[]> {
  const rows: Buffer[] = [];
  for (;;) {
    const slice = await log.read(from + rows.length, 100, 64 * KIB);
    if (slice.rows.length === 0) return rows;
    rows.push(...slice.rows);
  }
}

/** A draft whose row is about `kib` KiB, from facts. */
function bigDraft(kib: number): RowDraft {
  const draft = refusedDraft();
  return { ...draft, rules: draft.rules.map((rule) => ({ ...rule, facts: { text: 'x'.repeat(kib * KIB) } })) };
}

/** Appends until the spool refuses; the rejection's code and how many were accepted. */
async function fill(log: AuditLog): Promise<{ readonly accepted: number; readonly code: string }> {
  for (let accepted = 0; ; accepted += 1) {
    try {
      await log.append(bigDraft(12));
    } catch (thrown) {
      return { accepted, code: thrown instanceof WeirError ? thrown.code : String(thrown) };
    }
  }
}

test('rows are recorded in order, read back as rows, and found by code after a restart', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const drafts = Array.from({ length: 200 }, (_, n) => (n % 7 === 0 ? refusedDraft() : servedDraft()));
  const recorded = await Promise.all(drafts.map((draft) => log.append(draft)));
  assert.deepEqual(
    recorded.map(({ index }) => index),
    drafts.map((_, n) => n),
  );
  await log.close();

  const again = await open(disk);
  assert.equal(again.id, log.id);
  assert.equal(again.torn, undefined);
  const rows = (await rowsOf(again)).map((bytes) => readRow(bytes));
  assert.deepEqual(
    rows.map(({ id, index, log: name, code }) => [id, index, name, code]),
    drafts.map((draft, n) => [draft.id, n, log.id, draft.code]),
  );
  for (const n of [0, 7, 196]) {
    const found = await again.findByCode(requestCodeOf(drafts[n]?.id ?? ''));
    assert.equal(found?.index, n);
  }
  assert.equal(await again.findByCode('00000000'), undefined);
  assert.equal((await again.append(servedDraft())).index, 200);
  await again.close();
});

test('appends that arrive during a write share the next one', async () => {
  const log = await open(memoryDisk(), { segmentBytes: 1 << 20, totalBytes: 4 << 20 });
  await Promise.all(Array.from({ length: 60 }, () => log.append(servedDraft())));
  const one = log.stats().batches;
  assert.equal(one, 1);
  let chained = 0;
  await Promise.all(
    Array.from({ length: 50 }, async () => {
      for (let n = 0; n < 4; n += 1) {
        await log.append(servedDraft());
        chained += 1;
      }
    }),
  );
  assert.equal(chained, 200);
  assert.equal(log.stats().batches, one + 4);
  await log.close();
});

test('an append resolves only once its bytes are in the durable file', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  let resolved = false;
  disk.turn = async () => {
    await held;
    await turn();
  };
  const appending = log.append(servedDraft()).then(() => {
    resolved = true;
    return undefined;
  });
  for (let n = 0; n < 20; n += 1) await turn();
  assert.equal(resolved, false);
  assert.equal((await rowsOf(log)).length, 0);
  release();
  await appending;
  assert.equal((await rowsOf(log)).length, 1);
  await log.close();
});

for (const [name, onWrite] of [
  ['an input/output error', () => assert.fail('EIO')],
  ['a short write', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1)],
  ['a write of nothing', (bytes: Uint8Array) => bytes.subarray(0, 0)],
] as const) {
  test(`${name} latches the spool into refusing, and a restart keeps what was acknowledged`, async () => {
    const disk = memoryDisk();
    const log = await open(disk);
    await log.append(servedDraft());
    disk.onWrite = onWrite;
    const inFlight = [log.append(servedDraft()), log.append(servedDraft())];
    const answers = await Promise.allSettled(inFlight);
    for (const answer of answers) assert.equal(answer.status === 'rejected' && answer.reason.code, 'spool_failed');
    disk.onWrite = (bytes) => bytes;
    await assert.rejects(log.append(servedDraft()), { code: 'spool_failed' });
    assert.equal(log.stats().state, 'failed');
    await log.close();
    const again = await open(disk);
    assert.ok((await rowsOf(again)).length >= 1);
    await again.append(servedDraft());
    await again.close();
  });
}

test('a full spool refuses at once, and goes on when the hub has acknowledged a segment', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const { accepted, code } = await fill(log);
  assert.equal(code, 'resource_exhausted');
  assert.equal(log.stats().state, 'full');
  assert.ok(accepted >= 16);
  await acknowledge(log, accepted);
  const more = await fill(log);
  assert.ok(more.accepted >= 12, String(more.accepted));
  assert.equal((await rowsOf(log, log.stats().firstIndex)).length, accepted + more.accepted - log.stats().firstIndex);
  await assert.rejects(log.read(0, 1, 1), { code: 'not_found' });
  await log.close();

  const again = await open(disk);
  assert.equal(again.stats().nextIndex, accepted + more.accepted);
  assert.equal(again.stats().acknowledged, accepted);
  await again.close();
});

test('segments are dropped only when every row in them is acknowledged', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  for (let n = 0; n < 12; n += 1) await log.append(bigDraft(12));
  await acknowledge(log, 6);
  // One is kept, to be made into the next.
  assert.equal(log.stats().firstIndex, 0);
  await acknowledge(log, 11);
  assert.ok(log.stats().firstIndex > 0 && log.stats().firstIndex <= 6);
  await log.close();
});

test('acknowledged rows stay readable while there is room for them', async () => {
  const log = await open(memoryDisk(), { ...SMALL, keepBytes: 2 * SMALL.segmentBytes });
  for (let n = 0; n < 8; n += 1) await log.append(bigDraft(12));
  await acknowledge(log, 8);
  assert.equal(log.stats().firstIndex, 0);
  const { accepted } = await fill(log);
  assert.ok(accepted > 8, 'the kept segments give way');
  await log.close();
});

test('rows that wait for a segment which the disk cannot give are refused and leave no gap', async () => {
  const disk = memoryDisk();
  disk.capacity = 64 * KIB;
  const log = await open(disk);
  const answers = await Promise.allSettled(Array.from({ length: 12 }, () => log.append(bigDraft(12))));
  const kept = answers.filter(({ status }) => status === 'fulfilled').length;
  assert.ok(kept >= 4 && kept < 12, String(kept));
  for (const answer of answers) {
    if (answer.status === 'rejected') assert.equal(answer.reason.code, 'resource_exhausted');
  }
  assert.equal((await rowsOf(log)).length, kept);
  // A small row still fits into what is left of the segment.
  assert.equal((await log.append(servedDraft())).index, kept);
  assert.equal((await fill(log)).code, 'resource_exhausted');
  // Room again: the spool asks once more after its pause.
  disk.capacity = 1 << 20;
  nowMs += 2_000;
  const next = await log.append(bigDraft(12));
  assert.ok(next.index > kept);
  assert.deepEqual(
    (await rowsOf(log)).map((bytes) => readRow(bytes).index),
    Array.from({ length: next.index + 1 }, (_, n) => n),
  );
  await log.close();
  await (await open(disk)).close();
});

test('rows wait in memory while the next segment is still being allocated', async () => {
  const disk = memoryDisk();
  let release = noop;
  const log = await open(disk);
  await disk.turn();
  disk.onAllocate = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  // Fills the first segment and the spare; the one after is being allocated.
  const all = Array.from({ length: 14 }, () => log.append(bigDraft(12)));
  await Promise.all(all.slice(0, 8));
  disk.onAllocate = async () => undefined;
  release();
  assert.deepEqual(
    (await Promise.all(all)).map(({ index }) => index),
    all.map((_, n) => n),
  );
  await log.close();
});

test('memory for waiting rows is bounded', async () => {
  const log = await open(memoryDisk(), { ...SMALL, pendingBytes: 32 * KIB });
  const answers = await Promise.allSettled(Array.from({ length: 8 }, () => log.append(bigDraft(12))));
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'fulfilled', ...Array.from({ length: 5 }, () => 'rejected')],
  );
  assert.equal((await log.append(servedDraft())).index, 3);
  await log.close();
});

test('a row that says too much is fitted; one that explains nothing is refused', async () => {
  const log = await open(memoryDisk());
  const huge = refusedDraft({
    hidden: Array.from({ length: 400 }, (_, n) => `${n}.${'0'.repeat(200)}`),
    hidden_count: 400,
  });
  await log.append(huge);
  await log.append(bigDraft(40));
  const [first, second] = (await rowsOf(log)).map((bytes) => readRow(bytes));
  assert.equal(first?.hidden_count, 400);
  assert.ok((first?.hidden.length ?? 0) > 10);
  assert.deepEqual(second?.rules[0]?.facts, { left_out: true });
  await assert.rejects(log.append(servedDraft({ level: 'deny' })), { code: 'invalid_argument' });
  await assert.rejects(log.append(servedDraft({ trace: '"' })), { code: 'invalid_argument' });
  assert.equal((await log.append(servedDraft())).index, 2);
  await log.close();
});

test('a prepared row has the same bytes as a whole draft', async () => {
  const log = await open(memoryDisk());
  const draft = refusedDraft({ trace: 'a'.repeat(32) });
  await log.append(draft);
  await log.appendTo(log.template(draft), draft);
  const [first, second] = await rowsOf(log);
  assert.equal(second?.toString(), first?.toString().replace('"index":0', '"index":1'));
  const template = log.template(draft);
  for (const change of [
    { id: 'x' },
    { time: 'now' },
    { code: '00000000' },
    { duration_us: 1.5 },
    { trace: '","v":2' },
  ]) {
    await assert.rejects(log.appendTo(template, { ...draft, ...change }), { code: 'invalid_argument' });
  }
  const other = await open(memoryDisk());
  await assert.rejects(other.appendTo(template, draft), { code: 'invalid_argument' });
  await other.close();
  await log.close();
});

test('a folder of another writer, without its name, or with less than it once had is refused', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  for (let n = 0; n < 5; n += 1) await log.append(servedDraft());
  await acknowledge(log, 3);
  await log.close();
  const other = { ...logParts, disk, unit: 'research', clock, limits: SMALL };
  await assert.rejects(createAuditLog(other), { code: 'conflict' });

  const nameless = disk.copy();
  nameless.files.delete('log.json');
  await assert.rejects(open(nameless), { code: 'corrupt' });

  const emptied = disk.copy();
  for (const name of await emptied.list()) if (name.endsWith('.seg')) emptied.files.delete(name);
  await assert.rejects(open(emptied), { code: 'corrupt' });
});

test('a log can be looked into while it is written', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const draft = refusedDraft();
  await log.append(draft);
  const view = await viewLog(disk);
  assert.deepEqual([view.id, view.firstIndex, view.nextIndex, view.torn], [log.id, 0, 1, undefined]);
  assert.deepEqual(await view.findByCode(draft.code), { index: 0, bytes: (await rowsOf(log))[0] });
  await log.close();
  await assert.rejects(viewLog(memoryDisk()), { code: 'not_found' });
});

test('waiting for a row ends with the row, the signal, or the log', async () => {
  const log = await open(memoryDisk());
  const abort = new AbortController();
  const first = log.waitFor(0, abort.signal);
  const aborted = assert.rejects(log.waitFor(9, abort.signal), /enough/);
  const closed = assert.rejects(log.waitFor(9, new AbortController().signal), { code: 'cancelled' });
  await log.append(servedDraft());
  await first;
  await log.waitFor(0, abort.signal);
  abort.abort(new Error('enough'));
  await aborted;
  await log.close();
  await closed;
  await assert.rejects(log.append(servedDraft()), { code: 'spool_failed' });
});

test('a log stopped from outside says why', async () => {
  const log = await open(memoryDisk());
  log.refuse(new WeirError('corrupt', 'the hub has other rows'));
  await assert.rejects(log.append(servedDraft()), { code: 'corrupt', message: 'the hub has other rows' });
  assert.equal(log.stats().reason, 'the hub has other rows');
  await log.close();
});

async function written(
  rows: number,
): Promise<{ readonly disk: MemoryDisk; readonly end: number; readonly lastBatch: number }> {
  const disk = memoryDisk();
  let end = 0;
  let lastBatch = 0;
  disk.onWrite = (bytes, offset) => {
    lastBatch = offset;
    end = offset + bytes.length;
    return bytes;
  };
  const log = await open(disk);
  for (let n = 0; n < rows; n += 1) await log.append(servedDraft());
  await Promise.all([log.append(servedDraft()), log.append(refusedDraft()), log.append(servedDraft())]);
  return { disk, end, lastBatch };
}

test('a last batch torn at any byte loses only that batch', async () => {
  const { disk, end, lastBatch } = await written(3);
  for (let cut = lastBatch; cut < end; cut += 3) {
    const torn = disk.copy();
    torn.files.get('0000000001.seg')?.fill(0, cut);
    const log = await open(torn);
    const { nextIndex } = log.stats();
    assert.ok(nextIndex >= 3 && nextIndex < 6, `cut at ${cut}: ${nextIndex}`);
    assert.equal((await rowsOf(log)).length, nextIndex);
    await log.append(servedDraft());
    await log.close();
    const again = await open(torn);
    assert.equal(again.torn, undefined);
    assert.equal(again.stats().nextIndex, nextIndex + 1);
    await again.close();
  }
});

test('pages of a last batch that landed out of order are cut off, not taken for damage', async () => {
  const { disk, lastBatch } = await written(3);
  disk.files.get('0000000001.seg')?.fill(0, lastBatch, lastBatch + 512);
  const log = await open(disk);
  assert.deepEqual(log.torn, { segment: '0000000001.seg', offset: lastBatch, nextIndex: 3 });
  await log.close();
});

test('a first batch torn inside the header of its segment leaves an empty log', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  const unsigned = disk.files.get('checkpoint') ?? Buffer.alloc(0);
  await log.append(servedDraft());
  for (const [from, until] of [
    [0, 8],
    [9, 64 * KIB],
    [40, 64 * KIB],
  ] as const) {
    const torn = disk.copy();
    torn.files.get('0000000001.seg')?.fill(0, from, until);
    torn.files.set('checkpoint', unsigned);
    const again = await open(torn);
    assert.equal(again.stats().nextIndex, 0);
    assert.equal((await again.append(servedDraft())).index, 0);
    await again.close();
  }
});

test('a flipped bit in any acknowledged row is damage, named with its place', async () => {
  const { disk, lastBatch } = await written(3);
  for (let at = 64; at < lastBatch; at += 1) {
    const bytes = Buffer.from(disk.files.get('0000000001.seg') ?? []);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
    const damaged = disk.copy();
    damaged.files.set('0000000001.seg', bytes);
    await assert.rejects(open(damaged), (error: WeirError) => {
      assert.equal(error.code, 'corrupt');
      assert.match(error.message, /0000000001\.seg at offset \d+/);
      return true;
    });
  }
});

test('after an orderly close even the last batch is known: a flipped bit or a cut anywhere is damage', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  await Promise.all([log.append(servedDraft()), log.append(servedDraft())]);
  await log.close();
  const content = disk.files.get('0000000001.seg') ?? Buffer.alloc(0);
  const end = content.lastIndexOf('}') + 1;
  for (let at = 0; at < end; at += 3) {
    const damaged = disk.copy();
    const bytes = Buffer.from(content);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    damaged.files.set('0000000001.seg', bytes);
    await assert.rejects(open(damaged), { code: 'corrupt' }, `flip at ${at}`);
  }
});

test('a missing, blanked or foreign segment in the middle is damage', async () => {
  const disk = memoryDisk();
  const log = await open(disk);
  for (let n = 0; n < 14; n += 1) await log.append(bigDraft(12));
  const second = disk.files.get('0000000002.seg') ?? Buffer.alloc(0);
  for (const change of [
    (files: Map<string, Buffer>) => files.delete('0000000002.seg'),
    (files: Map<string, Buffer>) => files.set('0000000002.seg', Buffer.alloc(64 * KIB)),
    (files: Map<string, Buffer>) => files.set('0000000001.seg', second),
    (files: Map<string, Buffer>) => files.set('0000000002.seg', Buffer.from(second).fill(0, 20 * KIB)),
    (files: Map<string, Buffer>) => files.set('0000000002.seg', Buffer.alloc(64 * KIB, 0x41)),
  ]) {
    const damaged = disk.copy();
    change(damaged.files);
    await assert.rejects(open(damaged), { code: 'corrupt' });
  }
  await log.close();
});

test('facts are kept up to the very limit of a row', async () => {
  const log = await open(memoryDisk());
  const draft = bigDraft(1);
  await log.append(draft);
  // Fitting reserves the digits of the largest index.
  const room = ROW_BYTES_MAX - ((await rowsOf(log))[0]?.length ?? 0) - 15;
  for (const extra of [0, 1]) {
    const rules = draft.rules.map((rule) => ({ ...rule, facts: { text: 'x'.repeat(KIB + room + extra) } }));
    await log.append({ ...draft, rules });
  }
  const [, kept, left] = await rowsOf(log);
  assert.equal(kept?.length, ROW_BYTES_MAX - 15);
  assert.ok((left?.length ?? 0) < KIB);
  await log.close();
});
