// The auditor's reading of a log, over one kept in memory: what it says of a good log, and of each way in which one is bad.

import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { AuditRow, RowDraft } from '@weir/shared/audit/row.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import { cosignCheckpoint, signCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { logOrigin, receiptKeyName } from '@weir/shared/audit/tlog/names.ts';
import { COSIGNATURE_V1, createNoteSigner, parseVkey } from '@weir/shared/audit/tlog/note.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { type LogSource, verifyLog } from '@weir/shared/audit/verify-log.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';
import { tilesOf } from './tlog-layout.ts';

const LOG = 'payments.edge-1.w0.e1';
const newKey = () => generateKeyPairSync('ed25519').privateKey;
const signer = createNoteSigner(logOrigin('weir', LOG), newKey());
const hub = createNoteSigner(receiptKeyName('weir'), newKey(), COSIGNATURE_V1);
const keys = { log: parseVkey(signer.vkey), hub: parseVkey(hub.vkey) };

const COUNTERS = { refused: 0, served_bytes: 0, failed: 0, total_refused: 0, total_served_bytes: 0 };

function rowAt(index: number, draft: RowDraft, change: Partial<AuditRow> = {}): Buffer {
  return encodeRow({ v: 1, log: LOG, index, unit: 'payments', spoke: 'edge-1', site: '', ...draft, ...change });
}

function minute(at: number): string {
  return new Date(Date.UTC(2026, 0, 1, 0, at)).toISOString();
}

interface Counted {
  readonly minutes: readonly [number, number];
  readonly rows: number;
  readonly total: number;
  readonly facts?: Readonly<Record<string, unknown>>;
}

function counterDraft({ minutes: [from, until], rows, total, facts = {} }: Counted): RowDraft {
  return servedDraft({
    action: 'event',
    outcome: 'counters',
    input: '',
    status: 0,
    rules: [
      {
        rule: 'host.counters',
        layer: 'host',
        code: 'counters',
        level: 'allow',
        effective: 'allow',
        exception: '',
        facts: {
          ...COUNTERS,
          from: minute(from),
          until: minute(until),
          requests: rows,
          rows,
          total_requests: total,
          total_rows: total,
          ...facts,
        },
      },
    ],
  });
}

interface MemoryLog {
  readonly rows: Buffer[];
  readonly tiles: Map<string, Buffer>;
  checkpoint: Buffer;
  readonly source: LogSource;
}

/** A log signed and receipted over these rows. */
function memoryLog(rows: readonly Buffer[]): MemoryLog {
  const edge = edgeOf(rows);
  const log: MemoryLog = {
    rows: [...rows],
    tiles: new Map(tilesOf(rows.map(leafHash))),
    checkpoint: receiptOf(edge, 1_795_000_000),
    source: {
      checkpoint: async () => log.checkpoint,
      tile: async (level, index, width) => log.tiles.get(`${level}/${index}`)?.subarray(0, width * 32),
      entries: async (index, width) => log.rows.slice(index * TILE_WIDTH, index * TILE_WIDTH + width),
    },
  };
  return log;
}

function receipted({ source }: MemoryLog, receipts: readonly Buffer[]): LogSource {
  return {
    ...source,
    async *receipts() {
      yield* receipts;
    },
  };
}

function edgeOf(rows: readonly Buffer[]): TreeEdge {
  const edge = new TreeEdge();
  for (const row of rows) edge.append(leafHash(row));
  return edge;
}

function receiptOf(edge: TreeEdge, timeS: number): Buffer {
  return cosignCheckpoint(
    signCheckpoint({ origin: signer.name, size: edge.size, root: edge.root() }, signer),
    hub,
    timeS,
  );
}

const GOOD = Array.from({ length: 1000 }, (_, at) => rowAt(at, at % 7 === 3 ? refusedDraft() : servedDraft()));

/** Another row that is sound by itself. */
const swapped = (index: number) => rowAt(index, servedDraft({ trace: 'f'.repeat(32) }));

test('a good log is read whole: every row, the root, the receipt', async () => {
  const seen: number[] = [];
  const report = await verifyLog(memoryLog(GOOD).source, keys, ({ rows }) => seen.push(rows));
  assert.deepEqual(report, {
    origin: signer.name,
    size: 1000,
    root: edgeOf(GOOD).root().toString('hex'),
    rows: 1000,
    hashesOnly: 0,
    tilesMissing: 0,
    fault: null,
    faultCount: 0,
    receipts: 1,
    receiptedSize: 1000,
    receiptTimeS: 1_795_000_000,
    coverage: { counters: 0, requests: 0, refused: 0, servedBytes: 0, uncounted: 1000, faults: [], faultCount: 0 },
  });
  assert.deepEqual(seen, [256, 512, 768, 1000]);
});

