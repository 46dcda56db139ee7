// Writes rows to files in one of the formats, in constant memory, and can be interrupted at any moment: run again with
// `resume` it goes on where its cursor file says, as if nothing had happened.

import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type LedgerRow, ledgerRow } from '../ledger-row.ts';
import { decodeExportCursor, encodeExportCursor, type ExportCursor } from './export-cursor.ts';
import { type ExportFormat, LINE_ENCODERS, type LineFormat } from './formats.ts';
import type { ExportFile, ExportFolder } from './output.ts';
import { createParquetFile, PARQUET_LIMITS } from './parquet.ts';
import type { ExportQuery } from './query.ts';

export const EXPORT_LIMITS = {
  /** Bytes after which the output is made durable and the cursor moves: what an interruption can cost. */
  checkpointBytes: 8 << 20,
  /** Bytes gathered before they are written. */
  chunkBytes: 1 << 20,
} as const;

export interface ExportOutput {
  readonly folder: ExportFolder;
  /** File name. Parquet makes it a stem: `rows.parquet` becomes `rows-00000.parquet` and so on. */
  readonly name: string;
}

export interface ExportRequest {
  readonly query: ExportQuery;
  readonly format: ExportFormat;
  readonly out: ExportOutput;
  /** Go on with an interrupted export of the same query, format and name; begin when there is none. */
  readonly resume: boolean;
  readonly signal: AbortSignal;
  /** Smaller files and more frequent checkpoints, for tests. */
  readonly limits?: Partial<Record<keyof typeof EXPORT_LIMITS | keyof typeof PARQUET_LIMITS, number>>;
}

/** Totals of the whole export, what was there before a resumption included. */
export interface ExportProgress {
  readonly rows: number;
  readonly bytes: number;
  /** Names of the files written to, whole or growing; for Parquet the newest. */
  readonly file: string;
  readonly done: boolean;
}

/** Name of the cursor file beside an export. */
export function cursorNameOf(name: string): string {
  return `${name}.cursor`;
}

/**
 * Yields after every checkpoint, and last with `done`. Throws `conflict` when the output exists already and `resume` is not
 * set, or when the cursor there belongs to another export; `corrupt` when the output is shorter than its cursor says.
 */
export async function* exportRows(request: ExportRequest): AsyncGenerator<ExportProgress> {
  const { format, out } = request;
  const cursor = await openCursor(request);
  if (!cursor.done) yield* format === 'parquet' ? writeParquet(request, cursor) : writeLines(request, format, cursor);
  else yield progressOf(cursor, request);
  await out.folder.remove(cursorNameOf(out.name));
}

/** Rows as text in a format of lines, for a pipe: no cursor, nothing kept. */
export async function* exportLines(
  query: ExportQuery,
  format: LineFormat,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const { head, line } = LINE_ENCODERS[format];
  if (head !== '') yield head;
  for await (const { rows } of query.pages('', signal)) {
    if (rows.length > 0) yield rows.map((row) => line(ledgerRow(row))).join('');
  }
}

async function openCursor({ out, format, query, resume }: ExportRequest): Promise<ExportCursor> {
  const { folder, name } = out;
  const text = resume ? await folder.read(cursorNameOf(name)) : undefined;
  if (text !== undefined) {
    const cursor = decodeExportCursor(text);
    if (cursor.format !== format || cursor.query !== query.identity) {
      throw new WeirError('conflict', 'the interrupted export there is another one', {
        next: 'ask for the same format and filter, or choose another file',
      });
    }
    return cursor;
  }
  const first = format === 'parquet' ? partName(name, 0) : name;
  for (const file of [first, cursorNameOf(name)]) {
    if ((await folder.size(file)) !== undefined) {
      throw new WeirError('conflict', `${file} exists already`, {
        next: resume ? 'it is whole, or no export of ours; choose another file' : 'choose another file, or resume',
      });
    }
  }
  const cursor: ExportCursor = {
    schema: 'weir.export-cursor/v1',
    format,
    query: query.identity,
    position: '',
    rows: 0,
    bytes: 0,
    files: 0,
    done: false,
  };
  await folder.replace(cursorNameOf(name), encodeExportCursor(cursor));
  return cursor;
}

