// Damage is named exactly: which file, where in it, from which row on and in what way; and every row that can still be read
// is found, whatever lies between.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { assert as holds, asyncProperty, integer, nat } from 'fast-check';
import { readRow } from '@weir/shared/audit/row-codec.ts';
import { type Damage, findDamage } from '@weir/spoke/audit/find-damage.ts';
import { readableRows } from '@weir/spoke/audit/readable-rows.ts';
import { recoverSegments, segmentName } from '@weir/spoke/audit/recover-segments.ts';
import { RECORD_HEADER_BYTES, readRecord, sealRecord } from '@weir/spoke/audit/record.ts';
import { SEGMENT_HEADER_BYTES, segmentHeader } from '@weir/spoke/audit/segment.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { type MemoryDisk, memoryDisk } from './memory-disk.ts';
import { servedDraft } from './sample-rows.ts';

const LOG = 'payments.edge-1.w0.0123456789abcdef0123';
const DIGEST = createHash('sha256').update(LOG).digest();
const SIZE = 64 << 10;
const ORIGIN = { v: 1, log: LOG, unit: 'payments', spoke: 'edge-1', site: '' } as const;

/** A log of `counts.length` segments with so many rows each, every row its own batch, and one blank segment. */
function logOf(counts: readonly number[]): MemoryDisk {
  const disk = memoryDisk();
  let index = 0;
  for (const [at, count] of counts.entries()) {
    const bytes = Buffer.alloc(SIZE);
    segmentHeader(index, DIGEST, SIZE).copy(bytes);
    let end = SEGMENT_HEADER_BYTES;
    for (let n = 0; n < count; n += 1) {
      const row = encodeRow({ ...servedDraft(), ...ORIGIN, index });
      row.copy(bytes, end + RECORD_HEADER_BYTES);
      sealRecord(bytes, end, { length: row.length, index, batchPosition: 0 });
      end += RECORD_HEADER_BYTES + row.length;
      index += 1;
    }
    disk.files.set(segmentName(at + 1), bytes);
  }
  disk.files.set(segmentName(counts.length + 1), Buffer.alloc(SIZE));
  return disk;
}

const file = (disk: MemoryDisk, sequence: number): Buffer => {
  const bytes = disk.files.get(segmentName(sequence));
  assert.ok(bytes !== undefined);
  return bytes;
};

/** Offset of a record in its segment. */
function offsetOf(segment: Buffer, position: number): number {
  let at = SEGMENT_HEADER_BYTES;
  for (let n = 0; n < position; n += 1) at = readRecord(segment, at)?.bytesEnd ?? assert.fail('no record');
  return at;
}

const COUNTS = [20, 30, 10];
const ROWS = 60;