for (const size of [0, 1, 255, 256, 257, 512]) {
  test(`a good log of ${size} rows has no fault`, async () => {
    const report = await verifyLog(memoryLog(GOOD.slice(0, size)).source, keys);
    assert.deepEqual([report.size, report.rows, report.fault, report.receipts], [size, size, null, 1]);
  });
}

for (const index of [0, 255, 256, 700, 999]) {
  test(`a row exchanged for a sound one is named: row ${index}`, async () => {
    const log = memoryLog(GOOD);
    log.rows[index] = swapped(index);
    const { fault } = await verifyLog(log.source, keys);
    assert.deepEqual(fault, { index, what: 'the row is not the one whose hash the log has signed' });
  });

  test(`with its tile gone, the bundle of row ${index} is named`, async () => {
    const log = memoryLog(GOOD);
    log.rows[index] = swapped(index);
    log.tiles.delete(`0/${Math.floor(index / 256)}`);
    const { fault } = await verifyLog(log.source, keys);
    const first = index - (index % 256);
    // The last bundle's hashes are only in its own tile.
    if (first === 768) assert.match(fault?.what ?? '', /^the rows hash to /);
    else assert.match(fault?.what ?? '', new RegExp(`^one of the rows ${first} to ${first + 255} is not`));
  });
}

test('two rows in each other’s places are both faults, the first is named', async () => {
  const log = memoryLog(GOOD);
  [log.rows[300], log.rows[301]] = [GOOD[301] as Buffer, GOOD[300] as Buffer];
  const { fault, faultCount } = await verifyLog(log.source, keys);
  assert.equal(fault?.index, 300);
  assert.equal(faultCount, 5); // two hashes, two indexes, the root
});

test('a wrong tile over right rows is told apart from a wrong row', async () => {
  const log = memoryLog(GOOD);
  const tile = Buffer.from(log.tiles.get('0/1') as Buffer);
  tile[100] = (tile[100] ?? 0) ^ 1;
  log.tiles.set('0/1', tile);
  const { fault, faultCount } = await verifyLog(log.source, keys);
  assert.deepEqual(fault, {
    index: -1,
    what: 'the hashes of rows 256 to 511 are wrong; the rows themselves are right',
  });
  assert.equal(faultCount, 1);
});

test('a wrong tile above the leaves is named, and so is an end that does not lead to the root', async () => {
  const size = 70_000;
  const bare = Array.from({ length: size }, (_, at) => leafHash(Buffer.from(String(at))));
  const edge = new TreeEdge();
  for (const leaf of bare) edge.append(leaf);
  for (const [name, what] of [
    ['1/0', 'tile/1/000 does not hash to its place in the tile above'],
    ['1/1', 'the last tiles of the log do not hash to the root that it has signed'],
    ['2/0', 'the last tiles of the log do not hash to the root that it has signed'],
  ] as const) {
    const tiles = new Map(tilesOf(bare));
    tiles.set(name, flipped(tiles.get(name) as Buffer, 77));
    const { fault, faultCount, hashesOnly } = await verifyLog(
      {
        checkpoint: async () => receiptOf(edge, 1),
        tile: async (level, index, width) => tiles.get(`${level}/${index}`)?.subarray(0, width * 32),
        entries: async () => undefined,
      },
      keys,
    );
    assert.deepEqual([fault, faultCount, hashesOnly], [{ index: -1, what }, 1, size]);
  }
});

test('without any tile a changed row still breaks the root', async () => {
  const log = memoryLog(GOOD);
  log.rows[12] = swapped(12);
  log.tiles.clear();
  const { fault, tilesMissing } = await verifyLog(log.source, keys);
  assert.ok(tilesMissing >= 4);
  assert.equal(fault?.index, -1);
  assert.match(fault?.what ?? '', /^the rows hash to .* not to the root that the log has signed$/);
});

test('a tile that is another when it is read again is not believed on the first one’s word', async () => {
  const log = memoryLog(GOOD);
  log.rows[900] = swapped(900);
  const good = log.tiles.get('0/3') as Buffer;
  const forged = Buffer.from(good);
  forged.set(leafHash(swapped(900)), (900 - 768) * 32);
  let reads = 0;
  const source: LogSource = {
    ...log.source,
    tile: async (level, index, width) => {
      if (level !== 0 || index !== 3) return log.source.tile(level, index, width);
      reads += 1;
      return (reads === 1 ? good : forged).subarray(0, width * 32);
    },
  };
  const { fault } = await verifyLog(source, keys);
  assert.equal(fault?.index, 900);
});

