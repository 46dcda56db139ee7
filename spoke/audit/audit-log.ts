// The audit log of one worker: gives rows their place, makes them durable, remembers what the hub has, and reads them back.
// The pipeline awaits `append` before any byte or refusal leaves; the shipper reads and acknowledges.

import { createHash } from 'node:crypto';
import { formatLogId, parseLogId } from '@weir/shared/audit/log-id.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { ROW_VERSION } from '@weir/shared/audit/row.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { fitRow } from './fit-row.ts';
import { type TornTail, recoverSegments, repairTorn } from './recover-segments.ts';
import { type FoundRow, type RowSlice, createRowReader } from './row-reader.ts';
import {
  type RowConstants,
  type RowOrigin,
  type RowTemplate,
  type RowValues,
  LONGEST_VALUES,
  checkValues,
  rowTemplate,
  writeRow,
} from './row-template.ts';
import { SPOOL_LIMITS, Spool, type SpoolLimits, type SpoolStats } from './spool.ts';
import type { SpoolDisk } from './spool-disk.ts';

/** Where a durable row stands. */
export interface Recorded {
  readonly id: string;
  readonly index: number;
  readonly code: string;
}

export interface AuditLogStats extends SpoolStats {
  readonly log: string;
  /** Rows below this index are committed at the hub. */
  readonly acknowledged: number;
}

export interface AuditLog {
  /** Log id, `<unit>.<spoke>.<worker>.<epoch>`. */
  readonly id: string;
  /** The batch that the last run left unfinished, if any; its rows were never acknowledged to anyone. */
  readonly torn: TornTail | undefined;

  /**
   * Records one row and resolves once it is durable. Rejects with `invalid_argument` (not a row, or one that does not
   * explain its level), `resource_exhausted` (spool or disk full: at once, passes), `spool_failed` (disk error: stays until
   * restart) or `too_large`. In `block` the caller must then refuse; in `warn` it serves and tells loudly.
   */
  append(draft: RowDraft): Promise<Recorded>;
  /** Prepares the constant part of rows that share a verdict, made to fit. Throws `invalid_argument`. */
  template(constants: RowConstants): RowTemplate;
  /** `append` for a prepared row: same promises, a fraction of the time. */
  appendTo(template: RowTemplate, values: RowValues): Promise<Recorded>;

  stats(): AuditLogStats;
  /** Durable rows from `from`: see `RowReader.read`. */
  read(from: number, maxRows: number, maxBytes: number): Promise<RowSlice>;
  findByCode(code: string): Promise<FoundRow | undefined>;
  /** Resolves once row `index` is durable; rejects with the signal's reason, or with `cancelled` when the log closes. */
  waitFor(index: number, signal: AbortSignal): Promise<void>;
  /** The hub has committed every row below `nextIndex`: whole segments below it may be dropped. Remembered on disk. */
  acknowledge(nextIndex: number): Promise<void>;
  /** Stops recording for a reason found outside, such as a hub that holds rows this folder never wrote. */
  refuse(error: WeirError): void;
  /** Refuses new rows, makes the accepted ones durable, marks the end, lets go of the folder. */
  close(): Promise<void>;
}

export interface AuditLogOptions {
  readonly disk: SpoolDisk;
  readonly unit: string;
  readonly spoke: string;
  readonly site: string;
  /** Name of this writer within the spoke, e.g. `w0`. */
  readonly worker: string;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  readonly random: Pick<Random, 'uuid'>;
  readonly limits?: Partial<SpoolLimits>;
}

const NAME_FILE = 'log.json';
const POSITION_FILE = 'position.json';
/** A position that is a little old costs a crashed spoke nothing: the hub knows it better. */
const POSITION_EVERY_MS = 1_000;

/** What a log's folder remembers besides rows; `closed` is the end of the log after an orderly close, null while open. */
interface Position {
  readonly acknowledged: number;
  readonly closed: number | null;
}

/**
 * Opens the log in the disk's folder, or begins a new epoch when the folder is empty. A torn last batch is cut off (and
 * told by `torn`). Throws `corrupt` when acknowledged rows are damaged or missing, `conflict` when the folder belongs to
 * another unit, spoke or worker: the folder is then left as it is. The log closes the disk; when this throws, the caller does.
 */
