// A tree of more than one full tile of the second level: its shelf answers for every node, whatever is lost or damaged.

import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { describe, test } from 'node:test';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { EMPTY_ROOT, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import {
  consistencyProof,
  inclusionProof,
  rootAt,
  verifyConsistency,
  verifyInclusion,
} from '@weir/shared/audit/tlog/proof.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { LogTree } from './log-tree.ts';
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts';
import { recoverLog } from './recover-log.ts';
import { SEGMENT_HEADER_BYTES, segmentHeader } from './segment.ts';
import { partOf, TileShelf } from './tile-shelf.ts';

const SIZE = 65_536 + 256 * 3 + 77;
const leafAt = (index: number): Buffer => leafHash(rowAt(index));
const rowAt = (index: number): Buffer => hash('sha256', String(index), 'buffer');

function memoryFiles() {
  const files = new Map<string, Buffer>();
  const flushed = new Set<string>();
  return {
    files,
    flushed,
    disk: {
      load: async (path: string) => files.get(path),
      store: async (path: string, bytes: Uint8Array) => void files.set(path, Buffer.from(bytes)),
      remove: async (path: string) => void files.delete(path),
      async flush(paths: readonly string[]) {
        for (const path of paths) {
          assert.ok(files.has(path), path);
          flushed.add(path);
        }
      },
    },
  };
}

/** @param kept rows below are gone */
function shelfOver(disk: ReturnType<typeof memoryFiles>['disk'], tree: LogTree, kept = () => 0): TileShelf {
  const shelf = new TileShelf({
    disk,
    tree,
    keptUntil: 0,
    rows: async (from, count) => {
      if (from < kept()) throw new WeirError('not_found', 'gone');
      return Array.from({ length: count }, (_, n) => rowAt(from + n));
    },
  });
  tree.onTile = (level, index, bytes) => shelf.put(level, index, bytes);
  return shelf;
}

/** Grows turn by turn, so that tiles find their way to the disk meanwhile. */
async function grow(tree: LogTree, until: number, edge = new TreeEdge()): Promise<TreeEdge> {
  while (tree.size < until) {
    const leaf = leafAt(tree.size);
    tree.append(leaf);
    edge.append(leaf);
    if (tree.size % 1_024 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  return edge;
}

describe('a tree with tiles on a shelf', () => {
  test('has the root of its leaves at any size', async () => {
    const tree = new LogTree(() => undefined);
    assert.deepEqual(tree.root(), EMPTY_ROOT);
    const edge = new TreeEdge();
    for (const size of [1, 255, 256, 257, 511, 65_535, 65_536, 65_537, SIZE]) {
      await grow(tree, size, edge);
      assert.deepEqual(tree.root(), edge.root(), String(size));
      assert.deepEqual(tree.edge().encode(), edge.encode());
    }
  });

  test('proves what it has, from memory, from disk, and from rows', async () => {
    const { disk, files } = memoryFiles();
    const tree = new LogTree(() => undefined);
    const shelf = shelfOver(disk, tree);
    await grow(tree, SIZE);
    await shelf.settle();
    const root = tree.root();
    for (const lost of [
      [],
      ['tile/0/000', 'tile/0/255'],
      ['tile/1/000', 'tile/0/003'],
      [...files.keys()].slice(0, 40),
    ]) {
      for (const path of lost) files.delete(path);
      for (const index of [0, 255, 1_000, 65_535, 65_536, SIZE - 1]) {
        const proof = await inclusionProof(SIZE, index, shelf.nodes);
        assert.ok(verifyInclusion({ size: SIZE, index, leaf: leafAt(index), proof, root }), `${lost.length}: ${index}`);
      }
      for (const oldSize of [1, 300, 65_536, 65_600]) {
        const [oldRoot, proof] = [
          await rootAt(oldSize, shelf.nodes),
          await consistencyProof(oldSize, SIZE, shelf.nodes),
        ];
        assert.ok(verifyConsistency({ oldSize, newSize: SIZE, oldRoot, newRoot: root, proof }));
      }
      await shelf.settle();
    }
  });

  test('takes no damaged tile for the real one: made again while its rows are there, named when they are gone', async () => {
    const { disk, files } = memoryFiles();
    const tree = new LogTree(() => undefined);
    let gone = 0;
    const shelf = shelfOver(disk, tree, () => gone);
    await grow(tree, SIZE);
    await shelf.settle();
    for (const [path, index] of [
      ['tile/0/002', 600],
      ['tile/1/000', 65_000],
    ] as const) {
      const whole = files.get(path) ?? Buffer.alloc(0);
      const damaged = Buffer.from(whole);
      damaged[100] = (damaged[100] ?? 0) ^ 1;
      files.set(path, damaged);
      await inclusionProof(SIZE, index, shelf.nodes);
      await shelf.settle();
      assert.deepEqual(files.get(path), whole);
    }
    gone = SIZE;
    files.get('tile/0/002')?.fill(0);
    await assert.rejects(shelf.read(0, 2), (error: WeirError) => {
      assert.deepEqual([error.code, error.detail['file'], error.detail['index']], ['corrupt', 'tile/0/002', 512]);
      return true;
    });
  });

  test('keeps what outlives the rows: full tiles of all levels, and the begun one', async () => {
    const { disk, files, flushed } = memoryFiles();
    const tree = new LogTree(() => undefined);
    const shelf = shelfOver(disk, tree);
    await grow(tree, SIZE);
    files.clear();
    await shelf.keep(300);
    assert.deepEqual([...flushed], ['tile/0/000', 'tile/0/001.p/44']);
    assert.equal(partOf(300), 'tile/0/001.p/44');
    await shelf.keep(65_536 + 256);
    assert.ok(!files.has('tile/0/001.p/44'), 'what it said stands in the full tile');
    for (const path of ['tile/0/255', 'tile/0/256', 'tile/1/000']) assert.ok(flushed.has(path), path);
    assert.ok(!flushed.has('tile/0/257'));
    await assert.rejects(shelf.read(9, 0), { code: 'internal' });
  });

  test('is whole again after a start with only the tiles of rows that are gone', async () => {
    const { disk, files } = memoryFiles();
    const before = new LogTree(() => undefined);
    const shelf = shelfOver(disk, before);
    const gone = 65_536 + 300;
    const edge = await grow(before, gone);
    await shelf.keep(gone);
    await shelf.settle();
    const logDigest = hash('sha256', 'a log', 'buffer');
    const rows = [rowAt(gone), rowAt(gone + 1)];
    const segment = Buffer.alloc(4_096);
    segmentHeader(gone, logDigest).copy(segment);
    let at = SEGMENT_HEADER_BYTES;
    for (const [batchPosition, row] of rows.entries()) {
      row.copy(segment, at + RECORD_HEADER_BYTES);
      sealRecord(segment, at, { length: row.length, index: gone + batchPosition, batchPosition });
      at += RECORD_HEADER_BYTES + row.length;
      edge.append(leafHash(row));
    }
    files.set('0000000007.seg', segment);
    const view = {
      ...disk,
      list: async () => [...files.keys()].filter((path) => path.endsWith('.seg')),
      read: async (name: string, offset: number, length: number) =>
        Buffer.from(files.get(name)?.subarray(offset, offset + length) ?? []),
      size: async (name: string) => files.get(name)?.length ?? 0,
    };
    const signed = [{ size: gone + 2, root: edge.root() }];
    const recover = () => recoverLog(view, { logDigest, signed, receipted: gone, until: Number.POSITIVE_INFINITY });
    const { tree, nextIndex } = await recover();
    assert.equal(nextIndex, gone + 2);
    assert.deepEqual(tree.edge().encode(), edge.encode());
    for (const path of ['tile/0/256', 'tile/1/000', 'tile/0/257.p/44']) {
      const whole = files.get(path) ?? assert.fail(path);
      files.delete(path);
      await assert.rejects(recover(), { code: 'corrupt' }, `without ${path}`);
      files.set(path, Buffer.from(whole).fill(1, 40, 41));
      await assert.rejects(recover(), { code: 'corrupt' }, `with another ${path}`);
      files.set(path, whole);
    }
    await grow(tree, gone + 2_000);
    await grow(before, gone + 2_000);
    assert.deepEqual(tree.root(), before.root());
  });
});