function flipped(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  const bit = at % (bytes.length * 8);
  changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return changed;
}

test('no changed bit of rows, tiles or checkpoint goes unnoticed, and one in a row is named', async () => {
  const size = 600;
  const good = memoryLog(GOOD.slice(0, size));
  const part = fc.oneof(
    fc.record({ row: fc.nat({ max: size - 1 }) }),
    fc.record({ tile: fc.constantFrom(...good.tiles.keys()) }),
    fc.constant({ checkpoint: true }),
  );
  await fc.assert(
    fc.asyncProperty(part, fc.nat(), async (changed, at) => {
      const log = memoryLog(good.rows);
      if ('row' in changed) log.rows[changed.row] = flipped(log.rows[changed.row] as Buffer, at);
      else if ('tile' in changed) log.tiles.set(changed.tile, flipped(log.tiles.get(changed.tile) as Buffer, at));
      else log.checkpoint = flipped(log.checkpoint, at);
      try {
        const { fault, receipts } = await verifyLog(log.source, keys);
        // A change in the line of a hub's key makes it the line of a key that nobody knows.
        if ('checkpoint' in changed) assert.equal(receipts, 0);
        else if ('row' in changed) assert.equal(fault?.index, changed.row);
        else assert.equal(fault?.index, -1);
      } catch (thrown) {
        assert.ok(
          'checkpoint' in changed && thrown instanceof WeirError && thrown.code === 'untrusted',
          String(thrown),
        );
      }
    }),
    { numRuns: 150 },
  );
});

for (const [what, index, bytes, sentence] of [
  ['not canonical', 5, Buffer.from(' {}'), 'not JSON|not a row'],
  ['not UTF-8', 6, Buffer.from([0xff, 0xfe]), 'not JSON in UTF-8'],
  ['another index', 7, rowAt(8, servedDraft()), 'says that it is row 8'],
  ['another log', 8, rowAt(8, servedDraft(), { log: 'payments.edge-1.w0.e2' }), 'of the log payments.edge-1.w0.e2'],
  ['another spoke', 9, rowAt(9, servedDraft(), { spoke: 'edge-2' }), 'names payments/edge-2 as its writer'],
  ['another unit', 10, rowAt(10, refusedDraft(), { unit: 'research' }), 'names research/edge-1'],
  ['a level nobody explains', 11, rowAt(11, servedDraft({ level: 'deny', code: '' })), 'does not explain its level'],
] as const) {
  test(`a row that the log signed although it is ${what} is named`, async () => {
    const rows = GOOD.slice(0, 20);
    rows[index] = bytes;
    const { fault, faultCount } = await verifyLog(memoryLog(rows).source, keys);
    assert.equal(fault?.index, index);
    assert.match(fault?.what ?? '', new RegExp(sentence));
    assert.equal(faultCount, 1);
  });
}

test('rows kept elsewhere are passed over by their hashes, and the root still holds', async () => {
  const log = memoryLog(GOOD);
  const entries: LogSource['entries'] = (index, width) => log.source.entries(index, width);
  const source: LogSource = {
    ...log.source,
    entries: async (index, width) => (index < 2 ? undefined : entries(index, width)),
  };
  const report = await verifyLog(source, keys);
  assert.deepEqual([report.rows, report.hashesOnly, report.fault, report.receipts], [488, 512, null, 1]);
});

test('rows that are gone with their hashes end the reading, and the report says where', async () => {
  const log = memoryLog(GOOD);
  log.tiles.delete('0/2');
  const entries: LogSource['entries'] = (index, width) => log.source.entries(index, width);
  const source: LogSource = {
    ...log.source,
    entries: async (index, width) => (index === 2 ? undefined : entries(index, width)),
  };
  const report = await verifyLog(source, keys);
  assert.deepEqual(report.fault, { index: 512, what: 'rows 512 to 767 are missing, and their hashes too' });
  assert.deepEqual([report.rows, report.receipts], [512, 0]);
});

