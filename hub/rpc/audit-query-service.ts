// AuditQueryService: rows by filter, rows as they come, and the story behind a request code.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  AuditQueryService,
  Filter,
  StoredRowSchema,
  TailPosition as WireTailPosition,
  TailResponseSchema,
} from '@weir/proto/weir/console/v1/console_pb.ts';
import { Level as WireLevel } from '@weir/proto/weir/type/v1/type_pb.ts';
import { LOG_ID_MAX } from '@weir/shared/audit/log-id.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { TAIL_LIMITS, type TailParts, type TailPosition, type TailStep, tailRows } from '../audit/tail.ts';
import { type AuditStore, type RowFilter, type StoredRow, ROW_FLAGS } from '../store/audit-store.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../store/page.ts';
import { readIndex, receiptedOf } from './audit-messages.ts';
import type { OperatorHandlers } from './handler.ts';

const FILTER_CHARS_MAX = 1024;
const PSEUDONYM = /^h:[0-9a-f]{32}$/;

const LEVEL_OF: Readonly<Record<WireLevel, Level | undefined>> = {
  [WireLevel.UNSPECIFIED]: undefined,
  [WireLevel.ALLOW]: 'allow',
  [WireLevel.WARN]: 'warn',
  [WireLevel.PENDING]: 'pending',
  [WireLevel.DENY]: 'deny',
};

export interface AuditQueryParts extends TailParts {
  readonly store: TailParts['store'] & Pick<AuditStore, 'byCode' | 'head'>;
  /** The `rules` layer (JSON bytes) of a bundle, empty when that bundle is not kept. */
  readonly rulesOf: (bundle: string) => Promise<Uint8Array>;
  /** Months that overlap a time and of which rows can no longer be found in the database. */
  readonly onlyInCopies: (time: {
    readonly fromMs: number;
    readonly untilMs: number;
  }) => Promise<readonly { readonly untilMs: number }[]>;
  /** Every pseudonym under which a principal stands in a unit's rows; empty for an unknown unit. */
  readonly pseudonymsOf: (unit: string, name: string) => Promise<readonly string[]>;
}

