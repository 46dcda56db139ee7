// The write-once copy of all logs: full tiles and bundles of rows as objects that nobody can change any more, and behind them
// what still grows. Nothing goes into the copy that does not lead to the receipted root, and nothing counts as copied that was
// not read back. A turn goes on where the last one ended; what two replicas write at once are the same bytes.

import { openReceipt, readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { encodeEntries, entriesPath, TILE_WIDTH, tilePath, tileWidth } from '@weir/shared/audit/tlog/tile.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import type { CopyPosition, CopyStore } from '../store/copy-store.ts';
import type { TileStore } from '../store/tile-store.ts';
import { COPY_OBJECTS, copyPath, type CopyTarget } from './copy-target.ts';
import { storedLog } from './log-source.ts';
import { type VerifiedTiles, verifiedTiles } from './verified-tiles.ts';

export const COPY_LIMITS = {
  /** Logs looked up at once. */
  logs: 100,
  /** Bundles on their way to the target at once. */
  bundles: 8,
  /** Between receipts of one log that are kept for good. */
  receiptEveryMs: 3_600_000,
} as const;

/** What ails a target: it cannot lock, cannot be reached, or denies. */
const TARGET_TROUBLE: ReadonlySet<string> = new Set(['unsupported', 'unavailable', 'upstream_failed']);

export interface CopyJobParts {
  readonly store: Pick<AuditStore, 'head' | 'rowsFrom' | 'leavesFrom'>;
  readonly tiles: Pick<TileStore, 'tiles'>;
  readonly copies: Pick<CopyStore, 'position' | 'moved' | 'behind' | 'unverified'>;
  readonly target: CopyTarget;
  /** The hub's receipt key. */
  readonly hubKey: Verifier;
  readonly clock: Pick<Clock, 'nowMs' | 'monotonicMs'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** One turn over all logs that the copy lacks something of. A log that fails is told and does not hold up the others. */
export async function copyLogs(parts: CopyJobParts, signal: AbortSignal): Promise<void> {
  const { copies, target, clock, logger, metrics } = parts;
  const started = clock.monotonicMs();
  for (let after = ''; !signal.aborted; ) {
    const receiptBeforeMs = clock.nowMs() - COPY_LIMITS.receiptEveryMs;
    const logs = await copies.behind(target.name, { after, limit: COPY_LIMITS.logs, receiptBeforeMs });
    for (const log of logs) {
      if (signal.aborted) return;
      try {
        await copyLog(parts, log, signal);
      } catch (thrown) {
        if (signal.aborted) return;
        metrics.count('weir_hub_audit_copy_failures_total', { target: target.kind });
        logger.error({ log, target: target.name, error: describeThrown(thrown) }, 'a log could not be copied');
        // What ails the target and not the log would fail for every log alike.
        if (thrown instanceof WeirError && TARGET_TROUBLE.has(thrown.code)) throw thrown;
      }
    }
    if (logs.length < COPY_LIMITS.logs) break;
    after = logs.at(-1) ?? '';
  }
  metrics.gauge('weir_hub_audit_copy_unverified_rows', await copies.unverified(target.name), {
    target: target.kind,
  });
  metrics.observe('weir_hub_audit_copy_seconds', (clock.monotonicMs() - started) / 1000, {
    target: target.kind,
  });
}

/** Brings one log up to where the hub has it, as far as there are tiles. Throws `integrity` for rows that do not fit their root. */
export async function copyLog(parts: CopyJobParts, log: string, signal?: AbortSignal): Promise<void> {
  const { store, copies, target, clock, hubKey } = parts;
  const head = await store.head(log);
  if (head === undefined || head.nextIndex === 0) return;
  const { checkpoint } = openReceipt(head.receipt, { log: parseVkey(head.vkey), hub: hubKey });
  const { size, root } = checkpoint;
  if (size !== head.nextIndex || !TreeEdge.decode(size, head.edge).root().equals(root)) {
    throw new WeirError('integrity', `the head of ${log} is not what was receipted`, {
      next: `run weir audit fsck ${log}`,
    });
  }
  const held = (await copies.position(target.name, log)) ?? { copied: 0, verified: 0, receiptAtMs: null };
  if (held.verified === 0) {
    await target.keep(copyPath(log, COPY_OBJECTS.vkey), Buffer.from(`${head.vkey}\n`, 'utf8'));
    await target.keep(copyPath(log, COPY_OBJECTS.binding), head.binding);
  }
  const tiles = verifiedTiles(storedLog(parts, head), { size, root });
  const whole = size - (size % TILE_WIDTH);
  await copyBundles(parts, { head, tiles, held, until: Math.min(whole, head.tiled) }, signal);
  // Behind the tile job there is nothing to prove the rest with; the next turn finds it.
  if (signal?.aborted === true || head.tiled < whole) return;

  await copyPartial(parts, head, tiles);
  await replaceCheckpoint(parts, head, held);
  const isClosed = head.state === 'closed';
  if (isClosed) {
    const closed = JSON.stringify({ v: 1, reason: head.reason });
    await target.replace(copyPath(log, COPY_OBJECTS.closed), Buffer.from(`${closed}\n`, 'utf8'));
  }
  const now = clock.nowMs();
  const due = held.receiptAtMs === null || now - held.receiptAtMs >= COPY_LIMITS.receiptEveryMs;
  if (due || isClosed) {
    await target.keep(copyPath(log, `${COPY_OBJECTS.receipts}/${size}`), head.receipt);
    await copies.moved(target.name, log, { copied: size, verified: size, receiptAtMs: now, closed: isClosed });
  } else {
    await copies.moved(target.name, log, { copied: size, verified: size });
  }
}

/** Full bundles and the tiles that they fill, from where the copy ends. */
async function copyBundles(
  { store, copies, target }: CopyJobParts,
  range: {
    readonly head: LogHead;
    readonly tiles: VerifiedTiles;
    readonly held: Pick<CopyPosition, 'copied' | 'verified'>;
    readonly until: number;
  },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { head, tiles, held, until } = range;
  const { log } = head;

  async function copyBundle(index: number): Promise<void> {
    const rows = await store.rowsFrom(log, index * TILE_WIDTH, TILE_WIDTH);
    const leaves = await tiles.tile(0, index);
    const bytes = soundRows(log, rows, index * TILE_WIDTH, leaves);
    await target.keep(copyPath(log, entriesPath(index)), encodeEntries(bytes));
    await target.keep(copyPath(log, tilePath(0, index)), leaves);
    for (let level = 1, end = index + 1; end % TILE_WIDTH === 0; level += 1) {
      end /= TILE_WIDTH;
      await target.keep(copyPath(log, tilePath(level, end - 1)), await tiles.tile(level, end - 1));
    }
  }

  for (let at = Math.floor(held.copied / TILE_WIDTH); at * TILE_WIDTH < until; ) {
    if (signal?.aborted === true) return;
    const end = Math.min(at + COPY_LIMITS.bundles, until / TILE_WIDTH);
    const results = await Promise.allSettled(Array.from({ length: end - at }, (_, place) => copyBundle(at + place)));
    // Nothing is on its way any more when a failure is told.
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    at = end;
    await copies.moved(target.name, log, { copied: at * TILE_WIDTH, verified: held.verified });
  }
}

/** What is still growing: the last tile of each level and the last bundle. */
async function copyPartial(
  { store, target }: CopyJobParts,
  { log, nextIndex }: LogHead,
  tiles: VerifiedTiles,
): Promise<void> {
  for (const { level, index, width } of partialTiles(nextIndex)) {
    const hashes = await tiles.tile(level, index);
    await target.replace(copyPath(log, tilePath(level, index, width)), hashes);
    if (level > 0) continue;
    const rows = await store.rowsFrom(log, index * TILE_WIDTH, width);
    const bytes = soundRows(log, rows, index * TILE_WIDTH, hashes);
    await target.replace(copyPath(log, entriesPath(index, width)), encodeEntries(bytes));
  }
}

/** The receipt becomes the copy's checkpoint, unless another replica was further; then what it replaced is taken away. */
async function replaceCheckpoint(
  { target }: CopyJobParts,
  { log, nextIndex, receipt }: LogHead,
  held: Pick<CopyPosition, 'verified'>,
): Promise<void> {
  const path = copyPath(log, COPY_OBJECTS.checkpoint);
  const before = await target.read(path);
  const sizeBefore = before === undefined ? 0 : sizeOf(before);
  if (sizeBefore > nextIndex) return;
  await target.replace(path, receipt);
  const current = new Set(partialPaths(nextIndex));
  const old = new Set([...partialPaths(sizeBefore), ...partialPaths(held.verified)]);
  for (const partial of old) if (!current.has(partial)) await target.remove(copyPath(log, partial));
}

/** Size that a checkpoint claims; 0 for one that is none, which is replaced. */
function sizeOf(checkpoint: Buffer): number {
  try {
    return readCheckpoint(checkpoint).size;
  } catch {
    return 0;
  }
}

function partialPaths(size: number): readonly string[] {
  return partialTiles(size).flatMap(({ level, index, width }) => [
    tilePath(level, index, width),
    ...(level === 0 ? [entriesPath(index, width)] : []),
  ]);
}

function partialTiles(
  size: number,
): readonly { readonly level: number; readonly index: number; readonly width: number }[] {
  const partial = [];
  for (let level = 0, hashes = size; hashes > 0; level += 1, hashes = Math.floor(hashes / TILE_WIDTH)) {
    const index = Math.floor(hashes / TILE_WIDTH);
    const width = tileWidth(size, level, index);
    if (width > 0) partial.push({ level, index, width });
  }
  return partial;
}

/** Bytes of rows whose leaves are these. Throws `integrity` naming the first that is not. */
function soundRows(
  log: string,
  rows: readonly { readonly index: number; readonly bytes: Uint8Array }[],
  first: number,
  leaves: Buffer,
): readonly Uint8Array[] {
  const wrong = (index: number, what: string): WeirError =>
    new WeirError('integrity', `row ${index} of ${log} ${what}`, { next: `run weir audit fsck ${log}` });
  for (let at = 0; at * HASH_BYTES < leaves.length; at += 1) {
    const row = rows[at];
    if (row?.index !== first + at) throw wrong(first + at, 'is missing');
    if (!leafHash(row.bytes).equals(leaves.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES))) {
      throw wrong(first + at, 'is not the row that was receipted');
    }
  }
  return rows.slice(0, leaves.length / HASH_BYTES).map(({ bytes }) => bytes);
}
