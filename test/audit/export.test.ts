// Rows as files: each format reads back as the rows, by DuckDB where it is Parquet; and an export that is cut off at any
// moment, at any byte, goes on to exactly the file that it would have become.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import * as fc from 'fast-check';
import { csvCell } from '@weir/hub/audit/export/csv.ts';
import { exportLines, type ExportProgress, exportRows, partName } from '@weir/hub/audit/export/export-rows.ts';
import { EXPORT_FORMATS, type ExportFormat, LINE_ENCODERS, LINE_FORMATS } from '@weir/hub/audit/export/formats.ts';
import type { ExportFolder } from '@weir/hub/audit/export/output.ts';
import { type ExportedRow, type ExportQuery, filteredRows } from '@weir/hub/audit/export/query.ts';
import { ledgerRow } from '@weir/hub/audit/ledger-row.ts';
import { openExportFolder } from '@weir/hub/io/export-folder.ts';
import { encodeRow } from '@weir/shared/audit/row-codec.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { anyLedgerRow } from './any-row.ts';
import { refusedDraft, servedDraft } from './sample-rows.ts';

let folder = '';
let files = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-export-'));
});
after(() => rm(folder, { recursive: true, force: true }));

/** A new folder for one export. */
async function newFolder(): Promise<string> {
  files += 1;
  const made = join(folder, String(files));
  await openExportFolder(made);
  return made;
}

function sampleRows(count: number): readonly ExportedRow[] {
  return Array.from({ length: count }, (_, index) => {
    const draft = index % 3 === 0 ? refusedDraft() : servedDraft();
    const purl = `pkg:npm/p${index % 7}@1.0.0`;
    const row: AuditRow = {
      ...draft,
      v: 1,
      log: 'payments.edge.w0.1',
      index,
      unit: 'payments',
      spoke: 'edge',
      site: 'oslo, "harbour"',
      subject: { purl, digest: '' },
      hidden: index % 5 === 0 ? ['1.0.0', '2.0.0-ü'] : [],
      hidden_count: index % 5 === 0 ? 2 : 0,
    };
    return { bytes: encodeRow(row), storedAtMs: 1_800_000_000_000 + index };
  });
}

/** Pages over rows that are there already; the cursor is the index of the next one. */
function queryOver(rows: readonly ExportedRow[], pageRows: number, onPage: () => void = () => undefined): ExportQuery {
  return filteredRows({ unit: 'payments' }, async ({ cursor }) => {
    onPage();
    const from = cursor === '' ? 0 : Number(cursor);
    const until = from + pageRows;
    return { rows: rows.slice(from, until), nextCursor: until < rows.length ? String(until) : '' };
  });
}

const SMALL = { checkpointBytes: 2_000, chunkBytes: 700, rowsPerGroup: 16, rowsPerFile: 64 };
const never = new AbortController().signal;

async function run(
  into: string,
  format: ExportFormat,
  query: ExportQuery,
  options: { readonly resume?: boolean; readonly folder?: ExportFolder } = {},
): Promise<readonly ExportProgress[]> {
  const out = { folder: options.folder ?? (await openExportFolder(into)), name: nameOf(format) };
  const steps: ExportProgress[] = [];
  const resume = options.resume ?? false;
  for await (const step of exportRows({ query, format, out, resume, signal: never, limits: SMALL })) steps.push(step);
  return steps;
}

function nameOf(format: ExportFormat): string {
  return format === 'parquet' ? 'rows.parquet' : `rows.${format}`;
}

/** Every file of a folder with its bytes. */
async function contents(of: string): Promise<ReadonlyMap<string, Buffer>> {
  const names = (await readdir(of)).toSorted();
  return new Map(await Promise.all(names.map(async (name) => [name, await readFile(join(of, name))] as const)));
}

function expectedText(format: (typeof LINE_FORMATS)[number], rows: readonly ExportedRow[]): string {
  const { head, line } = LINE_ENCODERS[format];
  return head + rows.map((row) => line(ledgerRow(row))).join('');
}

for (const format of LINE_FORMATS) {
  test(`${format}: the file is the rows in order, and nothing is left beside it`, async () => {
    const rows = sampleRows(50);
    const into = await newFolder();
    const steps = await run(into, format, queryOver(rows, 7));
    const found = await contents(into);
    assert.deepEqual([...found.keys()], [nameOf(format)]);
    const text = found.get(nameOf(format))?.toString('utf8') ?? '';
    assert.equal(text, expectedText(format, rows));
    assert.deepEqual(steps.at(-1), { rows: 50, bytes: Buffer.byteLength(text), file: nameOf(format), done: true });
    assert.ok(steps.length > 3, 'progress is told on the way');
    const piped: string[] = [];
    for await (const chunk of exportLines(queryOver(rows, 7), format, never)) piped.push(chunk);
    assert.equal(piped.join(''), text, 'a pipe gets the same');
  });
}