export function auditQueryService(parts: AuditQueryParts): OperatorHandlers<typeof AuditQueryService> {
  const { store } = parts;

  /** Rows know principals only by pseudonyms; whoever asks by name must say in which unit. */
  async function filterOf(message: Filter | undefined): Promise<RowFilter> {
    const filter = readFilter(message);
    const actor = message?.actor ?? '';
    if (actor === '') return filter;
    if (PSEUDONYM.test(actor)) return { ...filter, actors: [actor] };
    if (filter.unit === undefined) {
      throw new WeirError('invalid_argument', 'a search by principal needs the unit that the principal belongs to', {
        next: 'name the unit as well, or give the pseudonym as rows show it (h:…)',
      });
    }
    const found = await parts.pseudonymsOf(filter.unit, actor);
    if (found.length === 0) {
      throw new WeirError('invalid_argument', `there is no unit ${filter.unit} whose principals could be searched`, {
        next: 'see `weir unit list`',
      });
    }
    return { ...filter, actors: found };
  }

  return {
    async query({ filter, page, oldestFirst }) {
      const size = page?.size === undefined || page.size === 0 ? PAGE_SIZE_DEFAULT : page.size;
      if (size > PAGE_SIZE_MAX) throw new WeirError('invalid_argument', `a page has at most ${PAGE_SIZE_MAX} rows`);
      const asked = await filterOf(filter);
      const found = await store.query(asked, { size, cursor: page?.cursor ?? '', oldestFirst });
      const { fromMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = asked;
      const moved = await parts.onlyInCopies({ fromMs, untilMs });
      return {
        rows: found.rows.map(encodeRow),
        nextCursor: found.nextCursor,
        onlyInCopiesUntilMs: BigInt(moved.reduce((latest, month) => Math.max(latest, month.untilMs), 0)),
      };
    },
    async *tail({ filter, backlog, after }, { signal }) {
      if (backlog > TAIL_LIMITS.backlog) {
        throw new WeirError('invalid_argument', `a backlog has at most ${TAIL_LIMITS.backlog} rows`);
      }
      if (after.length > TAIL_LIMITS.positions) {
        throw new WeirError('invalid_argument', `a tail goes on from at most ${TAIL_LIMITS.positions} positions`);
      }
      const start = after.length === 0 ? { backlog } : { after: after.map(readPosition) };
      for await (const step of tailRows(parts, await filterOf(filter), start, signal)) yield encodeStep(step);
    },
    async why({ code }) {
      const read = readRequestCode(code);
      if (read === undefined) {
        throw new WeirError('invalid_argument', 'a request code has 8 letters and digits', {
          next: 'copy it from the refusal that the package manager printed',
        });
      }
      const row = await store.byCode(read);
      if (row === undefined) {
        throw new WeirError('not_found', `no row has the request code ${read}`, {
          next: 'rows of a spoke that cannot reach the hub arrive later; ask that spoke with weir why',
        });
      }
      const bundle = bundleOf(row);
      const [head, rules] = await Promise.all([
        store.head(row.log),
        bundle === '' ? new Uint8Array() : parts.rulesOf(bundle),
      ]);
      return { row: encodeRow(row), rules, receipted: BigInt(head === undefined ? 0 : receiptedOf(head)) };
    },
  };
}

function encodeRow(row: StoredRow): MessageInitShape<typeof StoredRowSchema> {
  return {
    log: row.log,
    index: BigInt(row.index),
    row: Uint8Array.from(row.bytes),
    storedAtMs: BigInt(Math.round(row.storedAtMs)),
    flags: Object.entries(ROW_FLAGS)
      .filter(([, bit]) => (row.flags & bit) !== 0)
      .map(([name]) => name),
    leaf: Uint8Array.from(row.leaf),
  };
}

function encodeStep(step: TailStep): MessageInitShape<typeof TailResponseSchema> {
  if (step.kind === 'row') return { row: encodeRow(step.row) };
  return { positions: step.positions.map(({ log, nextIndex }) => ({ log, nextIndex: BigInt(nextIndex) })) };
}

function readPosition({ log, nextIndex }: WireTailPosition): TailPosition {
  if (log.length > LOG_ID_MAX) throw new WeirError('invalid_argument', 'log is too long');
  return { log, nextIndex: readIndex(nextIndex) };
}

function readFilter(filter: Filter | undefined): RowFilter {
  if (filter === undefined) return {};
  const texts: Record<string, string> = {};
  for (const name of ['unit', 'spoke', 'actor', 'purl', 'rule', 'log', 'action', 'outcome'] as const) {
    if (filter[name].length > FILTER_CHARS_MAX) throw new WeirError('invalid_argument', `${name} is too long`);
    // A NUL is no text to the database, and no row holds one.
    if (filter[name].includes('\0')) throw new WeirError('invalid_argument', `${name} holds a NUL character`);
    if (filter[name] !== '' && name !== 'actor') texts[name] = filter[name];
  }
  const code = filter.code === '' ? undefined : readRequestCode(filter.code);
  if (filter.code !== '' && code === undefined) throw new WeirError('invalid_argument', 'code is no request code');
  const level = LEVEL_OF[filter.level];
  if (level === undefined && filter.level !== WireLevel.UNSPECIFIED) {
    throw new WeirError('invalid_argument', 'level is not one of ours');
  }
  return {
    ...texts,
    ...(code === undefined ? {} : { code }),
    ...(level === undefined ? {} : { level }),
    ...(filter.fromMs === 0n ? {} : { fromMs: instant(filter.fromMs) }),
    ...(filter.untilMs === 0n ? {} : { untilMs: instant(filter.untilMs) }),
  };
}

/** Unix milliseconds within what a date can hold in every store. */
function instant(ms: bigint): number {
  if (ms < 0n || ms > 253_402_300_799_999n) throw new WeirError('invalid_argument', 'a time is out of range');
  return Number(ms);
}

function bundleOf(stored: StoredRow): string {
  const row: unknown = JSON.parse(Buffer.from(stored.bytes).toString('utf8'));
  return typeof row === 'object' && row !== null && 'bundle' in row && typeof row.bundle === 'string' ? row.bundle : '';
}
