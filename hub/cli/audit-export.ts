// `weir audit export`: rows out of the ledger into files, in the record's own form or as other systems read them. An export
// that was interrupted goes on with --resume.

import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { type Command, Option } from 'commander';
import { AuditLogService } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { AuditQueryService } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { ExportFormat, LineFormat } from '../audit/export/formats.ts';
import type { ExportQuery } from '../audit/export/query.ts';
import { connect, withConnection } from './connection.ts';
import { printJson, printLine, printNote, settle, writeOut } from './output.ts';
import { count, createProgress } from './progress.ts';
import type { LogClient } from './remote-log.ts';
import { filterOf, type RowFilterOptions, withRowFilter } from './row-filter.ts';

const FORMATS = ['native', 'jsonl', 'csv', 'ocsf', 'ecs', 'cef', 'parquet'] as const;
const PAGE_LOGS = 1000;
/** Filters that choose whole logs; a log with rows left out could not be verified. */
const LOG_FILTERS: ReadonlySet<string> = new Set(['unit', 'spoke', 'log']);

interface Options extends RowFilterOptions {
  readonly format: (typeof FORMATS)[number];
  readonly out: string;
  readonly resume?: boolean;
}

export function registerAuditExport(audit: Command): void {
  withConnection(withRowFilter(audit.command('export').description('rows into files; can be interrupted and resumed')))
    .addOption(new Option('--format <format>', 'what the files are').choices(FORMATS).makeOptionMandatory())
    .requiredOption('--out <path>', "file ('-' for standard output); for native a folder")
    .option('--resume', 'go on with an interrupted export of the same question')
    .addHelpText(
      'after',
      `
native   a folder of tlog-tiles for each log, with its keys: \`weir audit verify FOLDER\`, and any tlog-tiles verifier, reads it
jsonl    the rows themselves, one a line         csv, parquet   tables; parquet makes PATH-00000.parquet and so on
ocsf, ecs, cef   projections for a SIEM: readings of the row, never the record
To resume, give the same filters; a time given as an age (2h) is another time in the next run.`,
    )
    .action((options: Options) => settle(options.json === true, () => exportRows(options)));
}

async function exportRows(options: Options): Promise<void> {
  const stop = new AbortController();
  const interrupt = (): void =>
    stop.abort(new WeirError('cancelled', 'interrupted', { next: 'go on later with the same command and --resume' }));
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  if (options.format === 'native') return native(options, stop.signal);
  if (options.out === '-') return toStandardOutput(options, options.format, stop.signal);
  return toFiles(options, options.format, stop.signal);
}

async function toFiles(options: Options, format: ExportFormat, signal: AbortSignal): Promise<void> {
  // Loaded here alone: writers of tables are large.
  const [{ exportRows: write }, { openExportFolder }] = await Promise.all([
    import('../audit/export/export-rows.ts'),
    import('../io/export-folder.ts'),
  ]);
  const query = await queryOf(options);
  const total = await totalOf(options);
  const folder = await openExportFolder(dirname(resolve(options.out)));
  const progress = createProgress(`exporting ${format}`);
  let last = { rows: 0, bytes: 0, file: '' };
  try {
    const request = {
      query,
      format,
      out: { folder, name: basename(options.out) },
      resume: options.resume ?? false,
      signal,
    };
    for await (const step of write(request)) {
      last = step;
      progress.at(step.rows, total);
    }
  } finally {
    progress.clear();
  }
  if (options.json === true) printJson({ format, rows: last.rows, bytes: last.bytes, file: last.file });
  else printLine(`${count(last.rows)} rows, ${count(last.bytes)} bytes, ${last.file}`);
}

async function toStandardOutput(options: Options, format: ExportFormat, signal: AbortSignal): Promise<void> {
  if (format === 'parquet') throw new WeirError('invalid_argument', 'parquet is written to files: name one with --out');
  if (options.resume === true)
    throw new WeirError('invalid_argument', 'what went to standard output cannot be resumed');
  const { exportLines } = await import('../audit/export/export-rows.ts');
  const lines: LineFormat = format;
  for await (const text of exportLines(await queryOf(options), lines, signal)) {
    await writeOut(text);
    if (process.stdout.destroyed) return;
  }
}