test('native lines are the records, byte for byte', () => {
  fc.assert(
    fc.property(anyLedgerRow, (entry) => {
      assert.deepEqual(Buffer.from(LINE_ENCODERS.jsonl.line(entry).slice(0, -1), 'utf8'), Buffer.from(entry.bytes));
    }),
  );
});

test('every format of lines has one line for every row that the schema admits', () => {
  fc.assert(
    fc.property(anyLedgerRow, fc.constantFrom('jsonl', 'ocsf', 'ecs', 'cef'), (entry, format) => {
      const line = LINE_ENCODERS[format].line(entry);
      assert.ok(line.endsWith('\n') && !line.slice(0, -1).includes('\n'));
    }),
  );
});

/** Reads CSV as RFC 4180 says. */
function readCsv(text: string): readonly (readonly string[])[] {
  const records: string[][] = [];
  let record: string[] = [];
  let cell = '';
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? '';
    if (quoted) {
      if (char !== '"') cell += char;
      else if (text[at + 1] === '"') {
        cell += '"';
        at += 1;
      } else quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === ',') {
      record.push(cell);
      cell = '';
    } else if (char === '\r' && text[at + 1] === '\n') {
      record.push(cell);
      records.push(record);
      [record, cell] = [[], ''];
      at += 1;
    } else cell += char;
  }
  return records;
}

/** Undoes the one thing that is done to cells. */
function armed(cell: string): string {
  return /^'[=+\-@\t\r]/.test(cell) ? cell.slice(1) : cell;
}

test('CSV reads back as the row, and no cell is a formula', () => {
  const [names] = readCsv(LINE_ENCODERS.csv.head);
  fc.assert(
    fc.property(anyLedgerRow, (entry) => {
      const [cells, more] = readCsv(LINE_ENCODERS.csv.line(entry));
      assert.equal(more, undefined);
      assert.equal(cells?.length, names?.length);
      for (const cell of cells ?? []) assert.ok(!/^[=+\-@\t\r]/.test(cell), cell);
      const read = new Map((names ?? []).map((name, i) => [name, armed(cells?.[i] ?? '')]));
      const { row } = entry;
      assert.equal(read.get('target'), row.request.target);
      assert.equal(read.get('purl'), row.subject.purl);
      assert.equal(read.get('site'), row.site);
      assert.equal(read.get('index'), String(row.index));
      assert.equal(read.get('leaf'), entry.leaf.toString('hex'));
    }),
  );
});

const CELLS: readonly (readonly [string | number | boolean, string])[] = [
  ['plain', 'plain'],
  ['', ''],
  [7, '7'],
  [true, 'true'],
  ['a,b', '"a,b"'],
  ['say "hi"', '"say ""hi"""'],
  ['two\nlines', '"two\nlines"'],
  ['=cmd|calc', "'=cmd|calc"],
  ['+1', "'+1"],
  ['-1', "'-1"],
  ['@scope/a', "'@scope/a"],
  ['=a,"b"', `"'=a,""b"""`],
  ['\t=1', "'\t=1"],
  ["'quoted", "'quoted"],
  ['a=b', 'a=b'],
];

for (const [value, cell] of CELLS) {
  test(`the CSV cell of ${JSON.stringify(value)}`, () => assert.equal(csvCell(value), cell));
}

// Parquet, read by DuckDB.

async function duck(sql: string): Promise<readonly Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  try {
    return (await connection.runAndReadAll(sql)).getRowObjectsJson();
  } finally {
    connection.closeSync();
    instance.closeSync();
  }
}

