// AuditLogService: logs with their keys and signed ends, the tiles and rows that anyone needs to verify them, proofs, and the
// hub's own check of everything it stores.

import type { AuditLogService, ProveRequest } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { spokeKeyName } from '@weir/shared/audit/tlog/names.ts';
import { ED25519, formatVkey } from '@weir/shared/audit/tlog/note.ts';
import { HASH_BYTES } from '@weir/shared/audit/tlog/hash.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { readRequestCode } from '@weir/shared/domain/request-code.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { FsckStep } from '../audit/fsck.ts';
import { storedLog, type StoredLogParts } from '../audit/log-source.ts';
import type { RowProofs } from '../audit/prove.ts';
import type { AlarmStore } from '../store/alarm-store.ts';
import type { AuditStore, LogHead } from '../store/audit-store.ts';
import { PAGE_SIZE_MAX } from '../store/page.ts';
import { cursorAfter, encodeLog, readAfter, readIndex, readLog } from './audit-messages.ts';
import { readPage } from './console-messages.ts';
import type { OperatorHandlers } from './handler.ts';

const TILE_LEVEL_MAX = 7;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export interface AuditLogParts {
  readonly workspace: string;
  readonly store: StoredLogParts['store'] & Pick<AuditStore, 'head' | 'heads' | 'byCode' | 'byId'>;
  readonly tiles: StoredLogParts['tiles'];
  readonly alarms: Pick<AlarmStore, 'list'>;
  /** Verifier line of the hub's receipt key. */
  readonly hubVkey: string;
  /** A spoke's enrolled audit key, 32 bytes; undefined for an unknown spoke. */
  readonly enrolledKey: (unit: string, spoke: string) => Promise<Uint8Array | undefined>;
  readonly prove: RowProofs;
  readonly fsck: (options: { readonly log: string; readonly signal: AbortSignal }) => AsyncIterable<FsckStep>;
}