for (const [what, entries] of [
  ['too few rows', async () => GOOD.slice(256, 300)],
  ['bytes that are no bundle', () => Promise.reject(new WeirError('corrupt', 'an entry bundle ends within row 3'))],
] as const) {
  test(`a bundle of ${what} is a fault at its first row`, async () => {
    const log = memoryLog(GOOD);
    const good: LogSource['entries'] = (index, width) => log.source.entries(index, width);
    const source: LogSource = {
      ...log.source,
      entries: (index, width) => (index === 1 ? entries() : good(index, width)),
    };
    const { fault, hashesOnly } = await verifyLog(source, keys);
    assert.equal(fault?.index, 256);
    assert.match(fault?.what ?? '', /^the bundle of rows from 256 cannot be read: /);
    assert.equal(hashesOnly, 256);
  });
}

test('what the store throws for reasons of its own is thrown on', async () => {
  const log = memoryLog(GOOD);
  const away = new WeirError('unavailable', 'the store is away');
  for (const broken of [
    { entries: () => Promise.reject(away) },
    { tile: () => Promise.reject(away) },
    { checkpoint: () => Promise.reject(away) },
  ]) {
    await assert.rejects(verifyLog({ ...log.source, ...broken }, keys), away);
  }
});

test('a checkpoint by another key, or without the hub’s word, is not the log’s or not receipted', async () => {
  const log = memoryLog(GOOD.slice(0, 10));
  const other = createNoteSigner(signer.name, newKey());
  await assert.rejects(verifyLog(log.source, { log: parseVkey(other.vkey) }), { code: 'untrusted' });
  const edge = edgeOf(log.rows);
  log.checkpoint = signCheckpoint({ origin: signer.name, size: 10, root: edge.root() }, signer);
  const report = await verifyLog(log.source, keys);
  assert.deepEqual([report.fault, report.receipts, report.receiptedSize, report.receiptTimeS], [null, 0, 0, null]);
});

test('earlier receipts must give the roots that the tree had; the first row under a wrong one is told', async () => {
  const log = memoryLog(GOOD);
  const at = (size: number, rows: readonly Buffer[] = GOOD) =>
    receiptOf(edgeOf(rows.slice(0, size)), 1_700_000_000 + size);
  const forked = GOOD.with(200, swapped(200));
  const withReceipts = (...receipts: Buffer[]): LogSource => receipted(log, receipts);
  const good = await verifyLog(withReceipts(at(0), at(100), at(256), at(256), at(999), at(1000)), keys);
  assert.deepEqual([good.fault, good.receipts, good.receiptedSize], [null, 7, 1000]);

  const fork = await verifyLog(withReceipts(at(100), at(300, forked), at(999)), keys);
  assert.deepEqual(fork.fault, {
    index: 299,
    what: 'up to this row the log is not the one that the hub has receipted',
  });
  assert.equal(fork.receipts, 3);

  const lost = await verifyLog(receipted(memoryLog(GOOD.slice(0, 500)), [at(900)]), keys);
  assert.deepEqual(lost.fault, { index: -1, what: 'the hub has receipted 900 rows, but the log ends at 500' });

  const unordered = await verifyLog(withReceipts(at(300), at(100)), keys);
  assert.deepEqual(unordered.fault, { index: -1, what: 'the receipts are not in order: 100 stands after 300' });

  const forged = await verifyLog(
    withReceipts(signCheckpoint({ origin: signer.name, size: 3, root: edgeOf(GOOD.slice(0, 3)).root() }, signer)),
    keys,
  );
  assert.match(forged.fault?.what ?? '', /^a receipt is refused: /);
});

/** A log of request rows and counter rows: a number is that many request rows. */
function countedLog(...parts: readonly (number | Counted)[]): MemoryLog {
  const rows: Buffer[] = [];
  for (const part of parts) {
    if (typeof part === 'number') for (let i = 0; i < part; i += 1) rows.push(rowAt(rows.length, servedDraft()));
    else rows.push(rowAt(rows.length, counterDraft(part)));
  }
  return memoryLog(rows);
}

