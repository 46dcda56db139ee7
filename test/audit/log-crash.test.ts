// A log that dies at every single step it takes on its disk, or is told that the step failed: afterwards nothing that was
// answered is missing, nothing is there twice, and the tree is that of the rows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { verifyInclusion } from '@weir/shared/audit/tlog/proof.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type AuditLog, createAuditLog } from '@weir/spoke/audit/audit-log.ts';
import type { SpoolLimits } from '@weir/spoke/audit/spool.ts';
import type { SpoolDisk } from '@weir/spoke/audit/spool-disk.ts';
import { logParts, receiptFor } from './log-parts.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';
import { servedDraft } from './sample-rows.ts';

const KIB = 1024;
const LIMITS: SpoolLimits = { segmentBytes: 64 * KIB, totalBytes: 6 * 64 * KIB, keepBytes: 0, pendingBytes: 4 << 20 };
const BATCH = 40;
const BATCHES = 12;

type Ending = 'done' | 'lost' | 'part' | 'reported lost';

interface Trouble {
  /** Counted from 0. */
  readonly step: number;
  readonly ending: Ending;
}

function dead(): never {
  throw new Error('the process is dead');
}

/** Steps of a disk in order; at one of them the process dies (what is there then is `left`), or is told a lie. */
function troubledDisk(disk: MemoryDisk, trouble: Trouble | undefined) {
  const steps: string[] = [];
  const state: { left: MemoryDisk | undefined } = { left: undefined };

  async function step<Value>(name: string, work: () => Promise<Value>, part?: () => Promise<unknown>): Promise<Value> {
    if (state.left !== undefined) dead();
    steps.push(name);
    if (trouble === undefined || steps.length - 1 !== trouble.step) {
      const value = await work();
      // Whoever died meanwhile never heard of it.
      return state.left === undefined ? value : dead();
    }
    if (trouble.ending === 'reported lost') {
      await work();
      throw Object.assign(new Error('EIO: injected'), { code: 'EIO' });
    }
    if (trouble.ending === 'done') await work();
    if (trouble.ending === 'part') await (part ?? work)();
    state.left = disk.copy();
    return dead();
  }

  const troubled: SpoolDisk = {
    ...disk,
    allocate: (name, size) => step(`allocate ${name}`, () => disk.allocate(name, size)),
    recycle: (from, name, size) =>
      step(
        `recycle ${from}`,
        () => disk.recycle(from, name, size),
        () => disk.remove(from),
      ),
    async open(name) {
      const file = await disk.open(name);
      return {
        write: (bytes, offset) =>
          step(
            `write ${name}`,
            () => file.write(bytes, offset),
            () => file.write(bytes.subarray(0, Math.floor(bytes.length / 2)), offset),
          ),
        close: () => file.close(),
      };
    },
    zero: (name, from, until) => step(`zero ${name}`, () => disk.zero(name, from, until)),
    remove: (name) => step(`remove ${name}`, () => disk.remove(name)),
    replace: (name, bytes) => step(`replace ${name}`, () => disk.replace(name, bytes)),
    store: (name, bytes) =>
      step(
        `store ${name}`,
        () => disk.store(name, bytes),
        () => disk.store(name, bytes.subarray(0, 100)),
      ),
    flush: (names) => step(`flush ${names.length}`, () => disk.flush(names)),
  };
  return { disk: troubled, steps, state };
}

const open = (disk: SpoolDisk): Promise<AuditLog> => createAuditLog({ ...logParts, disk, limits: LIMITS });

interface Lived {
  /** Leaf hashes of the rows that were answered, by index. */
  readonly answered: Map<number, Buffer>;
  readonly error: unknown;
}

/** The same life each time: rows in batches, receipts now and then, so that segments are dropped and made anew. */
async function live(disk: SpoolDisk): Promise<Lived> {
  const answered = new Map<number, Buffer>();
  let error: unknown;
  try {
    const log = await open(disk);
    for (let batch = 1; batch <= BATCHES; batch += 1) {
      const answers = await Promise.allSettled(Array.from({ length: BATCH }, () => log.append(servedDraft())));
      for (const answer of answers) {
        if (answer.status === 'fulfilled') answered.set(answer.value.index, answer.value.leaf);
        else error = answer.reason;
      }
      const { durableIndex } = log.stats();
      if (batch % 3 === 0 && durableIndex > 0) await log.acknowledge(await receiptFor(log, durableIndex - 5));
    }
    await log.close();
  } catch (thrown) {
    error = thrown;
  }
  return { answered, error };
}