async function* writeLines(
  request: ExportRequest,
  format: LineFormat,
  from: ExportCursor,
): AsyncGenerator<ExportProgress> {
  const { query, out, signal } = request;
  const { checkpointBytes, chunkBytes } = { ...EXPORT_LIMITS, ...request.limits };
  const { head, line } = LINE_ENCODERS[format];
  await checkLength(out.folder, out.name, from.bytes);
  const file = await out.folder.open(out.name, from.bytes);
  let cursor = from;
  let bytes = from.bytes;
  let rows = from.rows;
  let durable = from.bytes;
  let pending: string[] = [];
  let pendingChars = 0;
  const write = async (): Promise<void> => {
    if (pendingChars === 0) return;
    const chunk = Buffer.from(pending.join(''), 'utf8');
    pending = [];
    pendingChars = 0;
    await file.append(chunk);
    bytes += chunk.length;
  };
  const add = (text: string): void => {
    pending.push(text);
    pendingChars += text.length;
  };
  try {
    if (bytes === 0 && head !== '') add(head);
    for await (const page of query.pages(cursor.position, signal)) {
      for (const stored of page.rows) {
        add(line(ledgerRow(stored)));
        if (pendingChars >= chunkBytes) await write();
      }
      rows += page.rows.length;
      const done = page.nextCursor === '';
      if (!done && bytes + pendingChars - durable < checkpointBytes) continue;
      await write();
      await file.sync();
      cursor = { ...cursor, position: page.nextCursor, rows, bytes, done };
      await out.folder.replace(cursorNameOf(out.name), encodeExportCursor(cursor));
      durable = bytes;
      yield progressOf(cursor, request);
    }
  } finally {
    await file.close();
  }
}

async function* writeParquet(request: ExportRequest, from: ExportCursor): AsyncGenerator<ExportProgress> {
  const { query, out, signal } = request;
  const { rowsPerGroup, rowsPerFile } = { ...PARQUET_LIMITS, ...request.limits };
  let cursor = from;
  let part = await openPart(out, cursor.files);
  let pending: LedgerRow[] = [];
  const writeGroup = async (): Promise<void> => {
    if (pending.length === 0) return;
    await part.append(pending);
    pending = [];
  };
  try {
    for await (const page of query.pages(cursor.position, signal)) {
      for (const stored of page.rows) {
        pending.push(ledgerRow(stored));
        if (pending.length >= rowsPerGroup) await writeGroup();
      }
      const done = page.nextCursor === '';
      if (!done && part.rows() + pending.length < rowsPerFile) continue;
      await writeGroup();
      cursor = { ...cursor, position: page.nextCursor, done };
      // An export without rows still has one file, so that whoever reads it finds the columns.
      if (part.rows() > 0 || cursor.files === 0) {
        const bytes = cursor.bytes + (await part.finish());
        cursor = { ...cursor, rows: cursor.rows + part.rows(), bytes, files: cursor.files + 1 };
      }
      await out.folder.replace(cursorNameOf(out.name), encodeExportCursor(cursor));
      yield progressOf(cursor, request);
      if (!done) part = await openPart(out, cursor.files);
    }
  } finally {
    await part.close();
  }
}

interface Part {
  append(entries: readonly LedgerRow[]): Promise<void>;
  rows(): number;
  /** Makes the file whole and gives it its name; its size in bytes. */
  finish(): Promise<number>;
  /** Harmless after `finish`; before it, nothing of the part is left. */
  close(): Promise<void>;
}

/** A file without its footer is no Parquet file: until it is whole it has another name. */
async function openPart({ folder, name }: ExportOutput, index: number): Promise<Part> {
  const whole = partName(name, index);
  const growing = `${whole}.partial`;
  const file: ExportFile = await folder.open(growing, 0);
  const parquet = createParquetFile();
  let rows = 0;
  let bytes = 0;
  let open = true;
  const put = async (chunk: Buffer): Promise<void> => {
    await file.append(chunk);
    bytes += chunk.length;
  };
  return {
    rows: () => rows,
    async append(entries) {
      await put(parquet.group(entries));
      rows += entries.length;
    },
    async finish() {
      await put(parquet.end());
      await file.sync();
      await file.close();
      open = false;
      await folder.rename(growing, whole);
      return bytes;
    },
    async close() {
      if (!open) return;
      open = false;
      await file.close();
      await folder.remove(growing);
    },
  };
}

/** `rows.parquet` and 3 → `rows-00003.parquet`. */
export function partName(name: string, index: number): string {
  return `${name.replace(/\.parquet$/, '')}-${String(index).padStart(5, '0')}.parquet`;
}

async function checkLength(folder: ExportFolder, name: string, bytes: number): Promise<void> {
  if (bytes === 0) return;
  const size = (await folder.size(name)) ?? 0;
  if (size >= bytes) return;
  throw new WeirError('corrupt', `the output has ${size} bytes where its cursor says ${bytes}`, {
    next: 'remove the output and its cursor file, and export again',
  });
}

function progressOf({ rows, bytes, files, done }: ExportCursor, { format, out }: ExportRequest): ExportProgress {
  return { rows, bytes, file: format === 'parquet' ? partName(out.name, Math.max(0, files - 1)) : out.name, done };
}
