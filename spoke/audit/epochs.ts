// Which epochs a worker's folder holds and which of them is open. Whatever a crash left between two steps of a roll is put
// in order here: afterwards at most one epoch is open, and no row has gone.

import type { Random } from '@weir/shared/ports/random.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { logIdIn } from './audit-log.ts';
import { CLOSURE_FILE, type Closure, decodeClosure, encodeClosure } from './closure.ts';
import type { LedgerDisk } from './ledger-disk.ts';
import { logSigned } from './log-notes.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Names the open epoch's folder. Written before the epoch's first row. */
export const CURRENT_FILE = 'current';
/** Twelve digits of time and eight of chance: names sort by age, and none is ever made twice. */
const EPOCH_NAME = /^[0-9a-f]{20}$/;
const TIME_DIGITS = 12;

export interface EpochEntry {
  readonly name: string;
  /** Log id. */
  readonly log: string;
  /** undefined while rows are added. */
  readonly closure: Closure | undefined;
}

/** A small file that does not say what it must; `epoch` is '' for one that stands beside the epochs. */
export interface FileFault {
  readonly epoch: string;
  readonly file: string;
  readonly what: 'missing_file' | 'damaged_file';
}

export interface Epochs {
  /** Closed ones, oldest first. */
  readonly closed: readonly EpochEntry[];
  readonly open: EpochEntry | undefined;
  readonly faults: readonly FileFault[];
}

type ReadableLedger = Pick<LedgerDisk, 'epochs' | 'load'> & {
  epoch(name: string): Promise<Pick<SpoolDisk, 'load' | 'list' | 'read'>>;
};

/** A name for the next epoch: younger than all others even when the clock has gone backwards. */
export function nextEpochName(random: Pick<Random, 'uuid'>, names: readonly string[]): string {
  const digits = random.uuid().replaceAll('-', '');
  const newest =
    names
      .filter((name) => EPOCH_NAME.test(name))
      .toSorted()
      .at(-1) ?? '';
  const after = newest === '' ? 0 : Number.parseInt(newest.slice(0, TIME_DIGITS), 16) + 1;
  const time = Math.max(Number.parseInt(digits.slice(0, TIME_DIGITS), 16), after);
  return time.toString(16).padStart(TIME_DIGITS, '0') + digits.slice(-8);
}

/**
 * What the folder says, as it stands: for readers, and before anything is put in order.
 * @param logOf the log that a folder of this name is made for; what its own file says comes first
 */
export async function surveyEpochs(
  disk: ReadableLedger,
  logOf: (name: string) => string,
): Promise<{
  readonly current: string | undefined;
  readonly entries: readonly EpochEntry[];
  /** Folders in which no log was begun. */
  readonly blank: readonly string[];
  readonly faults: readonly FileFault[];
}> {
  const entries: EpochEntry[] = [];
  const blank: string[] = [];
  const faults: FileFault[] = [];
  for (const name of (await disk.epochs()).filter((each) => EPOCH_NAME.test(each)).toSorted()) {
    const folder = await disk.epoch(name);
    const named = await folder.load('log.json');
    const said = named === undefined ? undefined : logIdIn(named);
    // What is signed under the folder's own name is that log, whatever its file says.
    const log = said !== logOf(name) && (await logSigned(folder)) === logOf(name) ? undefined : said;
    const noted = await folder.load(CLOSURE_FILE);
    if (named === undefined && noted === undefined && !(await hasRows(folder))) {
      blank.push(name);
      continue;
    }
    if (log === undefined) faults.push({ epoch: name, file: 'log.json', what: missingOrDamaged(named) });
    let closure: Closure | undefined;
    try {
      closure = noted === undefined ? undefined : decodeClosure(noted);
    } catch (thrown) {
      if (!(thrown instanceof WeirError && thrown.code === 'corrupt')) throw thrown;
      faults.push({ epoch: name, file: CLOSURE_FILE, what: 'damaged_file' });
    }
    entries.push({ name, log: log ?? logOf(name), closure });
  }
  const text = (await disk.load(CURRENT_FILE))?.toString('utf8').trim();
  const current = entries.find(({ name }) => name === text)?.name;
  if (current === undefined && (text !== undefined || entries.length > 0)) {
    // The first epoch's folder is made before the file that names it; once rows exist so does the file.
    const told = text !== undefined || (await anyRows(disk, entries));
    if (told) faults.push({ epoch: '', file: CURRENT_FILE, what: missingOrDamaged(text) });
  }
  return { current, entries, blank, faults };
}

