// The hub as the shipper sees it, as a port.

import type { RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';

/** One upload stream. Every batch gets one answer, in order. */
export interface UploadStream {
  /** Resolves when the stream can take the next batch; rejects when it is broken. */
  send(batch: RowBatch): Promise<void>;
  /** Ends when the hub ends the stream; throws when it breaks. Read once. */
  readonly answers: AsyncIterable<UploadAnswer>;
  close(): void;
}

export interface AuditUplink {
  /** Where the hub's copy of the log ends. Rejects with `unavailable`, `timeout`, `forbidden`, … */
  position(log: string, signal: AbortSignal): Promise<number>;
  open(signal: AbortSignal): UploadStream;
}
