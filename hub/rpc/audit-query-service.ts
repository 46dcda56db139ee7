// AuditQueryService: rows by filter, rows as they come, and the story behind a request code.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { AuditQueryService, Filter, StoredRowSchema } from '@weir/proto/weir/console/v1/console_pb.ts';
import { Level as WireLevel } from '@weir/proto/weir/type/v1/type_pb.ts';
import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import type { Level } from '@weir/shared/domain/level.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { TAIL_LIMITS, type TailParts, tailRows } from '../audit/tail.ts';
import type { AuditStore, RowFilter, StoredRow } from '../store/audit-store.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX } from '../store/page.ts';
import type { OperatorHandlers } from './handler.ts';

const FILTER_CHARS_MAX = 1024;
const HASHED_ACTOR = /^h:[0-9a-f]{32}$/;

const LEVEL_OF: Readonly<Record<WireLevel, Level | undefined>> = {
  [WireLevel.UNSPECIFIED]: undefined,
  [WireLevel.ALLOW]: 'allow',
  [WireLevel.WARN]: 'warn',
  [WireLevel.PENDING]: 'pending',
  [WireLevel.DENY]: 'deny',
};

export interface AuditQueryParts extends TailParts {
  readonly store: AuditStore;
  /** The `rules` layer (JSON bytes) of a bundle, empty when that bundle is not kept. */
  readonly rulesOf: (bundle: string) => Promise<Uint8Array>;
  /** The salt that hides principals in a unit's rows, undefined for an unknown unit. */
  readonly saltOf: (unit: string) => Promise<Uint8Array | undefined>;
}

export function auditQueryService(parts: AuditQueryParts): OperatorHandlers<typeof AuditQueryService> {
  const { store } = parts;

  /** Rows know principals only by their hash; whoever asks by name must say in which unit. */
  async function filterOf(message: Filter | undefined): Promise<RowFilter> {
    const filter = readFilter(message);
    const { actor, unit } = filter;
    if (actor === undefined || HASHED_ACTOR.test(actor)) return filter;
    const salt = unit === undefined ? undefined : await parts.saltOf(unit);
    if (salt === undefined) {
      throw new WeirError('invalid_argument', 'a search by principal needs the unit that the principal belongs to');
    }
    return { ...filter, actor: hashActor(salt, actor) };
  }

  return {
    async query({ filter, page, oldestFirst }) {
      const size = page?.size === undefined || page.size === 0 ? PAGE_SIZE_DEFAULT : page.size;
      if (size > PAGE_SIZE_MAX) throw new WeirError('invalid_argument', `a page has at most ${PAGE_SIZE_MAX} rows`);
      const found = await store.query(await filterOf(filter), { size, cursor: page?.cursor ?? '', oldestFirst });
      return { rows: found.rows.map(encodeRow), nextCursor: found.nextCursor };
    },
    async *tail({ filter, backlog }, { signal }) {
      if (backlog > TAIL_LIMITS.backlog) {
        throw new WeirError('invalid_argument', `a backlog has at most ${TAIL_LIMITS.backlog} rows`);
      }
      for await (const row of tailRows(parts, await filterOf(filter), backlog, signal)) yield { row: encodeRow(row) };
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
      return { row: encodeRow(row), rules: bundle === '' ? new Uint8Array() : await parts.rulesOf(bundle) };
    },
  };
}

function encodeRow(row: StoredRow): MessageInitShape<typeof StoredRowSchema> {
  return {
    log: row.log,
    index: BigInt(row.index),
    row: Uint8Array.from(row.bytes),
    storedAtMs: BigInt(Math.round(row.storedAtMs)),
  };
}

function readFilter(filter: Filter | undefined): RowFilter {
  if (filter === undefined) return {};
  const texts: Record<string, string> = {};
  for (const name of ['unit', 'spoke', 'actor', 'purl', 'rule', 'log', 'action', 'outcome'] as const) {
    if (filter[name].length > FILTER_CHARS_MAX) throw new WeirError('invalid_argument', `${name} is too long`);
    // A NUL is no text to the database, and no row holds one.
    if (filter[name].includes('\0')) throw new WeirError('invalid_argument', `${name} holds a NUL character`);
    if (filter[name] !== '') texts[name] = filter[name];
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
