// Codec of the audit stream: messages on the wire, plain values on both sides.

import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type LeavesRequest,
  type LeavesResponse,
  type LeavesResponseSchema,
  LogState as WireLogState,
  type PositionRequest,
  type PositionRequestSchema,
  type PositionResponse,
  type PositionResponseSchema,
  type UploadRequest,
  type UploadRequestSchema,
  type UploadResponse,
  type UploadResponseSchema,
} from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { LOG_ID_MAX } from '../audit/log-id.ts';
import { HASH_BYTES } from '../audit/tlog/hash.ts';
import { WeirError } from '../errors/weir-error.ts';

/** Rows in one batch. */
export const BATCH_ROWS_MAX = 256;
/** Row bytes in one batch. */
export const BATCH_BYTES_MAX = 1 << 20;
/** Bytes of a signed note about one log. */
const NOTE_MAX = 4 << 10;
const INSTANCE_MAX = 64;
const INSTANCE = /^[A-Za-z0-9-]{1,64}$/;

/** Consecutive rows of one log, exact bytes. */
export interface RowBatch {
  readonly log: string;
  readonly firstIndex: number;
  readonly rows: readonly Uint8Array[];
  /** Signed tree head after the last row. */
  readonly checkpoint: Uint8Array;
  /** Consistency proof from the tree before the first row to that of the checkpoint. */
  readonly proof: readonly Uint8Array[];
}

/** What a spoke says when it opens a session for a log. */
export interface LogOpening {
  readonly log: string;
  /** The log's key, bound to the spoke's enrolled audit key: a signed note. */
  readonly binding: Uint8Array;
  /** Names the running process. */
  readonly instance: string;
  /** Signed at the log's durable size; empty for an empty log. */
  readonly checkpoint: Uint8Array;
  /** Newest receipt that the spoke holds, empty when it has none. */
  readonly receipt: Uint8Array;
}

/** Where a log stands at the hub. */
export interface LogPosition {
  readonly nextIndex: number;
  /** Receipt for exactly `nextIndex` rows, empty for an empty log. */
  readonly receipt: Uint8Array;
  readonly state: 'open' | 'closed';
  /** Why it is closed, one snake_case word; '' while it is open. */
  readonly reason: string;
}

/**
 * Why a batch was refused. `gap`: the sender resumes from `nextIndex`. `overloaded`, `unavailable`: the same batch again
 * after a pause. `closed`: the hub takes no more rows of this log, for the reason in `detail`. `unknown_key`: the log has
 * not been opened. The others close the log: none is cured by sending again.
 */
export const NACK_CODES = [
  'gap',
  'overloaded',
  'unavailable',
  'wrong_identity',
  'malformed',
  'not_canonical',
  'too_large',
  'unsound',
  'fork',
  'closed',
  'bad_signature',
  'inconsistent',
  'unknown_key',
] as const;
export type NackCode = (typeof NACK_CODES)[number];

export type UploadAnswer =
  /** Every row below `nextIndex` is committed; `receipt` is the spoke's checkpoint for them, cosigned by the hub. */
  | { readonly kind: 'ack'; readonly log: string; readonly nextIndex: number; readonly receipt: Uint8Array }
  | {
      readonly kind: 'nack';
      readonly log: string;
      /** Where the hub's copy ends; meaningful for `gap` and `fork`. */
      readonly nextIndex: number;
      readonly code: NackCode;
      readonly detail: string;
      /** 0 when retrying makes no sense, or when nothing needs waiting for. */
      readonly retryAfterMs: number;
    };

export function encodeBatch(batch: RowBatch): MessageInitShape<typeof UploadRequestSchema> {
  const { log, firstIndex, rows, checkpoint, proof } = batch;
  return {
    batch: { log, firstIndex: BigInt(firstIndex), rows: [...rows], checkpoint, consistencyProof: [...proof] },
  };
}

/** @throws WeirError `invalid_argument` */
export function decodeBatch(request: UploadRequest): RowBatch {
  const { batch } = request;
  if (batch === undefined) throw new WeirError('invalid_argument', 'an upload message carries a batch');
  if (batch.log.length > LOG_ID_MAX) throw new WeirError('invalid_argument', 'the log id is too long');
  const { log, firstIndex, rows, checkpoint, consistencyProof: proof } = batch;
  return { log, firstIndex: indexOf(firstIndex), rows, checkpoint, proof };
}