for (const [what, parts, uncounted, faults] of [
  [
    'as many rows as counted',
    [
      5,
      { minutes: [0, 1], rows: 5, total: 5 },
      3,
      { minutes: [1, 2], rows: 3, total: 8 },
      { minutes: [2, 3], rows: 0, total: 8 },
    ],
    5,
    [],
  ],
  [
    'a row fewer than counted',
    [5, { minutes: [0, 1], rows: 5, total: 5 }, 2, { minutes: [1, 2], rows: 3, total: 8 }],
    5,
    [[8, '3 rows of requests were counted since the last counters, the log has 2']],
  ],
  [
    'a row more than counted',
    [{ minutes: [0, 1], rows: 0, total: 0 }, 2, { minutes: [1, 2], rows: 1, total: 1 }],
    0,
    [[3, '1 rows of requests were counted since the last counters, the log has 2']],
  ],
  [
    'a counter row that the disk refused, while every row is there',
    [{ minutes: [0, 1], rows: 0, total: 0 }, 4, { minutes: [2, 3], rows: 2, total: 4 }],
    0,
    [],
  ],
  [
    'rows that went with a counter row',
    [{ minutes: [0, 1], rows: 0, total: 0 }, 2, { minutes: [2, 3], rows: 2, total: 4 }],
    0,
    [[3, '4 rows of requests were counted since the last counters, the log has 2']],
  ],
  [
    'a row that the disk refused after it was counted',
    [{ minutes: [0, 1], rows: 3, total: 3 }, 0, { minutes: [2, 3], rows: -1, total: 3, facts: { requests: 1 } }],
    0,
    [],
  ],
  [
    'totals that fall',
    [{ minutes: [0, 1], rows: 0, total: 5 }, 0, { minutes: [1, 2], rows: 0, total: 4 }],
    0,
    [
      [1, '-1 rows of requests were counted since the last counters, the log has 0'],
      [1, 'total_requests has fallen from 5 to 4'],
      [1, 'total_rows has fallen from 5 to 4'],
    ],
  ],
  [
    'totals that do not add up',
    [{ minutes: [0, 1], rows: 0, total: 0 }, 2, { minutes: [1, 2], rows: 2, total: 9 }],
    0,
    [
      [3, '9 rows of requests were counted since the last counters, the log has 2'],
      [3, 'total_requests is 9, but the counters add up to 2'],
      [3, 'total_rows is 9, but the counters add up to 2'],
    ],
  ],
  [
    'a worker that was killed and started again',
    [
      2,
      { minutes: [0, 1], rows: 2, total: 2 },
      7,
      { minutes: [5, 6], rows: 4, total: 4 },
      1,
      { minutes: [6, 7], rows: 1, total: 5 },
      6,
    ],
    2 + 3 + 6,
    [],
  ],
  [
    'fewer rows after a start than counted',
    [2, { minutes: [0, 1], rows: 2, total: 2 }, 3, { minutes: [5, 6], rows: 4, total: 4 }],
    2,
    [[6, '4 rows of requests were counted since the last counters, the log has 3']],
  ],
  [
    'counters that are none',
    [1, { minutes: [0, 1], rows: 1, total: 1, facts: { rows: 1.5 } }, 2, { minutes: [1, 2], rows: 2, total: 3 }],
    3,
    [[1, 'the counters cannot be read']],
  ],
] as const satisfies readonly (readonly [
  string,
  readonly (number | Counted)[],
  number,
  readonly (readonly [number, string])[],
])[]) {
  test(`coverage: ${what}`, async () => {
    const report = await verifyLog(countedLog(...parts).source, keys);
    assert.equal(report.fault, null);
    assert.deepEqual(
      report.coverage.faults.map(({ index, what: sentence }) => [index, sentence]),
      faults,
    );
    assert.equal(report.coverage.faultCount, faults.length);
    assert.equal(report.coverage.uncounted, uncounted);
  });
}

test('the reading keeps no rows: memory stays as it is over many', { timeout: 120_000 }, async () => {
  const size = 60_000;
  const rows = Array.from({ length: 256 }, (_, at) => GOOD[at % GOOD.length] as Buffer);
  // Rows are made again on each reading, so that whatever is kept would be kept twice.
  const bundle = (index: number, width: number) =>
    rows
      .slice(0, width)
      .map((row, at) =>
        Buffer.from(row.toString('latin1').replace(/"index":\d+/, `"index":${index * 256 + at}`), 'latin1'),
      );
  const edge = new TreeEdge();
  for (let index = 0; index * 256 < size; index += 1) {
    for (const row of bundle(index, Math.min(256, size - index * 256))) edge.append(leafHash(row));
  }
  let most = 0;
  const report = await verifyLog(
    {
      checkpoint: async () => receiptOf(edge, 1),
      tile: async () => undefined,
      entries: async (index, width) => bundle(index, width),
    },
    keys,
    () => {
      most = Math.max(most, process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers);
    },
  );
  assert.deepEqual([report.rows, report.fault], [size, null]);
  assert.ok(most < 256 << 20, `${most} bytes in use`);
});
