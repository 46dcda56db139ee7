// `weir audit spool`: what waits on this spoke for the hub's receipt, how fast it grows, and when there is no room left. Read
// from disk, so that it works with the spoke stopped; a running one says how it has grown over the last minutes.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { asWeirError, WeirError } from '@weir/shared/errors/weir-error.ts';
import { DAMAGE_FILE, type NotedDamage, readDamages } from '../audit/damage-note.ts';
import { RECEIPT_FILE } from '../audit/log-notes.ts';
import type { SpoolRoom } from '../audit/spool-room.ts';
import { viewLog } from '../audit/view-log.ts';
import { viewLedgerDisk } from '../io/ledger-disk.ts';
import { viewSpoolDisk } from '../io/spool-disk.ts';
import { spoolShare } from '../spoke-limits.ts';
import { EXIT, printable, printJson, settle } from './output.ts';
import { askSpoke, loadSpokeConfig, spokeHome } from './spoke-home.ts';
import { fileOf, type LogFolder, logFoldersIn } from './spoke-logs.ts';

const READ_ROWS = 1_000;
const READ_BYTES = 4 << 20;
/** Share of the limit at which a spoke's own alarm rings. */
const NEARLY_FULL = 0.8;

interface Options {
  readonly home?: string;
  readonly json?: boolean;
}

interface LogRoom {
  readonly log: string;
  readonly worker: string;
  /** `open`, or why it takes no more rows. */
  readonly state: string;
  readonly size: number;
  readonly receipted: number;
  /** Rows and bytes that no receipt covers. */
  readonly unreceiptedRows: number;
  readonly unreceiptedBytes: number;
  readonly oldest: { readonly index: number; readonly time: string } | null;
  /** What is wrong with its files, '' for nothing. */
  readonly fault: string;
}

interface WorkerRoom {
  readonly worker: string;
  readonly unreceiptedBytes: number;
  readonly limitBytes: number;
  /** Null while the spoke does not run. */
  readonly growthBytesPerS: number | null;
  /** Null when it does not grow. */
  readonly secondsUntilFull: number | null;
}

export function registerAuditSpool(audit: Command): void {
  audit
    .command('spool')
    .description('on a spoke: what waits for the hub, per worker and log, and how long there is room')
    .option('--home <dir>', 'its home')
    .option('--json', 'machine-readable output')
    .addHelpText('after', '\nExit status: 0 room enough, 1 nearly full (80 %), or a log is damaged.')
    .action((options: Options) => settle(options.json === true, () => spool(options)));
}

async function spool(options: Options): Promise<number> {
  const home = spokeHome(options.home);
  const config = loadSpokeConfig(home);
  const folders = logFoldersIn(home);
  const logs = await Promise.all(folders.map(roomOf));
  const rooms = await roomsNow(home);
  const names = [...new Set(folders.map(({ worker }) => worker))];
  const limitBytes = spoolShare(config.limits, Math.max(1, names.length)).totalBytes;
  const workers = names.map((worker): WorkerRoom => {
    const own = logs.filter((log) => log.worker === worker);
    const unreceiptedBytes = own.reduce((sum, log) => sum + log.unreceiptedBytes, 0);
    const { growthBytesPerS = null, secondsUntilFull = null } = rooms?.get(worker) ?? {};
    return { worker, unreceiptedBytes, limitBytes, growthBytesPerS, secondsUntilFull };
  });
  const damages = await damagesIn(home, names);
  if (options.json === true) {
    printJson({
      home,
      running: rooms !== undefined,
      workers: workers.map(workerJson),
      logs: logs.map(logJson),
      damage: damages,
    });
  } else tell(home, workers, logs, damages, rooms !== undefined);
  const isTight = workers.some((each) => each.unreceiptedBytes >= NEARLY_FULL * each.limitBytes);
  return isTight || damages.length > 0 || logs.some(({ fault }) => fault !== '') ? EXIT.failed : EXIT.ok;
}

async function roomOf(folder: LogFolder): Promise<LogRoom> {
  const { path, log, worker, closure } = folder;
  const state = closure === undefined ? 'open' : `closed: ${closure.reason}${closure.drained ? ', drained' : ''}`;
  const base = { log, worker, state, size: 0, receipted: 0, unreceiptedRows: 0, unreceiptedBytes: 0, oldest: null };
  try {
    const note = fileOf(path, RECEIPT_FILE);
    const receipted = note === undefined ? 0 : readCheckpoint(note).size;
    const view = await viewLog(viewSpoolDisk(path));
    const size = closure?.size ?? view.nextIndex;
    let unreceiptedBytes = 0;
    let oldest: LogRoom['oldest'] = null;
    const owes = closure?.drained !== true;
    for (let next = owes ? Math.max(receipted, view.firstIndex) : size; next < size; ) {
      const { firstIndex, rows } = await view.read(next, Math.min(READ_ROWS, size - next), READ_BYTES);
      if (rows.length === 0) break;
      oldest ??= { index: firstIndex, time: timeOf(rows[0]) };
      for (const row of rows) unreceiptedBytes += row.length;
      next = firstIndex + rows.length;
    }
    const unreceiptedRows = owes ? Math.max(0, size - Math.max(receipted, view.firstIndex)) : 0;
    return { ...base, size, receipted, unreceiptedRows, unreceiptedBytes, oldest, fault: '' };
  } catch (thrown) {
    return { ...base, fault: asWeirError(thrown, 'corrupt', 'its files cannot be read').message };
  }
}