export function encodeAnswer(answer: UploadAnswer): MessageInitShape<typeof UploadResponseSchema> {
  const nextIndex = BigInt(answer.nextIndex);
  if (answer.kind === 'ack') {
    return { result: { case: 'ack', value: { log: answer.log, nextIndex, receipt: answer.receipt } } };
  }
  const { log, code, detail, retryAfterMs } = answer;
  return { result: { case: 'nack', value: { log, nextIndex, code, detail, retryAfterMs } } };
}

/** An unknown refusal code reads as `malformed`: not cured by sending again. @throws WeirError `invalid_argument` */
export function decodeAnswer(response: UploadResponse): UploadAnswer {
  const { result } = response;
  switch (result.case) {
    case 'ack':
      return {
        kind: 'ack',
        log: result.value.log,
        nextIndex: indexOf(result.value.nextIndex),
        receipt: result.value.receipt,
      };
    case 'nack': {
      const { log, detail, retryAfterMs } = result.value;
      const code = NACK_CODES.find((known) => known === result.value.code) ?? 'malformed';
      return { kind: 'nack', log, nextIndex: indexOf(result.value.nextIndex), code, detail, retryAfterMs };
    }
    case undefined:
      throw new WeirError('invalid_argument', 'the hub sent an empty answer');
    default:
      return result satisfies never;
  }
}

export function encodeOpening(opening: LogOpening): MessageInitShape<typeof PositionRequestSchema> {
  const { log, binding: logKey, instance, checkpoint, receipt } = opening;
  return { log, logKey, instance, checkpoint, receipt };
}

/** @throws WeirError `invalid_argument` */
export function decodeOpening(request: PositionRequest): LogOpening {
  const { log, logKey: binding, instance, checkpoint, receipt } = request;
  const faults: string[] = [];
  if (log.length > LOG_ID_MAX) faults.push('the log id is too long');
  if (!INSTANCE.test(instance)) faults.push(`the instance is not 1 to ${INSTANCE_MAX} letters, digits and dashes`);
  for (const [name, note] of Object.entries({ binding, checkpoint, receipt })) {
    if (note.length > NOTE_MAX) faults.push(`the ${name} is larger than ${NOTE_MAX} bytes`);
  }
  if (faults.length > 0) throw new WeirError('invalid_argument', faults.join('; '));
  return { log, binding, instance, checkpoint, receipt };
}

export function encodePosition(position: LogPosition): MessageInitShape<typeof PositionResponseSchema> {
  const { receipt, reason } = position;
  const state = position.state === 'open' ? WireLogState.OPEN : WireLogState.CLOSED;
  return { nextIndex: BigInt(position.nextIndex), receipt, state, reason };
}

/** @throws WeirError `invalid_argument` */
export function decodePosition(response: PositionResponse): LogPosition {
  const { receipt, reason } = response;
  const nextIndex = indexOf(response.nextIndex);
  switch (response.state) {
    case WireLogState.OPEN:
      return { nextIndex, receipt, state: 'open', reason: '' };
    case WireLogState.CLOSED:
      return { nextIndex, receipt, state: 'closed', reason };
    case WireLogState.UNSPECIFIED:
    default:
      throw new WeirError('invalid_argument', 'the hub did not say whether the log is open');
  }
}

export function decodeLeavesQuestion({ log, from }: LeavesRequest): { readonly log: string; readonly from: number } {
  if (log.length > LOG_ID_MAX) throw new WeirError('invalid_argument', 'the log id is too long');
  return { log, from: indexOf(from) };
}

export function encodeLeaves(leaves: readonly Uint8Array[]): MessageInitShape<typeof LeavesResponseSchema> {
  return { hashes: Buffer.concat(leaves) };
}

/** @throws WeirError `invalid_argument` */
export function decodeLeaves({ hashes }: LeavesResponse): readonly Buffer[] {
  if (hashes.length % HASH_BYTES !== 0) throw new WeirError('invalid_argument', 'the hub sent a part of a hash');
  const all = Buffer.from(hashes.buffer, hashes.byteOffset, hashes.byteLength);
  return Array.from({ length: all.length / HASH_BYTES }, (_, i) => all.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
}

function indexOf(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WeirError('invalid_argument', 'a row index is too large');
  return Number(value);
}