export function auditLogService(parts: AuditLogParts): OperatorHandlers<typeof AuditLogService> {
  const { store, alarms, hubVkey } = parts;

  async function headOf(log: string): Promise<LogHead> {
    const head = await store.head(readLog(log));
    if (head === undefined)
      throw new WeirError('not_found', `there is no log ${log}`, { next: 'see `weir fleet list`' });
    return head;
  }

  async function spokeVkey(unit: string, spoke: string): Promise<string> {
    const key = await parts.enrolledKey(unit, spoke);
    return key === undefined ? '' : formatVkey(spokeKeyName(parts.workspace, unit, spoke), key, ED25519);
  }

  /** Kinds of open alarms by log, of one unit or all. */
  async function alarmsOf(filter: { readonly unit?: string; readonly log?: string }) {
    const kinds = new Map<string, string[]>();
    for (let cursor = ''; ; ) {
      const page = await alarms.list({ ...filter, openOnly: true }, { size: PAGE_SIZE_MAX, cursor });
      for (const { log, kind } of page.alarms) kinds.set(log, [...(kinds.get(log) ?? []), kind]);
      if (page.nextCursor === '') return kinds;
      cursor = page.nextCursor;
    }
  }

  async function headsPage(
    request: { readonly unit: string; readonly spoke: string },
    page: Parameters<typeof readPage>[0],
  ) {
    const { size, cursor } = readPage(page);
    const heads = await store.heads({
      ...(request.unit === '' ? {} : { unit: request.unit }),
      ...(request.spoke === '' ? {} : { spoke: request.spoke }),
      after: readAfter(cursor),
      limit: size,
    });
    return { heads, nextCursor: cursorAfter(heads, size) };
  }

  async function placeOf({ row }: ProveRequest): Promise<{ readonly log: string; readonly index: number }> {
    if (row.case === 'place') return { log: readLog(row.value.log), index: readIndex(row.value.index) };
    if (row.case === undefined) throw new WeirError('invalid_argument', 'a proof is of one row: name it');
    const found = row.case === 'code' ? await byCode(row.value) : await byId(row.value);
    if (found === undefined) {
      throw new WeirError('not_found', `no row has the ${row.case === 'code' ? 'request code' : 'id'} ${row.value}`, {
        next: 'rows of a spoke that cannot reach the hub arrive later; that spoke can prove them itself',
      });
    }
    return found;
  }

  function byCode(text: string) {
    const code = readRequestCode(text);
    if (code === undefined) throw new WeirError('invalid_argument', 'a request code has 8 letters and digits');
    return store.byCode(code);
  }

  function byId(id: string) {
    if (!UUID.test(id)) throw new WeirError('invalid_argument', 'the id of a row is a version 7 UUID in lower case');
    return store.byId(id);
  }

  return {
    async listLogs({ unit, spoke, page }) {
      const [{ heads, nextCursor }, kinds] = await Promise.all([
        headsPage({ unit, spoke }, page),
        alarmsOf(unit === '' ? {} : { unit }),
      ]);
      return { logs: heads.map((head) => encodeLog(head, kinds.get(head.log) ?? [])), nextCursor };
    },

    async listKeys({ unit, spoke, log, page }) {
      if (unit === '' && spoke === '' && log === '') return { hub: hubVkey };
      const { heads, nextCursor } =
        log === '' ? await headsPage({ unit, spoke }, page) : { heads: [await headOf(log)], nextCursor: '' };
      const writers = new Map<string, { readonly unit: string; readonly spoke: string }>();
      // A spoke that has not recorded anything has a key all the same.
      if (unit !== '' && spoke !== '') writers.set(`${unit}/${spoke}`, { unit, spoke });
      for (const head of heads) writers.set(`${head.unit}/${head.spoke}`, head);
      return {
        hub: hubVkey,
        spokes: await Promise.all(
          [...writers.values()].map(async (writer) => ({
            unit: writer.unit,
            spoke: writer.spoke,
            vkey: await spokeVkey(writer.unit, writer.spoke),
          })),
        ),
        logs: heads.map((head) => ({ log: head.log, vkey: head.vkey, binding: Uint8Array.from(head.binding) })),
        nextCursor,
      };
    },

    async prove(request) {
      const { log, index } = await placeOf(request);
      const { size, proof, vkey } = await parts.prove(log, index);
      return {
        log,
        index: BigInt(index),
        size: BigInt(size),
        proof: Buffer.from(proof, 'utf8'),
        logVkey: vkey,
        hubVkey,
      };
    },

    async getLog({ log }) {
      const head = await headOf(log);
      const [kinds, spoke] = await Promise.all([alarmsOf({ log }), spokeVkey(head.unit, head.spoke)]);
      return {
        log: encodeLog(head, kinds.get(log) ?? []),
        checkpoint: Uint8Array.from(head.checkpoint),
        receipt: Uint8Array.from(head.receipt),
        binding: Uint8Array.from(head.binding),
        logVkey: head.vkey,
        spokeVkey: spoke,
        hubVkey,
      };
    },

    async getTile({ log, level, index, width }) {
      if (level > TILE_LEVEL_MAX) throw new WeirError('invalid_argument', `a tile is of level 0 to ${TILE_LEVEL_MAX}`);
      if (width < 1 || width > TILE_WIDTH) throw new WeirError('invalid_argument', `a tile is 1 to ${TILE_WIDTH} wide`);
      const tile = await storedLog(parts, await headOf(log)).tile(level, readIndex(index), width);
      if (tile?.length !== width * HASH_BYTES) throw new WeirError('not_found', `${log} has no such tile`);
      return { hashes: Uint8Array.from(tile) };
    },

    async *readRows({ log, from, until }, { signal }) {
      const head = await headOf(log);
      const end = Math.min(readIndex(until), head.nextIndex);
      for (let next = readIndex(from); next < end && !signal.aborted; ) {
        // To the end of a bundle, so that callers who read bundles get them whole.
        const limit = Math.min(TILE_WIDTH - (next % TILE_WIDTH), end - next);
        const rows = await store.rowsFrom(log, next, limit);
        const first = rows[0];
        if (first === undefined || first.index >= end) return;
        // Rows that retention has moved to a copy are passed over: the first index says so.
        yield { firstIndex: BigInt(first.index), rows: rows.map(({ bytes }) => Uint8Array.from(bytes)) };
        next = first.index + rows.length;
      }
    },

    async *fsck({ log }, { signal }) {
      for await (const step of parts.fsck({ log: log === '' ? '' : readLog(log), signal })) yield encodeStep(step);
    },
  };
}

function encodeStep(step: FsckStep) {
  switch (step.kind) {
    case 'progress':
      return {
        step: {
          case: 'progress' as const,
          value: { log: step.log, rows: BigInt(step.rows), total: BigInt(step.total) },
        },
      };
    case 'log':
      return {
        step: {
          case: 'log' as const,
          value: {
            log: step.log,
            rows: BigInt(step.rows),
            moved: BigInt(step.moved),
            root: step.root,
            faults: step.faults.map(({ index, what }) => ({ index: BigInt(index), what })),
          },
        },
      };
    case 'summary':
      return {
        step: {
          case: 'summary' as const,
          value: { logs: BigInt(step.logs), rows: BigInt(step.rows), faulty: BigInt(step.faulty) },
        },
      };
    default:
      return step satisfies never;
  }
}