/**
 * Puts the folder in order. An epoch that is neither closed nor named by `current` was made by a roll that a crash cut
 * short: one without rows never began and is removed, one with rows is closed. Throws `unsupported` when the folder holds rows
 * that stand in no epoch.
 */
export async function orderEpochs(disk: LedgerDisk, logOf: (name: string) => string, at: string): Promise<Epochs> {
  if ((await disk.files()).some((name) => name.endsWith('.seg'))) {
    throw new WeirError('unsupported', 'this folder holds an audit log of a version without epochs', {
      next: 'let that version bring its rows to the hub, or move the folder aside as evidence; then start again',
    });
  }
  const { current, entries, blank, faults } = await surveyEpochs(disk, logOf);
  for (const name of blank) await disk.discard(name);
  const unreadable = new Set(faults.filter(({ file }) => file === CLOSURE_FILE).map(({ epoch }) => epoch));
  const unclosed = entries.filter(({ name, closure }) => closure === undefined && !unreadable.has(name));
  const open = unclosed.find(({ name }) => name === current) ?? unclosed.at(-1);
  const closed: EpochEntry[] = [];
  for (const entry of entries) {
    if (entry === open) continue;
    if (entry.closure !== undefined) {
      closed.push(entry);
      continue;
    }
    const folder = await disk.epoch(entry.name);
    if (unreadable.has(entry.name)) {
      // Kept as evidence before it is written anew.
      await folder.replace(`${CLOSURE_FILE}.damaged`, (await folder.load(CLOSURE_FILE)) ?? Buffer.alloc(0));
      const why = { reason: 'damaged', detail: `${CLOSURE_FILE} was damaged`, at, size: null };
      closed.push({ ...entry, closure: await closeEpoch(folder, why) });
    } else if (await hasRows(folder)) {
      const why = { reason: 'interrupted', detail: '', at, size: null };
      closed.push({ ...entry, closure: await closeEpoch(folder, why) });
    } else {
      await disk.discard(entry.name);
    }
  }
  if (open !== undefined && open.name !== current) await disk.replace(CURRENT_FILE, Buffer.from(`${open.name}\n`));
  return { closed, open, faults };
}

/** Writes down that no row is added to this epoch any more. */
export async function closeEpoch(
  folder: Pick<SpoolDisk, 'replace'>,
  why: Pick<Closure, 'reason' | 'detail' | 'at' | 'size'> &
    Partial<Pick<Closure, 'salvage_from' | 'refused' | 'settled' | 'drained'>>,
): Promise<Closure> {
  const closure: Closure = {
    v: 1,
    salvage_from: null,
    refused: [],
    settled: false,
    salvage: null,
    drained: false,
    ...why,
    detail: why.detail.slice(0, 400),
  };
  await folder.replace(CLOSURE_FILE, encodeClosure(closure));
  return closure;
}

function missingOrDamaged(found: unknown): FileFault['what'] {
  return found === undefined ? 'missing_file' : 'damaged_file';
}

async function anyRows(disk: ReadableLedger, entries: readonly EpochEntry[]): Promise<boolean> {
  for (const { name } of entries) if (await hasRows(await disk.epoch(name))) return true;
  return false;
}

/** A segment's header travels with its first rows: as long as every segment begins with zeros there are none. */
async function hasRows(folder: Pick<SpoolDisk, 'list' | 'read'>): Promise<boolean> {
  for (const name of await folder.list()) {
    if (name.endsWith('.seg') && (await folder.read(name, 0, 64)).some((byte) => byte !== 0)) return true;
  }
  return false;
}
