// Codec of the audit stream: messages on the wire, plain values on both sides.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  PositionResponse,
  UploadRequest,
  UploadRequestSchema,
  UploadResponse,
  UploadResponseSchema,
} from '@weir/proto/weir/audit/v1/audit_pb.ts';
import { LOG_ID_MAX } from '../audit/log-id.ts';
import { WeirError } from '../errors/weir-error.ts';

/** Rows in one batch. */
export const BATCH_ROWS_MAX = 256;
/** Row bytes in one batch. */
export const BATCH_BYTES_MAX = 1 << 20;

/** Consecutive rows of one log, exact bytes. */
export interface RowBatch {
  readonly log: string;
  readonly firstIndex: number;
  readonly rows: readonly Uint8Array[];
}

/**
 * Why a batch was refused. `gap`: the sender resumes from `nextIndex`. `overloaded`, `unavailable`: the same batch again
 * after a pause. The others cannot be cured by sending again.
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
] as const;
export type NackCode = (typeof NACK_CODES)[number];

export type UploadAnswer =
  /** Every row below `nextIndex` is committed; `receipt` is the hub's cosignature, empty while logs carry no checkpoints. */
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
  return { batch: { log: batch.log, firstIndex: BigInt(batch.firstIndex), rows: [...batch.rows] } };
}

/** @throws WeirError `invalid_argument` */
export function decodeBatch(request: UploadRequest): RowBatch {
  const { batch } = request;
  if (batch === undefined) throw new WeirError('invalid_argument', 'an upload message carries a batch');
  if (batch.log.length > LOG_ID_MAX) throw new WeirError('invalid_argument', 'the log id is too long');
  return { log: batch.log, firstIndex: indexOf(batch.firstIndex), rows: batch.rows };
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

/** @throws WeirError `invalid_argument` */
export function decodePosition(response: PositionResponse): number {
  return indexOf(response.nextIndex);
}

function indexOf(value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new WeirError('invalid_argument', 'a row index is too large');
  return Number(value);
}