test('parquet: DuckDB finds every row in whole files of a bounded size, with types, lists and the exact bytes', async () => {
  const rows = sampleRows(200);
  const into = await newFolder();
  const steps = await run(into, 'parquet', queryOver(rows, 10));
  const names = [...(await contents(into)).keys()];
  assert.deepEqual(
    names,
    [0, 1, 2].map((part) => partName('rows.parquet', part)),
  );
  assert.equal(steps.at(-1)?.rows, 200);
  assert.equal(steps.at(-1)?.done, true);
  const all = `read_parquet('${into}/*.parquet')`;

  assert.deepEqual(await duck(`SELECT count(*) AS n, count(DISTINCT index) AS places FROM ${all}`), [
    { n: '200', places: '200' },
  ]);
  const described = await duck(`DESCRIBE SELECT * FROM ${all}`);
  const types = Object.fromEntries(described.map((row) => [row['column_name'], row['column_type']]));
  assert.deepEqual(
    ['log', 'index', 'leaf', 'time', 'enforced', 'status', 'rule_ids', 'hidden', 'row'].map((name) => types[name]),
    ['VARCHAR', 'BIGINT', 'BLOB', 'TIMESTAMP WITH TIME ZONE', 'BOOLEAN', 'INTEGER', 'VARCHAR[]', 'VARCHAR[]', 'BLOB'],
  );
  // DuckDB hashes for itself: what is stored as the leaf is the leaf of the bytes beside it.
  assert.deepEqual(
    await duck(`SELECT count(*) AS n FROM ${all} WHERE sha256('\\x00'::BLOB || row) = lower(hex(leaf))`),
    [{ n: '200' }],
  );
  assert.deepEqual(
    await duck(`SELECT level, count(*) AS n, sum(hidden_count) AS hidden FROM ${all} GROUP BY level ORDER BY level`),
    [
      { level: 'allow', n: '133', hidden: '52' },
      { level: 'deny', n: '67', hidden: '28' },
    ],
  );
  assert.deepEqual(await duck(`SELECT DISTINCT rule_ids[1] AS rule FROM ${all} WHERE level = 'deny'`), [
    { rule: 'WEIR-AGE-001' },
  ]);
  const read = await duck(
    `SELECT hex(row) AS row, hex(leaf) AS leaf, epoch_ms(time) AS time, epoch_ms(stored_at) AS stored, hidden, site
     FROM ${all} ORDER BY index`,
  );
  for (const [index, found] of read.entries()) {
    const stored = rows[index];
    assert.ok(stored !== undefined);
    const bytes = Buffer.from(String(found['row']), 'hex');
    assert.deepEqual(bytes, Buffer.from(stored.bytes));
    const row = JSON.parse(bytes.toString('utf8')) as AuditRow;
    assert.deepEqual(
      [found['leaf'], found['time'], found['stored'], found['hidden'], found['site']],
      [
        leafHash(bytes).toString('hex').toUpperCase(),
        String(Date.parse(row.time)),
        String(stored.storedAtMs),
        row.hidden,
        row.site,
      ],
    );
  }
});

test('parquet holds every row that the schema admits', async () => {
  const entries = fc.sample(anyLedgerRow, 300);
  const into = await newFolder();
  await run(into, 'parquet', queryOver(entries, 50));
  const all = `read_parquet('${into}/*.parquet', file_row_number = true, filename = true)`;
  const read = await duck(
    `SELECT hex(row) AS row, purl, target, hidden, index, duration_us, rules FROM ${all} ORDER BY filename, file_row_number`,
  );
  assert.equal(read.length, entries.length);
  for (const [at, { row, bytes }] of entries.entries()) {
    const found = read[at] ?? {};
    assert.equal(found['row'], Buffer.from(bytes).toString('hex').toUpperCase());
    assert.deepEqual(
      [found['purl'], found['target'], found['hidden'], found['index'], found['duration_us']],
      [row.subject.purl, row.request.target, row.hidden, String(row.index), String(row.duration_us)],
    );
    assert.deepEqual(JSON.parse(String(found['rules'])), row.rules);
  }
});

for (const format of EXPORT_FORMATS) {
  test(`${format}: no rows make an empty export that can be read`, async () => {
    const into = await newFolder();
    const steps = await run(into, format, queryOver([], 10));
    assert.deepEqual([steps.length, steps[0]?.rows, steps[0]?.done], [1, 0, true]);
    if (format === 'parquet') {
      assert.deepEqual(await duck(`SELECT count(*) AS n FROM read_parquet('${into}/*.parquet')`), [{ n: '0' }]);
    } else {
      assert.equal(await readFile(join(into, nameOf(format)), 'utf8'), LINE_ENCODERS[format].head);
    }
  });
}

// Interruptions.

class Cut extends Error {}

/** A folder that stops working after so many calls, as a killed process does: before the call, or after it was done. */
async function failing(path: string, calls: number, ending: 'lost' | 'unreported'): Promise<ExportFolder> {
  const real = await openExportFolder(path);
  let left = calls;
  const guarded = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    left -= 1;
    if (left < 0) throw new Cut();
    if (left > 0 || ending === 'unreported') {
      const result = await work();
      if (left === 0) throw new Cut();
      return result;
    }
    throw new Cut();
  };
  return {
    size: (name) => guarded(() => real.size(name)),
    read: (name) => guarded(() => real.read(name)),
    replace: (name, text) => guarded(() => real.replace(name, text)),
    rename: (from, to) => guarded(() => real.rename(from, to)),
    remove: (name) => guarded(() => real.remove(name)),
    async open(name, size) {
      let opened: Awaited<ReturnType<ExportFolder['open']>> | undefined;
      const file = await guarded(async () => (opened = await real.open(name, size))).catch(async (thrown: unknown) => {
        await opened?.close();
        throw thrown;
      });
      return {
        // Half of the bytes may be there.
        append: (bytes) =>
          guarded(() => file.append(bytes)).catch(async (thrown: unknown) => {
            if (ending === 'lost') await file.append(bytes.subarray(0, bytes.length >> 1));
            throw thrown;
          }),
        sync: () => guarded(() => file.sync()),
        // A dead process closes its files.
        close: () => file.close(),
      };
    },
  };
}