/** Opens what is left, holds it against what was answered, and goes on. */
async function check(left: MemoryDisk, { answered }: Lived, what: string): Promise<void> {
  const log = await open(left).catch((thrown: unknown) => {
    throw new Error(`${what}: ${(thrown as Error).message}`, { cause: thrown });
  });
  const { firstIndex, nextIndex } = log.stats();
  const leaves = Array.from({ length: nextIndex }, (_, index) => answered.get(index));
  for (let index = firstIndex; index < nextIndex; ) {
    const { rows } = await log.read(index, 500, 1 << 20);
    for (const row of rows) {
      const leaf = leafHash(row);
      assert.ok(leaves[index]?.equals(leaf) ?? true, `${what}: row ${index} is another one`);
      leaves[index] = leaf;
      index += 1;
    }
  }
  for (const index of answered.keys()) assert.ok(index < nextIndex, `${what}: row ${index} was answered and is gone`);
  assert.ok((log.receipt()?.size ?? 0) >= firstIndex, `${what}: rows went without a receipt`);
  for (let n = 0; n < 2; n += 1) leaves.push((await log.append(servedDraft())).leaf);
  const edge = new TreeEdge();
  for (const [index, leaf] of leaves.entries()) {
    assert.ok(leaf !== undefined, `${what}: row ${index} was dropped and never answered`);
    edge.append(leaf);
  }
  const [size, root] = [leaves.length, edge.root()];
  assert.deepEqual(await log.rootAt(size), root, what);
  for (const index of [0, Math.floor(size / 2), size - 1]) {
    const proof = await log.inclusion(index, size);
    assert.ok(verifyInclusion({ size, index, leaf: leaves[index] as Buffer, proof, root }), `${what}: row ${index}`);
  }
  await log.close();
}

test('a log that dies at any step of its disk has every answered row and the right tree afterwards', async () => {
  const whole = troubledDisk(memoryDisk(), undefined);
  const lived = await live(whole.disk);
  assert.equal(lived.error, undefined);
  assert.equal(lived.answered.size, BATCH * BATCHES);
  const kinds = new Set(whole.steps.map((step) => step.split(' ')[0] ?? ''));
  assert.deepEqual([...kinds].toSorted(), ['allocate', 'flush', 'recycle', 'remove', 'replace', 'store', 'write']);
  for (let step = 0; step < whole.steps.length; step += 1) {
    for (const ending of ['done', 'lost', 'part'] as const) {
      const disk = memoryDisk();
      const troubled = troubledDisk(disk, { step, ending });
      const life = await live(troubled.disk);
      const { left } = troubled.state;
      // The order of what goes on side by side differs a little: the last steps may not be reached.
      if (left === undefined) continue;
      const what = `${troubled.steps[step]} ${ending}`;
      // What was never flushed: there, gone, or half of it.
      for (const path of disk.unflushed) {
        const content = left.files.get(path);
        if (content === undefined || step % 3 === 0) continue;
        if (step % 3 === 1) left.files.delete(path);
        else left.files.set(path, Buffer.from(content.subarray(0, content.length / 2)));
      }
      await check(left, life, what);
    }
  }
});

test('a log that is told of a failed step, done though it was, goes on or refuses, and loses nothing', async () => {
  const whole = troubledDisk(memoryDisk(), undefined);
  await live(whole.disk);
  for (let step = 0; step < whole.steps.length; step += 1) {
    const disk = memoryDisk();
    const troubled = troubledDisk(disk, { step, ending: 'reported lost' });
    const life = await live(troubled.disk);
    const what = `${troubled.steps[step]} reported lost`;
    if (what.startsWith('write'))
      assert.ok(life.error instanceof WeirError && life.error.code === 'spool_failed', what);
    await check(disk.copy(), life, what);
  }
});