export async function createAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  const { disk } = options;
  const limits = { ...SPOOL_LIMITS, ...options.limits };
  const id = await nameOf(options);
  const logDigest = createHash('sha256').update(id).digest();
  const position = await loadPosition(disk);
  const found = await recoverSegments(disk, logDigest);
  if (found.nextIndex < Math.max(position.acknowledged, position.closed ?? 0)) {
    throw new WeirError('corrupt', `the audit log ends at row ${found.nextIndex}, yet it was known to reach further`, {
      detail: { acknowledged: position.acknowledged, closed: position.closed ?? -1, found: found.nextIndex },
      next: 'keep the folder as evidence, set it aside, and start a new log',
    });
  }
  if (found.torn !== undefined) await repairTorn(disk, found.torn);

  let acknowledged = position.acknowledged;
  await savePosition(disk, { acknowledged, closed: null });
  const waiting = new Set<Waiting>();
  const spool = await Spool.open(disk, {
    found,
    logDigest,
    limits,
    acknowledged,
    clock: options.clock,
    onDurable(durableIndex) {
      for (const each of waiting) if (each.index < durableIndex) each.settle();
    },
  });
  const reader = createRowReader(disk, () => spool.segments());
  const origin: RowOrigin = { log: id, unit: options.unit, spoke: options.spoke, site: options.site };
  let saving: Promise<void> | undefined;
  let savedAtMs = Number.NEGATIVE_INFINITY;
  let closing: Promise<void> | undefined;

  async function saveAcknowledged(): Promise<void> {
    try {
      // One at a time; acknowledgements that arrive meanwhile share the next one. Space is freed first: on a full disk it is
      // what lets the position be written at all.
      for (let done = -1; done !== acknowledged; ) {
        done = acknowledged;
        await spool.acknowledge(done);
      }
      const now = options.clock.monotonicMs();
      if (now - savedAtMs < POSITION_EVERY_MS) return;
      savedAtMs = now;
      await savePosition(disk, { acknowledged, closed: null });
    } finally {
      saving = undefined;
    }
  }

  function appendTo(template: RowTemplate, values: RowValues): Promise<Recorded> {
    return new Promise((resolve, reject) => {
      if (template.log !== id) throw new WeirError('invalid_argument', 'the template belongs to another log');
      checkValues(values);
      spool.append(template.maxBytes, (target, at, index) => writeRow(target, at, template, values, index), {
        resolve: (index) => resolve({ id: values.id, index, code: values.code }),
        reject,
      });
    });
  }

  function fitted(row: RowConstants & RowValues): RowTemplate {
    // Most rows list nothing that could be left out: measuring them would only write them out twice.
    if (row.rules.length === 0 && row.hidden.length === 0) return rowTemplate(origin, row);
    return rowTemplate(origin, fitRow({ ...row, ...origin, v: ROW_VERSION, index: Number.MAX_SAFE_INTEGER }));
  }

  return {
    id,
    torn: found.torn,
    append: async (draft) => appendTo(fitted(draft), draft),
    template: (constants) => fitted({ ...constants, ...LONGEST_VALUES }),
    appendTo,
    stats: () => ({ log: id, acknowledged, ...spool.stats() }),
    read: (from, maxRows, maxBytes) => reader.read(from, maxRows, maxBytes),
    findByCode: (code) => reader.findByCode(code),
    waitFor(index, signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason as Error);
          return;
        }
        if (index < spool.stats().durableIndex) {
          resolve();
          return;
        }
        const entry: Waiting = {
          index,
          settle(error) {
            waiting.delete(entry);
            signal.removeEventListener('abort', abort);
            if (error === undefined) resolve();
            else reject(error);
          },
        };
        const abort = (): void => entry.settle(signal.reason as Error);
        signal.addEventListener('abort', abort, { once: true });
        waiting.add(entry);
      });
    },
    async acknowledge(nextIndex) {
      if (nextIndex <= acknowledged || closing !== undefined) return;
      acknowledged = Math.min(nextIndex, spool.stats().durableIndex);
      saving ??= saveAcknowledged();
      await saving;
    },
    refuse: (error) => spool.refuse(error),
    close() {
      closing ??= (async () => {
        await spool.close();
        for (const each of waiting) each.settle(new WeirError('cancelled', 'the audit log was closed'));
        try {
          await saving;
          if (!spool.failed) await savePosition(disk, { acknowledged, closed: spool.stats().durableIndex });
        } finally {
          await disk.close();
        }
      })();
      return closing;
    },
  };
}

interface Waiting {
  readonly index: number;
  settle(error?: Error): void;
}

async function nameOf(options: AuditLogOptions): Promise<string> {
  const { disk, unit, spoke, worker } = options;
  const stored = await disk.load(NAME_FILE);
  if (stored !== undefined) {
    const id = logIdIn(stored);
    const parts = id === undefined ? undefined : parseLogId(id);
    if (id === undefined || parts === undefined)
      throw new WeirError('corrupt', `the audit log's ${NAME_FILE} is damaged`);
    if (parts.unit !== unit || parts.spoke !== spoke || parts.worker !== worker) {
      throw new WeirError('conflict', `this folder holds the audit log ${id}`, {
        next: 'give every unit, spoke and worker a folder of its own',
      });
    }
    return id;
  }
  if ((await disk.list()).some((name) => name.endsWith('.seg'))) {
    throw new WeirError('corrupt', `the audit log has rows but no ${NAME_FILE}`);
  }
  // A UUIDv7 begins with its time: epochs of one worker sort by age, and none is ever made twice.
  const digits = options.random.uuid().replaceAll('-', '');
  const id = formatLogId({ unit, spoke, worker, epoch: digits.slice(0, 12) + digits.slice(-8) });
  if (parseLogId(id) === undefined) throw new WeirError('invalid_argument', `${id} cannot name an audit log`);
  await disk.replace(NAME_FILE, Buffer.from(`${JSON.stringify({ v: 1, log: id })}\n`));
  return id;
}

/** The id in a `log.json`, undefined when there is none. */
export function logIdIn(bytes: Uint8Array): string | undefined {
  const value = parse(bytes);
  return typeof value === 'object' && value !== null && 'log' in value && typeof value.log === 'string'
    ? value.log
    : undefined;
}

async function loadPosition(disk: SpoolDisk): Promise<Position> {
  const bytes = await disk.load(POSITION_FILE);
  if (bytes === undefined) return { acknowledged: 0, closed: null };
  const value = parse(bytes);
  if (typeof value === 'object' && value !== null && 'acknowledged' in value && 'closed' in value) {
    const { acknowledged, closed } = value;
    if (isIndex(acknowledged) && (closed === null || isIndex(closed))) return { acknowledged, closed };
  }
  throw new WeirError('corrupt', `the audit log's ${POSITION_FILE} is damaged`);
}

async function savePosition(disk: SpoolDisk, position: Position): Promise<void> {
  await disk.replace(POSITION_FILE, Buffer.from(`${JSON.stringify({ v: 1, ...position })}\n`));
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
}

function isIndex(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