for (const format of ['jsonl', 'csv', 'parquet'] as const) {
  for (const ending of ['lost', 'unreported'] as const) {
    test(`${format}: interrupted at any step (${ending}), the export goes on as if it had not been`, async () => {
      const rows = sampleRows(80);
      const whole = await newFolder();
      await run(whole, format, queryOver(rows, 9));
      const expected = await contents(whole);
      for (let calls = 1; ; calls += 1) {
        const into = await newFolder();
        const finished = await run(into, format, queryOver(rows, 9), {
          folder: await failing(into, calls, ending),
        }).then(
          () => true,
          (thrown: unknown) => {
            assert.ok(thrown instanceof Cut, String(thrown));
            return false;
          },
        );
        if (!finished) {
          const cursor = (await readdir(into)).includes(`${nameOf(format)}.cursor`);
          // Cut off after its very last step nothing is left to resume; before its first there is nothing yet.
          if (cursor || (await readdir(into)).length === 0) {
            await run(into, format, queryOver(rows, 9), { resume: true });
          }
        }
        const found = await contents(into);
        assert.deepEqual([...found.keys()], [...expected.keys()], `after ${calls} calls`);
        for (const [name, bytes] of expected) assert.ok(found.get(name)?.equals(bytes), `${name} after ${calls} calls`);
        if (finished) {
          assert.ok(calls > 20, 'many steps were cut');
          return;
        }
      }
    });
  }
}

test('a query that fails on the way loses nothing that is durable', async () => {
  const rows = sampleRows(100);
  const into = await newFolder();
  let pages = 0;
  const troubled = queryOver(rows, 5, () => {
    pages += 1;
    if (pages === 9) throw new Cut();
  });
  await assert.rejects(run(into, 'jsonl', troubled), Cut);
  let asked = 0;
  await run(
    into,
    'jsonl',
    queryOver(rows, 5, () => (asked += 1)),
    { resume: true },
  );
  assert.ok(asked < 20, 'it does not begin again');
  assert.equal(await readFile(join(into, 'rows.jsonl'), 'utf8'), expectedText('jsonl', rows));
});

test('an interrupted export is taken up only by the same question', async () => {
  const rows = sampleRows(60);
  const into = await newFolder();
  const out = { folder: await openExportFolder(into), name: 'rows.jsonl' };
  for await (const step of exportRows({
    query: queryOver(rows, 5),
    format: 'jsonl',
    out,
    resume: false,
    signal: never,
    limits: SMALL,
  })) {
    if (step.rows > 10) break;
  }
  const other = filteredRows({ unit: 'research' }, async () => ({ rows: [], nextCursor: '' }));
  await assert.rejects(run(into, 'jsonl', other, { resume: true }), { code: 'conflict' });
  await assert.rejects(run(into, 'jsonl', queryOver(rows, 5)), { code: 'conflict' }, 'nothing is written over');
  const cursorFile = join(into, 'rows.jsonl.cursor');
  const cursor = await readFile(cursorFile, 'utf8');
  const size = (await stat(join(into, 'rows.jsonl'))).size;
  await truncate(join(into, 'rows.jsonl'), 3);
  await assert.rejects(run(into, 'jsonl', queryOver(rows, 5), { resume: true }), { code: 'corrupt' });
  await writeFile(join(into, 'rows.jsonl'), expectedText('jsonl', rows).slice(0, size));
  await writeFile(cursorFile, '{"schema":"other"}');
  await assert.rejects(run(into, 'jsonl', queryOver(rows, 5), { resume: true }), { code: 'corrupt' });
  await writeFile(cursorFile, cursor);
  await run(into, 'jsonl', queryOver(rows, 5), { resume: true });
  assert.equal(await readFile(join(into, 'rows.jsonl'), 'utf8'), expectedText('jsonl', rows));
  await assert.rejects(run(into, 'jsonl', queryOver(rows, 5), { resume: true }), { code: 'conflict' }, 'it is whole');
});

test('only the owner can read an export', async () => {
  const into = await newFolder();
  await run(into, 'csv', queryOver(sampleRows(3), 5));
  assert.equal((await stat(join(into, 'rows.csv'))).mode & 0o777, 0o600);
});