function timeOf(row: Buffer | undefined): string {
  const value: unknown = row === undefined ? undefined : JSON.parse(row.toString('utf8'));
  return typeof value === 'object' && value !== null && 'time' in value && typeof value.time === 'string'
    ? value.time
    : '';
}

/** What a running worker says of its room. */
type Room = Pick<SpoolRoom, 'growthBytesPerS' | 'secondsUntilFull'>;

/** By worker; undefined when the spoke does not run. */
async function roomsNow(home: string): Promise<ReadonlyMap<string, Room> | undefined> {
  let status: unknown;
  try {
    status = await askSpoke(home, '/status');
  } catch (thrown) {
    if (thrown instanceof WeirError && thrown.code === 'unavailable') return undefined;
    throw thrown;
  }
  const { workers } = status as {
    workers?: { serving?: readonly { readonly name: string; readonly logs: readonly { readonly room?: Room }[] }[] };
  };
  const rooms = new Map<string, Room>();
  for (const { name, logs } of workers?.serving ?? []) {
    const room = logs.find((log) => log.room !== undefined)?.room;
    if (room !== undefined) rooms.set(name, room);
  }
  return rooms;
}

async function damagesIn(
  home: string,
  workers: readonly string[],
): Promise<readonly (NotedDamage & { worker: string })[]> {
  const found = [];
  for (const worker of workers) {
    const folder = join(home, 'audit', worker);
    if (!existsSync(join(folder, DAMAGE_FILE))) continue;
    for (const damage of await readDamages(viewLedgerDisk(folder))) found.push({ ...damage, worker });
  }
  return found;
}

function tell(
  home: string,
  workers: readonly WorkerRoom[],
  logs: readonly LogRoom[],
  damages: readonly (NotedDamage & { readonly worker: string })[],
  running: boolean,
): void {
  if (logs.length === 0) {
    process.stdout.write(`nothing was ever recorded in ${home}\n`);
    return;
  }
  for (const each of workers) {
    const share = Math.round((each.unreceiptedBytes / each.limitBytes) * 100);
    process.stdout.write(
      `${each.worker}: ${sizeText(each.unreceiptedBytes)} of ${sizeText(each.limitBytes)} wait for the hub (${share} %), ${paceText(each, running)}\n`,
    );
    for (const log of logs.filter(({ worker }) => worker === each.worker)) process.stdout.write(`  ${logText(log)}\n`);
  }
  for (const { worker, log, what, file, index } of damages) {
    process.stdout.write(
      `DAMAGE  ${worker}${log === '' ? '' : ` ${log}`}: ${what.replaceAll('_', ' ')} in ${file}, from row ${index} on; look at it, then: weir audit accept-damage\n`,
    );
  }
}

function logText({ log, state, size, receipted, unreceiptedRows, unreceiptedBytes, oldest, fault }: LogRoom): string {
  if (fault !== '') return printable(`${log}  ${state}  FAULT: ${fault}`);
  const waits =
    oldest === null
      ? 'all receipted'
      : `${unreceiptedRows} rows (${sizeText(unreceiptedBytes)}) wait, the oldest is row ${oldest.index} of ${oldest.time}`;
  return printable(`${log}  ${state}  ${size} rows, ${receipted} receipted; ${waits}`);
}

function paceText({ growthBytesPerS, secondsUntilFull }: WorkerRoom, running: boolean): string {
  if (!running || growthBytesPerS === null) return 'the spoke does not run';
  if (growthBytesPerS <= 0)
    return growthBytesPerS === 0 ? 'not growing' : `draining by ${sizeText(-growthBytesPerS)}/s`;
  return `growing by ${sizeText(growthBytesPerS)}/s, full in ${duration(secondsUntilFull ?? 0)}`;
}

function sizeText(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let at = 0;
  let shown = value;
  for (; shown >= 1024 && at < units.length - 1; at += 1) shown /= 1024;
  return `${at === 0 ? shown : shown.toFixed(1)} ${units[at] ?? ''}`;
}

function duration(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3_600)} h` : `${Math.round(seconds / 86_400)} d`;
}

function workerJson(room: WorkerRoom): object {
  return {
    worker: room.worker,
    unreceipted_bytes: room.unreceiptedBytes,
    limit_bytes: room.limitBytes,
    growth_bytes_per_s: room.growthBytesPerS,
    seconds_until_full: room.secondsUntilFull,
  };
}

function logJson(room: LogRoom): object {
  return {
    log: room.log,
    worker: room.worker,
    state: room.state,
    size: room.size,
    receipted: room.receipted,
    unreceipted_rows: room.unreceiptedRows,
    unreceipted_bytes: room.unreceiptedBytes,
    oldest_unreceipted: room.oldest,
    fault: room.fault,
  };
}