async function queryOf(options: Options): Promise<ExportQuery> {
  const { filteredRows } = await import('../audit/export/query.ts');
  const client = (await connect(options))(AuditQueryService);
  const filter = filterOf(options);
  // Equal questions are equal texts, whatever their times were typed as.
  const identity = Object.fromEntries(
    Object.entries(filter)
      .filter(([, value]) => value !== '' && value !== 0 && value !== 0n)
      .map(([name, value]) => [name, String(value)]),
  );
  return filteredRows(identity, async ({ size, cursor, signal }) => {
    const page = await client.query({ filter, page: { size, cursor }, oldestFirst: true }, { signal });
    return {
      rows: page.rows.map(({ row, storedAtMs }) => ({ bytes: row, storedAtMs: Number(storedAtMs) })),
      nextCursor: page.nextCursor,
    };
  });
}

/** Rows of all logs when nothing is left out, 0 (nobody knows) otherwise. */
async function totalOf(options: Options): Promise<number> {
  if (filtersOf(options).some((name) => !LOG_FILTERS.has(name))) return 0;
  const client = (await connect(options))(AuditLogService);
  let total = 0;
  for await (const { size } of chosenLogs(client, options)) total += size;
  return total;
}

async function native(options: Options, signal: AbortSignal): Promise<void> {
  const rowFilters = filtersOf(options).filter((name) => !LOG_FILTERS.has(name));
  if (rowFilters.length > 0) {
    throw new WeirError(
      'invalid_argument',
      `a native export is of whole logs: --${rowFilters.join(', --')} would leave rows out`,
      {
        next: 'choose logs with --unit, --spoke or --log, or another format',
      },
    );
  }
  if (options.out === '-') throw new WeirError('invalid_argument', 'a native export is a folder: name one with --out');
  if (options.resume !== true && existsSync(options.out) && readdirSync(options.out).length > 0) {
    throw new WeirError('conflict', `${options.out} is not empty`, {
      next: 'choose another folder, or bring what is there up to date with --resume',
    });
  }
  const { exportLog } = await import('./native-export.ts');
  const client = (await connect(options))(AuditLogService);
  const chosen: { readonly log: string; readonly size: number }[] = [];
  let keyless = 0;
  for await (const each of chosenLogs(client, options)) {
    if (each.size > 0 && each.receipted === 0) keyless += 1;
    else if (each.size > 0) chosen.push(each);
  }
  const total = chosen.reduce((sum, { size }) => sum + size, 0);
  const progress = createProgress('exporting');
  let rows = 0;
  let hashesOnly = 0;
  try {
    for (const { log } of chosen) {
      let last = { rows: 0, hashesOnly: 0 };
      for await (const step of exportLog(client, options.out, log, signal)) {
        last = step;
        progress.at(rows + step.rows, Math.max(total, rows + step.rows), log);
      }
      rows += last.rows;
      hashesOnly += last.hashesOnly;
    }
  } finally {
    progress.clear();
  }
  if (options.json === true) {
    printJson({
      format: 'native',
      logs: chosen.length,
      rows,
      hashes_only: hashesOnly,
      without_key: keyless,
      folder: options.out,
    });
    return;
  }
  printLine(
    `${count(chosen.length)} log${chosen.length === 1 ? '' : 's'}, ${count(rows)} rows in ${options.out}; check them: weir audit verify ${options.out}`,
  );
  if (hashesOnly > 0)
    printNote(`of ${count(hashesOnly)} rows only hashes are at the hub: their bytes are in the write-once copy`);
  if (keyless > 0) printNote(`${count(keyless)} logs from before logs had keys are left out: nothing vouches for them`);
}

async function* chosenLogs(
  client: LogClient,
  { unit = '', spoke = '', log }: Options,
): AsyncGenerator<{ readonly log: string; readonly size: number; readonly receipted: number }> {
  if (log !== undefined) {
    const { log: found } = await client.getLog({ log });
    if (found !== undefined) yield { log, size: Number(found.size), receipted: Number(found.receipted) };
    return;
  }
  for (let cursor = ''; ; ) {
    const page = await client.listLogs({ unit, spoke, page: { size: PAGE_LOGS, cursor } });
    for (const { log: name, size, receipted } of page.logs) {
      yield { log: name, size: Number(size), receipted: Number(receipted) };
    }
    if (page.nextCursor === '') return;
    cursor = page.nextCursor;
  }
}

/** Names of the filters that were given. */
function filtersOf(options: Options): readonly string[] {
  const { unit, spoke, actor, purl, level, rule, code, log, action, outcome, from, until } = options;
  return Object.entries({ unit, spoke, actor, purl, level, rule, code, log, action, outcome, from, until })
    .filter(([, value]) => value !== undefined)
    .map(([name]) => name);
}
