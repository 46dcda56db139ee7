// Reading in pieces finds what reading at once finds, and holds no more than a piece as long as nothing is wrong.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { PIECE_BYTES, recordPieces, scanSegmentFile } from './read-segment.ts';
import { RECORD_HEADER_BYTES, sealRecord } from './record.ts';
import { SEGMENT_HEADER_BYTES, scanSegment, segmentHeader } from './segment.ts';

const DIGEST = Buffer.alloc(32, 3);
const FIRST = 1_000;
const ROW_BYTES = [300, 16_384, 1, 4_000, 15_999];

/** Rows for more than two pieces, then zeros. */
function filled(
  size: number,
  until: number,
): { readonly segment: Buffer; readonly rows: number; readonly end: number } {
  const segment = Buffer.alloc(size);
  segmentHeader(FIRST, DIGEST, size).copy(segment);
  let end = SEGMENT_HEADER_BYTES;
  let rows = 0;
  for (;;) {
    const length = ROW_BYTES[rows % ROW_BYTES.length] ?? 1;
    if (end + RECORD_HEADER_BYTES + length > until) return { segment, rows, end };
    segment.fill(1 + (rows % 200), end + RECORD_HEADER_BYTES, end + RECORD_HEADER_BYTES + length);
    sealRecord(segment, end, { length, index: FIRST + rows, batchPosition: rows % 7 });
    end += RECORD_HEADER_BYTES + length;
    rows += 1;
  }
}

function diskOf(segment: Buffer) {
  const disk = {
    mostRead: 0,
    async read(_name: string, offset: number, length: number) {
      disk.mostRead = Math.max(disk.mostRead, length);
      return Buffer.from(segment.subarray(offset, offset + length));
    },
  };
  return disk;
}

const sound = filled(5 * PIECE_BYTES, 3 * PIECE_BYTES + 12_345);

test('a sound segment is scanned a piece at a time, also one that is full or blank', async () => {
  for (const segment of [
    sound.segment,
    filled(2 * PIECE_BYTES, 2 * PIECE_BYTES).segment,
    Buffer.alloc(3 * PIECE_BYTES),
  ]) {
    for (const until of [FIRST, FIRST + 1, FIRST + 77, FIRST + 256, Number.POSITIVE_INFINITY]) {
      const disk = diskOf(segment);
      const file = { name: 's', size: segment.length };
      const found = await scanSegmentFile(disk, file, DIGEST, undefined, until);
      assert.deepEqual(found, scanSegment(segment, DIGEST, undefined, until));
      assert.ok(disk.mostRead <= PIECE_BYTES, `${disk.mostRead} bytes at once`);
    }
  }
});

test('whatever is wrong with a segment is found as in a reading at once', async () => {
  const anyHarm = fc.oneof(
    fc.record({ at: fc.nat(sound.segment.length - 1), cut: fc.constant(false) }),
    // Around the end of the rows, where a torn batch is told from damage.
    fc.record({ at: fc.integer({ min: sound.end - 200, max: sound.end + 200 }), cut: fc.constant(false) }),
    fc.record({ at: fc.nat(SEGMENT_HEADER_BYTES), cut: fc.constant(false) }),
    fc.record({ at: fc.nat(sound.segment.length), cut: fc.constant(true) }),
  );
  await fc.assert(
    fc.asyncProperty(anyHarm, fc.constantFrom(undefined, FIRST, FIRST + 1), async ({ at, cut }, expected) => {
      const segment = Buffer.from(cut ? sound.segment.subarray(0, at) : sound.segment);
      if (!cut) segment[at] = (segment[at] ?? 0) ^ 0x40;
      const file = { name: 's', size: segment.length };
      const found = await scanSegmentFile(diskOf(segment), file, DIGEST, expected);
      assert.deepEqual(found, scanSegment(segment, DIGEST, expected));
    }),
    { numRuns: 40 },
  );
});

test('records come in whole ones, all of them, and a file that has changed is no endless loop', async () => {
  const pieces: Buffer[] = [];
  for await (const piece of recordPieces(diskOf(sound.segment), { name: 's', end: sound.end })) pieces.push(piece);
  assert.ok(pieces.length > 2);
  assert.ok(Buffer.concat(pieces).equals(sound.segment.subarray(SEGMENT_HEADER_BYTES, sound.end)));
  const changed = Buffer.from(sound.segment);
  changed.fill(0xff, PIECE_BYTES - 40_000, PIECE_BYTES + 40_000);
  await assert.rejects(
    Array.fromAsync(recordPieces(diskOf(changed), { name: 's', end: sound.end })),
    /changes under its reader/,
  );
});
