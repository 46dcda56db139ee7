// A log at the hub, read over the admin port as tlog-tiles: whoever verifies it need not believe the hub.

import type { Client } from '@connectrpc/connect';
import type { AuditLogService, GetLogResponse } from '@weir/proto/weir/console/v1/audit_pb.ts';
import { readCheckpoint } from '@weir/shared/audit/tlog/checkpoint.ts';
import { TILE_WIDTH } from '@weir/shared/audit/tlog/tile.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { readCallError } from '../io/admin-client.ts';
import type { FoundLog } from './log-folder.ts';

export type LogClient = Client<typeof AuditLogService>;

/** The log as it stands now, with what the hub says beside it. Throws `not_found`, and `unsupported` for one without a key. */
export async function remoteLog(client: LogClient, log: string): Promise<FoundLog & { readonly head: GetLogResponse }> {
  const head = await client.getLog({ log });
  const note = Buffer.from(head.receipt.length > 0 ? head.receipt : head.checkpoint);
  if (note.length === 0) {
    throw new WeirError('unsupported', `${log} has no checkpoint: it is empty, or from before logs had keys`);
  }
  const { size } = readCheckpoint(note);
  const rows = bundlesOf(client, log, size);
  return {
    log,
    place: 'the hub',
    head,
    source: {
      checkpoint: () => Promise.resolve(note),
      async tile(level, index, width) {
        try {
          return Buffer.from((await client.getTile({ log, level, index: BigInt(index), width })).hashes);
        } catch (thrown) {
          if (readCallError(thrown).code === 'not_found') return undefined;
          throw thrown;
        }
      },
      entries: (index) => rows(index),
    },
    beside: { vkey: head.logVkey, binding: head.binding, hubVkey: head.hubVkey },
  };
}

/**
 * Bundles of rows in ascending order out of one stream; undefined for those that the hub does not have whole. Asking for
 * an earlier one, or a much later one, begins a new stream.
 */
export function bundlesOf(
  client: LogClient,
  log: string,
  size: number,
): (index: number) => Promise<Buffer[] | undefined> {
  let stream: AsyncIterator<{ readonly firstIndex: bigint; readonly rows: readonly Uint8Array[] }> | undefined;
  let held: { readonly first: number; readonly rows: Buffer[] } | undefined;
  let ended = false;
  let next = 0;
  return async (index) => {
    const from = index * TILE_WIDTH;
    const width = Math.min(TILE_WIDTH, size - from);
    if (stream === undefined || from !== next) {
      await stream?.return?.();
      stream = client.readRows({ log, from: BigInt(from), until: BigInt(size) })[Symbol.asyncIterator]();
      held = undefined;
      ended = false;
    }
    next = from + TILE_WIDTH;
    if (held === undefined && !ended) {
      const { done, value } = await stream.next();
      if (done === true) ended = true;
      else {
        held = {
          first: Number(value.firstIndex),
          rows: value.rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength)),
        };
      }
    }
    if (held === undefined || held.first >= from + width) return undefined;
    const { first, rows } = held;
    held = undefined;
    return first === from && rows.length === width ? rows : undefined;
  };
}