const cases: readonly {
  readonly name: string;
  readonly harm: (disk: MemoryDisk) => void;
  readonly expected: (disk: MemoryDisk) => Damage;
  /** Rows that cannot be read any more. */
  readonly lost: readonly number[];
}[] = [
  {
    name: 'one flipped bit in a row',
    harm(disk) {
      const bytes = file(disk, 2);
      bytes[offsetOf(bytes, 5) + 100]! ^= 4;
    },
    expected: (disk) => ({ what: 'flipped_bits', file: segmentName(2), offset: offsetOf(file(disk, 2), 5), index: 25 }),
    lost: [25],
  },
  {
    name: 'a flipped bit in the length of a record',
    harm(disk) {
      const bytes = file(disk, 1);
      bytes[offsetOf(bytes, 7) + 5]! ^= 128;
    },
    expected: (disk) => ({ what: 'flipped_bits', file: segmentName(1), offset: offsetOf(file(disk, 1), 7), index: 7 }),
    lost: [7],
  },
  {
    name: 'a flipped bit in a header',
    harm(disk) {
      file(disk, 2)[20]! ^= 1;
    },
    expected: () => ({ what: 'flipped_bits', file: segmentName(2), offset: 0, index: 20 }),
    lost: [],
  },
  {
    name: 'a stretch of zeros over the end of a segment',
    harm(disk) {
      const bytes = file(disk, 1);
      bytes.fill(0, offsetOf(bytes, 15));
    },
    expected: (disk) => ({
      what: 'missing_rows',
      file: segmentName(1),
      offset: offsetOf(file(disk, 1), 15),
      index: 15,
    }),
    lost: [15, 16, 17, 18, 19],
  },
  {
    name: 'a segment that ends early',
    harm(disk) {
      const bytes = file(disk, 3);
      disk.files.set(segmentName(3), bytes.subarray(0, offsetOf(bytes, 8) + 30));
    },
    expected: (disk) => ({ what: 'truncated', file: segmentName(3), offset: file(disk, 3).length, index: 58 }),
    lost: [58, 59],
  },
  {
    name: 'a segment that is longer than it was made',
    harm(disk) {
      disk.files.set(segmentName(2), Buffer.concat([file(disk, 2), Buffer.alloc(512)]));
    },
    expected: () => ({ what: 'wrong_length', file: segmentName(2), offset: SIZE, index: 50 }),
    lost: [],
  },
  {
    name: 'a missing segment in the middle',
    harm: (disk) => void disk.files.delete(segmentName(2)),
    expected: () => ({ what: 'missing_segment', file: segmentName(2), offset: 0, index: 20 }),
    lost: Array.from({ length: 30 }, (_, n) => 20 + n),
  },
  {
    name: 'a missing first segment whose rows the hub does not have',
    harm: (disk) => void disk.files.delete(segmentName(1)),
    expected: () => ({ what: 'missing_segment', file: segmentName(1), offset: 0, index: 0 }),
    lost: Array.from({ length: 20 }, (_, n) => n),
  },
  {
    name: 'a missing last segment of rows that were durable',
    harm(disk) {
      disk.files.delete(segmentName(3));
      disk.files.delete(segmentName(4));
    },
    expected: (disk) => ({
      what: 'missing_rows',
      file: segmentName(2),
      offset: offsetOf(file(disk, 2), 30),
      index: 50,
    }),
    lost: Array.from({ length: 10 }, (_, n) => 50 + n),
  },
  {
    name: 'two segments that changed places',
    harm(disk) {
      const [one, two] = [file(disk, 1), file(disk, 2)];
      disk.files.set(segmentName(1), two);
      disk.files.set(segmentName(2), one);
    },
    expected: () => ({ what: 'reordered', file: segmentName(1), offset: 0, index: 0 }),
    lost: [],
  },
  {
    name: 'a segment of another log',
    harm(disk) {
      const bytes = Buffer.alloc(SIZE);
      segmentHeader(20, createHash('sha256').update('another').digest(), SIZE).copy(bytes);
      disk.files.set(segmentName(2), bytes);
    },
    expected: () => ({ what: 'foreign', file: segmentName(2), offset: 0, index: 20 }),
    lost: Array.from({ length: 30 }, (_, n) => 20 + n),
  },
  {
    name: 'a file that is no segment',
    harm: (disk) => void disk.files.set(segmentName(3), Buffer.from('dear diary '.repeat(9_000))),
    expected: () => ({ what: 'foreign', file: segmentName(3), offset: 0, index: 50 }),
    lost: Array.from({ length: 10 }, (_, n) => 50 + n),
  },
];

async function readable(disk: MemoryDisk, from = 0, until = Number.MAX_SAFE_INTEGER): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const { index, bytes } of readableRows(disk, DIGEST, from, until)) {
    assert.equal(readRow(bytes).index, index);
    found.push(index);
  }
  return found;
}

for (const { name, harm, expected, lost } of cases) {
  test(`${name}: named exactly, and all other rows are found`, async () => {
    const disk = logOf(COUNTS);
    harm(disk);
    const known = { from: 0, until: ROWS };
    assert.deepEqual(await findDamage(disk, DIGEST, known), expected(disk));
    const all = Array.from({ length: ROWS }, (_, n) => n);
    assert.deepEqual(
      await readable(disk),
      all.filter((index) => !lost.includes(index)),
    );
    assert.deepEqual(
      await readable(disk, 30, 45),
      all.slice(30, 45).filter((index) => !lost.includes(index)),
    );
  });
}

test('a whole log, one whose first rows the hub has, and one with a torn last batch are not damaged', async () => {
  const whole = logOf(COUNTS);
  assert.equal(await findDamage(whole, DIGEST, { from: 0, until: ROWS }), undefined);
  whole.files.delete(segmentName(1));
  assert.equal(await findDamage(whole, DIGEST, { from: 20, until: ROWS }), undefined);

  const torn = logOf(COUNTS);
  const bytes = file(torn, 3);
  bytes.fill(0, offsetOf(bytes, 9) + 40);
  assert.equal(await findDamage(torn, DIGEST, { from: 0, until: 59 }), undefined);
});

test('any single flipped bit in a row is found in its place, or harms no row', async () => {
  const clean = logOf(COUNTS);
  await holds(
    asyncProperty(integer({ min: 1, max: 3 }), nat(SIZE - 1), nat(7), async (sequence, at, bit) => {
      const disk = clean.copy();
      const bytes = file(disk, sequence);
      bytes[at]! ^= 1 << bit;
      const damage = await findDamage(disk, DIGEST, { from: 0, until: ROWS });
      const rows = await readable(disk);
      const recovered = await recoverSegments(disk, DIGEST).then(
        ({ nextIndex }) => nextIndex === ROWS,
        () => false,
      );
      // Opening notices nothing only where nothing is lost.
      if (recovered) assert.equal(damage, undefined);
      else {
        assert.ok(damage !== undefined);
        assert.equal(damage.file, segmentName(sequence));
        assert.ok(damage.offset <= at);
      }
      assert.ok(rows.length >= ROWS - 1, `${rows.length} rows left`);
    }),
    { numRuns: 150 },
  );
});
