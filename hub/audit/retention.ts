// Removes months of rows from the database when they are old enough and in every write-once copy. It is the only thing that
// ever deletes rows, so it believes nobody: what the copies hold is read back from them once more before a month goes.

import { openReceipt } from '@weir/shared/audit/tlog/checkpoint.ts';
import { HASH_BYTES, leafHash } from '@weir/shared/audit/tlog/hash.ts';
import { parseVkey, type Verifier } from '@weir/shared/audit/tlog/note.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { AuditStore } from '../store/audit-store.ts';
import type { CopyStore } from '../store/copy-store.ts';
import type { PushStore } from '../store/push-store.ts';
import type { Month, MonthOfLog, RetentionStore } from '../store/retention-store.ts';
import { copiedLog } from './copied-log.ts';
import type { CopyTarget } from './copy-target.ts';
import { verifiedTiles } from './verified-tiles.ts';

const DAY_MS = 86_400_000;
/** Bundles read back at once. */
const BUNDLES_AT_ONCE = 8;

export interface RetentionParts {
  readonly store: Pick<AuditStore, 'head'>;
  readonly copies: Pick<CopyStore, 'position'>;
  readonly pushes: Pick<PushStore, 'cursors'>;
  readonly months: RetentionStore;
  /** All copies there are; nothing is ever removed without one. */
  readonly targets: readonly CopyTarget[];
  /** The hub's receipt key. */
  readonly hubKey: Verifier;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface RetentionRules {
  /** Days that rows stay after their month has ended and after they arrived; 0 keeps them for ever. */
  readonly days: number;
  /** Units whose rows are not removed: a month that has any stays whole. */
  readonly heldUnits: readonly string[];
  /** Names of the sinks that get every row: what one of them has not taken stays. */
  readonly sinks: readonly string[];
}

/** One turn: every month that may go, oldest first. A month that may not is told, and does not hold up the others. */
export async function removeOldMonths(
  parts: RetentionParts,
  rules: RetentionRules,
  signal: AbortSignal,
): Promise<void> {
  if (rules.days === 0 || parts.targets.length === 0) return;
  const { logger, metrics } = parts;
  const olderMs = parts.clock.nowMs() - rules.days * DAY_MS;
  for (const month of await parts.months.months(olderMs)) {
    if (signal.aborted) return;
    const name = new Date(month.fromMs).toISOString().slice(0, 7);
    try {
      const contents = await parts.months.contents(month);
      const below = await removable(parts, contents, { ...rules, olderMs });
      if (typeof below === 'string') {
        logger.info({ month: name, why: below }, 'a month of audit rows stays in the database');
        continue;
      }
      await readBack(parts, contents, below, signal);
      if (signal.aborted) return;
      if (!(await parts.months.remove(month, contents, below))) {
        logger.info({ month: name, why: 'rows came in meanwhile' }, 'a month of audit rows stays in the database');
        continue;
      }
      const rows = contents.reduce((sum, each) => sum + each.rows, 0);
      metrics.count('weir_hub_audit_removed_rows_total', {}, rows);
      logger.warn({ month: name, rows }, 'a month of audit rows was removed; it is in the write-once copy');
    } catch (thrown) {
      if (signal.aborted) return;
      logger.error({ month: name, error: describeThrown(thrown) }, 'a month of audit rows could not be removed');
    }
  }
}

/** By log, the index below which the month's rows may go; a sentence when the month has to stay. */
async function removable(
  { store, copies, pushes, targets }: RetentionParts,
  contents: readonly MonthOfLog[],
  { olderMs, heldUnits, sinks }: Pick<RetentionRules, 'heldUnits' | 'sinks'> & { readonly olderMs: number },
): Promise<ReadonlyMap<string, number> | string> {
  const pushed = await Promise.all(
    sinks.map(async (sink) => ({
      sink,
      cursors: new Map((await pushes.cursors(sink)).map(({ log, nextIndex }) => [log, nextIndex])),
    })),
  );
  const below = new Map<string, number>();
  for (const { log, unit, first, last, storedMs } of contents) {
    if (heldUnits.includes(unit)) return `rows of ${unit} are held`;
    if (storedMs > olderMs) return `rows of ${log} arrived late`;
    for (const target of targets) {
      const verified = (await copies.position(target.name, log))?.verified ?? 0;
      if (verified <= last) return `${target.name} has verified ${log} up to row ${verified}, and needs row ${last}`;
    }
    for (const { sink, cursors } of pushed) {
      const taken = cursors.get(log) ?? 0;
      if (taken <= last) return `the sink ${sink} has taken ${log} up to row ${taken}, and needs row ${last}`;
    }
    const head = await store.head(log);
    if (head === undefined || head.nextIndex <= last) return `there are rows of ${log} beyond its end`;
    // Rows behind the last full tile are the only place where their leaves are kept: they stay.
    if (first < head.tiled) below.set(log, Math.min(last + 1, head.tiled));
  }
  // An empty month goes too, unless it has rows and all of them stay.
  return contents.length > 0 && below.size === 0 ? 'its rows are the open ends of their logs' : below;
}

/**
 * Reads every bundle that covers these rows back from every copy, by that copy's own tiles up to its receipt: all that
 * restoring would ask for. Throws `integrity` naming the row and the copy.
 */
async function readBack(
  { store, targets, hubKey }: RetentionParts,
  contents: readonly MonthOfLog[],
  below: ReadonlyMap<string, number>,
  signal: AbortSignal,
): Promise<void> {
  for (const { log, first } of contents) {
    const until = below.get(log) ?? 0;
    const head = until > first ? await store.head(log) : undefined;
    if (head === undefined) continue;
    const bundles = { from: Math.floor(first / TILE_WIDTH), until: Math.ceil(until / TILE_WIDTH) };
    for (const target of targets) {
      const source = copiedLog(target, log);
      const wrong = (what: string): WeirError => new WeirError('integrity', `${what} in ${target.name}`);
      const { checkpoint } = openReceipt(await source.checkpoint(), { log: parseVkey(head.vkey), hub: hubKey });
      if (checkpoint.size < until) throw wrong(`${log} ends at row ${checkpoint.size}`);
      const tiles = verifiedTiles(source, checkpoint);
      const check = async (index: number): Promise<void> => {
        const leaves = await tiles.tile(0, index);
        const rows = await source.entries(index, TILE_WIDTH);
        if (rows === undefined) throw wrong(`bundle ${index} of ${log} is missing`);
        const other = rows.findIndex(
          (row, at) => !leafHash(row).equals(leaves.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES)),
        );
        if (other >= 0) throw wrong(`row ${index * TILE_WIDTH + other} of ${log} is not itself`);
      };
      for (let at = bundles.from; at < bundles.until; at += BUNDLES_AT_ONCE) {
        if (signal.aborted) return;
        const count = Math.min(BUNDLES_AT_ONCE, bundles.until - at);
        const results = await Promise.allSettled(Array.from({ length: count }, (_, place) => check(at + place)));
        for (const result of results) if (result.status === 'rejected') throw result.reason;
      }
    }
  }
}

/** Months of which rows can no longer be found here, as far as they overlap [fromMs, untilMs): queries say so. */
export async function onlyInCopies(
  months: Pick<RetentionStore, 'removed'>,
  { fromMs, untilMs }: Month,
): Promise<readonly Month[]> {
  const removed = await months.removed();
  return removed.filter((month) => month.fromMs < untilMs && month.untilMs > fromMs);
}
