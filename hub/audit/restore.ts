// Rebuilds the ledger from a write-once copy, into an empty database or one that has lost some of it. The copy is believed as
// far as the hub's own receipts reach and no further: every tile must lead to a receipted root, every row to its tile, and
// what the database still has must agree. It can be ended at any moment and begun again.

import { parseLogId } from '@weir/shared/audit/log-id.ts';
import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TreeEdge } from '@weir/shared/audit/tlog/edge.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { openBinding } from '@weir/shared/audit/tlog/log-binding.ts';
import { logOrigin } from '@weir/shared/audit/tlog/names.ts';
import { parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { type NodeReader, rootAt } from '@weir/shared/audit/tlog/proof.ts';
import { nodesFromTiles } from '@weir/shared/audit/tlog/tile-nodes.ts';
import { entriesPath, TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { asWeirError, describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import { type AuditStore, CLOSE_REASONS, type CloseReason, type NewRow, ROW_FLAGS } from '../store/audit-store.ts';
import type { RestoreSegment, RestoreStore } from '../store/restore-store.ts';
import { BACKWARDS_MS } from './check-batch.ts';
import { copiedLog } from './copied-log.ts';
import { COPY_OBJECTS, copyPath, type CopyTarget, logsIn } from './copy-target.ts';
import { soundRow } from './sound-row.ts';
import { type TileJobParts, tileLog } from './tile-job.ts';
import { type VerifiedTiles, verifiedTiles } from './verified-tiles.ts';

/** Partitions are made for rows between these; what claims to be older or younger goes where strays go. */
const MONTHS_BACK_MS = 20 * 366 * 86_400_000;
const MONTHS_AHEAD_MS = 40 * 86_400_000;

export interface RestoreParts extends TileJobParts {
  readonly store: Pick<AuditStore, 'head' | 'leavesFrom' | 'ensurePartitions'>;
  readonly restoring: RestoreStore;
  /** Asked in this order for each log; the next one when a copy is wrong. */
  readonly targets: readonly CopyTarget[];
  readonly workspace: string;
  /** The hub's receipt key. */
  readonly hubKey: Verifier;
  /** Raw enrolled audit key of a spoke, undefined when it is not known here. */
  readonly spokeKey: (unit: string, spoke: string) => Promise<Uint8Array | undefined>;
  readonly clock: Pick<Clock, 'nowMs'>;
}

export interface RestoreStep {
  readonly log: string;
  /** Rows of the copy that were dealt with, of `total`. */
  readonly rows: number;
  readonly total: number;
  /** Rows that the database lacked; with `lookOnly` they still are. */
  readonly added: number;
  /** The last step of its log. */
  readonly done: boolean;
  /** Why this log could not be restored, naming the object or the row; '' when it could. */
  readonly fault: string;
}

/** Restores one log, or all that are in the copies when `log` is ''. Throws `not_found` when no copy has it. */
export async function* restore(
  parts: RestoreParts,
  options: { readonly log: string; readonly lookOnly: boolean; readonly signal?: AbortSignal },
): AsyncGenerator<RestoreStep> {
  const holders = new Map<string, CopyTarget[]>();
  for (const target of parts.targets) {
    for (const log of await logsIn(target)) {
      if (options.log === '' || options.log === log) holders.set(log, [...(holders.get(log) ?? []), target]);
    }
  }
  if (holders.size === 0) {
    throw new WeirError(
      'not_found',
      options.log === '' ? 'there is no log in any copy' : `no copy has the log ${options.log}`,
      {
        next: 'see audit.copy in the configuration of the hub',
      },
    );
  }
  for (const [log, targets] of [...holders].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const faults: string[] = [];
    let last: RestoreStep = { log, rows: 0, total: 0, added: 0, done: false, fault: '' };
    for (const target of targets.flatMap((each) => [each, each.asFirstWritten()])) {
      if (target === undefined) continue;
      try {
        for await (const step of restoreLog(parts, target, log, options)) {
          last = step;
          if (options.signal?.aborted === true) return;
          if (!step.done) yield step;
        }
        faults.length = 0;
        break;
      } catch (thrown) {
        const why = describeThrown(thrown);
        parts.logger.error({ log, target: target.name, error: why }, 'a log could not be restored from a copy');
        faults.push(targets.length > 1 ? `${target.name}: ${why}` : why);
      }
    }
    yield { ...last, done: true, fault: [...new Set(faults)].join('; ') };
  }
}

interface CopiedEnd {
  readonly size: number;
  readonly root: Buffer;
  readonly receipt: Buffer;
}

type Copy = Pick<CopyTarget, 'name' | 'read' | 'list'>;

async function* restoreLog(
  parts: RestoreParts,
  target: Copy,
  log: string,
  { lookOnly }: { readonly lookOnly: boolean },
): AsyncGenerator<RestoreStep> {
  const { restoring, store } = parts;
  const known = await openCopy(parts, target, log);
  const { ends, tiles, node, who } = known;
  const total = ends.at(-1)?.size ?? 0;
  const source = copiedLog(target, log);
  let added = 0;
  let from = 0;
  for (const end of ends) {
    await ensureMonths(parts, await timesOf(source, tiles, { log, from, until: end.size }));
    added += await restoring.segment(who, { lookOnly }, (segment) =>
      restoreSegment({ source, tiles, node, log, segment, from, end }),
    );
    from = end.size;
    yield { log, rows: from, total, added, done: false, fault: '' };
  }
  if (!lookOnly) {
    await restoring.segment(who, { lookOnly }, async (segment) => {
      await segment.complete();
      if (known.closed !== undefined) await segment.close(known.closed);
    });
    await tileLog(parts, log);
  }
  const head = await store.head(log);
  if (!lookOnly && (head === undefined || head.nextIndex < total)) {
    throw new WeirError('internal', `${log} did not reach its end`);
  }
  yield { log, rows: total, total, added, done: true, fault: '' };
}

/** What a copy says of a log, each part checked. Throws naming the object that is wrong. */
async function openCopy(parts: RestoreParts, target: Copy, log: string) {
  const { workspace, hubKey } = parts;
  const id = parseLogId(log);
  if (id === undefined) throw new WeirError('integrity', `logs/${log} is no log`);
  const read = async (path: string): Promise<Buffer> => {
    const bytes = await target.read(copyPath(log, path));
    if (bytes === undefined) throw new WeirError('integrity', `${copyPath(log, path)} is missing`);
    return bytes;
  };
  const vkey = (await read(COPY_OBJECTS.vkey)).toString('utf8').trim();
  const key = await named(copyPath(log, COPY_OBJECTS.vkey), () => {
    const parsed = parseVkey(vkey);
    if (parsed.name !== logOrigin(workspace, log)) throw new WeirError('untrusted', 'it is the key of another log');
    return parsed;
  });
  const binding = await read(COPY_OBJECTS.binding);
  const publicKey = await parts.spokeKey(id.unit, id.spoke);
  if (publicKey !== undefined) {
    await named(copyPath(log, COPY_OBJECTS.binding), () => {
      const bound = openBinding(binding, { workspace, unit: id.unit, spoke: id.spoke, publicKey });
      if (bound.log !== log || bound.vkey !== vkey) throw new WeirError('untrusted', 'it binds another key');
    });
  }
  const open = (receipt: Buffer): CopiedEnd => {
    const { checkpoint } = openReceipt(receipt, { log: key, hub: hubKey });
    return { size: checkpoint.size, root: checkpoint.root, receipt };
  };
  const newest = await read(COPY_OBJECTS.checkpoint);
  const last = await named(copyPath(log, COPY_OBJECTS.checkpoint), () => open(newest));
  const source = copiedLog(target, log);
  const tiles = verifiedTiles(source, last);
  const node = nodesFromTiles((level, index) => tiles.tile(level, index));
  // Kept receipts are places where a database may end: long logs come back in several transactions.
  const ends: CopiedEnd[] = [];
  for await (const receipt of source.receipts()) {
    const end = await named(copyPath(log, COPY_OBJECTS.receipts), () => open(receipt));
    if (end.size === 0 || end.size >= last.size || end.size <= (ends.at(-1)?.size ?? 0)) continue;
    if (!(await rootAt(end.size, node)).equals(end.root)) {
      throw new WeirError(
        'integrity',
        `${copyPath(log, `${COPY_OBJECTS.receipts}/${end.size}`)} is of another history`,
      );
    }
    ends.push(end);
  }
  ends.push(last);
  const who = { log, unit: id.unit, spoke: id.spoke, vkey, binding };
  // Nobody may extend a log whose key no enrolled spoke vouches for.
  const closed = (await closeReason(target, log)) ?? (publicKey === undefined ? 'retired' : undefined);
  return { who, key, ends, tiles, node, closed };
}

async function closeReason(target: Copy, log: string): Promise<CloseReason | undefined> {
  const text = await target.read(copyPath(log, COPY_OBJECTS.closed));
  if (text === undefined) return undefined;
  return named(copyPath(log, COPY_OBJECTS.closed), () => {
    const { reason } = JSON.parse(text.toString('utf8')) as { readonly reason?: unknown };
    return CLOSE_REASONS.find((each) => each === reason) ?? 'retired';
  });
}

/** @returns rows that were added */
async function restoreSegment(at: {
  readonly source: ReturnType<typeof copiedLog>;
  readonly tiles: VerifiedTiles;
  readonly node: NodeReader;
  readonly log: string;
  readonly segment: RestoreSegment;
  readonly from: number;
  readonly end: CopiedEnd;
}): Promise<number> {
  const { source, tiles, node, log, segment, from, end } = at;
  const { head } = segment;
  if (head.nextIndex > 0 && head.nextIndex <= end.size) {
    const held = TreeEdge.decode(head.nextIndex, head.edge).root();
    if (!held.equals(await rootAt(head.nextIndex, node))) {
      throw new WeirError('integrity', `the database has another history of ${log} up to row ${head.nextIndex - 1}`, {
        next: `run weir audit fsck ${log}`,
      });
    }
  }
  let added = 0;
  let lastEventMs = head.lastEventMs ?? 0;
  for (let start = from; start < end.size; ) {
    const index = Math.floor(start / TILE_WIDTH);
    const until = Math.min((index + 1) * TILE_WIDTH, end.size);
    const leaves = await tiles.tile(0, index);
    const leafOf = (row: number): Buffer => {
      const place = (row % TILE_WIDTH) * HASH_BYTES;
      return leaves.subarray(place, place + HASH_BYTES);
    };
    const stored = await segment.leaves(start, until);
    for (const [row, leaf] of stored) {
      if (leaf.equals(leafOf(row))) continue;
      throw new WeirError('integrity', `row ${row} of ${log} is in the database with other bytes`, {
        next: `run weir audit fsck ${log}`,
      });
    }
    const isLast = until === end.size && head.nextIndex < end.size;
    if (stored.size < until - start || isLast) {
      const rows = await bundleRows(source, { log, index, leaves });
      await segment.add(rows.filter(({ index: row }) => row >= start && row < until && !stored.has(row)));
      added += until - start - stored.size;
      lastEventMs = rows.find(({ index: row }) => row === until - 1)?.eventTimeMs ?? lastEventMs;
    }
    start = until;
  }
  if (head.nextIndex < end.size) {
    const { receipt } = end;
    const checkpoint = checkpointIn(receipt);
    await segment.end({ nextIndex: end.size, edge: await edgeAt(end.size, node), checkpoint, receipt, lastEventMs });
  }
  return added;
}

/** Rows of one bundle as ingest would take them. Throws `integrity` naming the object and the row. */
async function bundleRows(
  source: ReturnType<typeof copiedLog>,
  { log, index, leaves }: { readonly log: string; readonly index: number; readonly leaves: Buffer },
): Promise<readonly NewRow[]> {
  const width = leaves.length / HASH_BYTES;
  const object = copyPath(log, entriesPath(index, width));
  const entries = await named(object, () => source.entries(index, width));
  if (entries === undefined) throw new WeirError('integrity', `${object} is missing`, { detail: { object } });
  let before = index === 0 ? Number.NEGATIVE_INFINITY : await lastTimeOf(source, log, index - 1);
  return entries.map((bytes, place) => {
    const at = index * TILE_WIDTH + place;
    const wrong = (what: string): WeirError =>
      new WeirError('integrity', `${object}: row ${at} ${what}`, { detail: { object } });
    const leaf = leafHash(bytes);
    if (!leaf.equals(leaves.subarray(place * HASH_BYTES, (place + 1) * HASH_BYTES))) {
      throw wrong('is not the row that was receipted');
    }
    let row: ReturnType<typeof soundRow>;
    try {
      row = soundRow(bytes);
    } catch (thrown) {
      throw wrong(`is refused: ${describeThrown(thrown)}`);
    }
    const { unit = '', spoke = '' } = parseLogId(log) ?? {};
    if (row.log !== log || row.index !== at || row.unit !== unit || row.spoke !== spoke) {
      throw wrong('names another log, place, unit or spoke');
    }
    const flags = row.eventTimeMs < before - BACKWARDS_MS ? ROW_FLAGS.backwards : 0;
    before = row.eventTimeMs;
    const { eventTimeMs, actor, purl, level, rules, code, action, outcome } = row;
    return { index: at, bytes, leaf, flags, eventTimeMs, actor, purl, level, rules, code, action, outcome };
  });
}

/** Event time of a bundle's last row; the row itself is judged in its own turn. */
async function lastTimeOf(source: ReturnType<typeof copiedLog>, log: string, index: number): Promise<number> {
  return named(copyPath(log, entriesPath(index)), async () => {
    const last = (await source.entries(index, TILE_WIDTH))?.at(-1);
    return last === undefined ? Number.NEGATIVE_INFINITY : soundRow(last).eventTimeMs;
  });
}

/** Event times of the first and the last row of a range. */
async function timesOf(
  source: ReturnType<typeof copiedLog>,
  tiles: VerifiedTiles,
  { log, from, until }: { readonly log: string; readonly from: number; readonly until: number },
): Promise<readonly number[]> {
  const times: number[] = [];
  for (const row of [from, until - 1]) {
    const index = Math.floor(row / TILE_WIDTH);
    const rows = await bundleRows(source, { log, index, leaves: await tiles.tile(0, index) });
    const found = rows[row % TILE_WIDTH];
    if (found !== undefined) times.push(found.eventTimeMs);
  }
  return times;
}

async function ensureMonths({ store, clock }: RestoreParts, times: readonly number[]): Promise<void> {
  const earliest = clock.nowMs() - MONTHS_BACK_MS;
  const latest = clock.nowMs() + MONTHS_AHEAD_MS;
  const within = times.map((time) => Math.min(Math.max(time, earliest), latest));
  await store.ensurePartitions(Math.min(...within), Math.max(...within));
}

/** The edge of the first `size` leaves, encoded. */
async function edgeAt(size: number, node: NodeReader): Promise<Buffer> {
  const hashes: Buffer[] = [];
  for (let level = 52, start = 0; level >= 0; level -= 1) {
    const leaves = 2 ** level;
    if (Math.floor(size / leaves) % 2 === 0) continue;
    hashes.push(await node(level, start / leaves));
    start += leaves;
  }
  return Buffer.concat(hashes);
}

/** A receipt without the hub's line, which is its last. */
function checkpointIn(receipt: Buffer): Buffer {
  return receipt.subarray(0, receipt.lastIndexOf(0x0a, receipt.length - 2) + 1);
}

/** What `work` gives; what it throws becomes `integrity` and names the object. */
async function named<Result>(object: string, work: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (thrown) {
    const { code, message, retry } = asWeirError(thrown, 'integrity', describeThrown(thrown));
    if (code === 'unavailable' || code === 'upstream_failed') throw thrown;
    throw new WeirError('integrity', `${object} is refused: ${message}`, { cause: thrown, retry, detail: { object } });
  }
}
