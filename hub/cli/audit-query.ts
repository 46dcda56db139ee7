// `weir audit query`: recorded decisions, newest first unless asked otherwise. Pages are printed as they come, so that a
// result of any length takes the same memory.

import type { Command } from 'commander';
import { AuditQueryService, type QueryResponse } from '@weir/proto/weir/console/v1/console_pb.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { connect, readCount, withConnection } from './connection.ts';
import { printLine, printNote, settle, writeOut } from './output.ts';
import { filterOf, type RowFilterOptions, withRowFilter } from './row-filter.ts';
import { CSV_HEAD, rowCsv, rowJson, rowLine } from './row-line.ts';

const PAGE_ROWS = 1000;
const LIMIT_DEFAULT = 100;

interface Options extends RowFilterOptions {
  readonly limit?: number;
  readonly all?: boolean;
  readonly cursor: string;
  readonly oldestFirst?: boolean;
  readonly csv?: boolean;
}

export function registerAuditQuery(audit: Command): void {
  withConnection(withRowFilter(audit.command('query').description('recorded decisions, newest first')))
    .option('--limit <n>', `at most this many rows (default: ${LIMIT_DEFAULT})`, readCount)
    .option('--all', 'every row that matches')
    .option('--cursor <cursor>', 'go on from where an earlier answer ended', '')
    .option('--oldest-first', 'oldest first')
    .option('--csv', 'CSV, with a header')
    .addHelpText(
      'after',
      `
With --json each row is one line (NDJSON): {log, index, stored_at_ms, flags, leaf, row}.
When --limit leaves rows out, the cursor to go on with is printed to standard error.
Exit status: 0 also when no row matches.`,
    )
    .action((options: Options) => settle(options.json === true, () => query(options)));
}

async function query(options: Options): Promise<void> {
  if (options.csv === true && options.json === true)
    throw new WeirError('invalid_argument', 'choose one of --csv and --json');
  if (options.all === true && options.limit !== undefined)
    throw new WeirError('invalid_argument', 'choose one of --all and --limit');
  const limit = options.all === true ? Number.POSITIVE_INFINITY : (options.limit ?? LIMIT_DEFAULT);
  const client = (await connect(options))(AuditQueryService);
  const filter = filterOf(options);
  const ask = (cursor: string, size: number): Promise<QueryResponse> =>
    client.query({ filter, page: { size, cursor }, oldestFirst: options.oldestFirst ?? false });
  const encode =
    options.json === true
      ? (row: Parameters<typeof rowJson>[0]) => `${JSON.stringify(rowJson(row))}\n`
      : options.csv === true
        ? rowCsv
        : (row: Parameters<typeof rowLine>[0]) => `${rowLine(row)}\n`;

  if (options.csv === true) await writeOut(CSV_HEAD);
  let told = 0;
  let movedUntilMs: number | undefined;
  let { cursor } = options;
  let coming = limit > 0 ? ask(cursor, Math.min(PAGE_ROWS, limit)) : undefined;
  while (coming !== undefined) {
    const page = await coming;
    if (movedUntilMs === undefined) {
      movedUntilMs = Number(page.onlyInCopiesUntilMs);
      if (movedUntilMs > 0) printNote(movedNote(movedUntilMs, options.json === true));
    }
    told += page.rows.length;
    cursor = page.nextCursor;
    // The next page is on its way while this one is printed.
    coming = cursor === '' || told >= limit ? undefined : ask(cursor, Math.min(PAGE_ROWS, limit - told));
    coming?.catch(() => undefined);
    await writeOut(page.rows.map(encode).join(''));
    if (process.stdout.destroyed) return;
  }
  if (cursor !== '') {
    if (options.json === true) printNote(JSON.stringify({ next_cursor: cursor }));
    else printNote(`… there are more; go on with --cursor ${cursor}, or ask for --all`);
  } else if (told === 0 && options.json !== true && options.csv !== true) printLine('no row matches');
}

function movedNote(untilMs: number, json: boolean): string {
  const until = new Date(untilMs).toISOString();
  return json
    ? JSON.stringify({ only_in_copies_until: until })
    : `… rows from before ${until} may be only in the write-once copy: see \`weir audit copy\` and \`weir audit restore\``;
}
