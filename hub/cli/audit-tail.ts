// `weir audit tail`: decisions as the hub commits them. When the hub goes away it waits and goes on where it was, per log,
// without missing a row or telling one twice.

import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { AuditQueryService, type StoredRow } from '@weir/proto/weir/console/v1/console_pb.ts';
import { type ErrorCode, WeirError } from '@weir/shared/errors/weir-error.ts';
import { readCallError } from '../io/admin-client.ts';
import { connect, readCount, withConnection } from './connection.ts';
import { printNote, settle, writeOut } from './output.ts';
import { filterOf, type RowFilterOptions, withRowFilter } from './row-filter.ts';
import { CSV_HEAD, rowCsv, rowJson, rowLine } from './row-line.ts';

/** Pauses between attempts, milliseconds; the last one repeats. */
const PAUSES_MS = [200, 500, 1_000, 2_000, 5_000] as const;
/** Errors that a running hub would not answer with: it is away, or on its way out. */
const AWAY: ReadonlySet<ErrorCode> = new Set(['unavailable', 'timeout', 'cancelled', 'internal']);

interface Options extends RowFilterOptions {
  readonly backlog: number;
  readonly count?: number;
  readonly csv?: boolean;
}

export function registerAuditTail(audit: Command): void {
  withConnection(withRowFilter(audit.command('tail').description('decisions as they are committed; Ctrl-C ends it')))
    .option('--backlog <n>', 'also this many of the newest rows first, at most 1000', readCount, 10)
    .option('--count <n>', 'stop after this many rows', readCount)
    .option('--csv', 'CSV, with a header')
    .addHelpText('after', '\nIt survives a restart of the hub; a line on standard error says when it is back.')
    .action((options: Options) => settle(options.json === true, () => tail(options)));
}

async function tail(options: Options): Promise<void> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  process.once('SIGTERM', () => stop.abort());
  process.stdout.once('close', () => stop.abort());
  let left = options.count ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  if (options.csv === true) await writeOut(CSV_HEAD);
  const encode = (row: StoredRow): string =>
    options.csv === true ? rowCsv(row) : `${options.json === true ? JSON.stringify(rowJson(row)) : rowLine(row)}\n`;

  /** By log: every row below was told, or did not match. Empty until the hub has told where the logs end. */
  const positions = new Map<string, bigint>();
  /** Rows of a backlog, told before the first positions came. */
  const backlog = new Set<string>();
  let positioned = false;
  for (let attempt = 0, answered = false; ; ) {
    try {
      const client = (await connect(options))(AuditQueryService);
      const after = [...positions].map(([log, nextIndex]) => ({ log, nextIndex }));
      // Where there was no log yet, everything is new: a position that names none says so.
      if (positioned && after.length === 0) after.push({ log: '', nextIndex: 0n });
      const calls = client.tail(
        { filter: filterOf(options), backlog: positioned ? 0 : options.backlog, after: positioned ? after : [] },
        { signal: stop.signal },
      );
      for await (const { row, positions: told } of calls) {
        if (attempt > 0) printNote('… the hub is back; going on');
        attempt = 0;
        answered = true;
        for (const { log, nextIndex } of told) positions.set(log, nextIndex);
        if (row === undefined) {
          positioned = true;
          continue;
        }
        const key = `${row.log} ${row.index}`;
        if (backlog.has(key) || (positioned && row.index < (positions.get(row.log) ?? 0n))) continue;
        if (positioned) positions.set(row.log, row.index + 1n);
        else backlog.add(key);
        await writeOut(encode(row));
        left -= 1;
        if (left === 0) {
          stop.abort();
          return;
        }
      }
    } catch (thrown) {
      if (stop.signal.aborted) return;
      const error = readCallError(thrown);
      // A hub that was never there is an error at once; one that was is waited for.
      if (!AWAY.has(error.code) || !answered) throw error;
    }
    if (stop.signal.aborted) return;
    if (!answered)
      throw new WeirError('unavailable', 'the hub ended the stream', { retry: 'now', next: 'run it again' });
    if (attempt === 0) printNote('… the hub went away; waiting for it');
    const pauseMs = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] ?? 0;
    attempt += 1;
    await delay(pauseMs, undefined, { signal: stop.signal }).catch(() => undefined);
    if (stop.signal.aborted) return;
  }
}
