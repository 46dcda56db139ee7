// The hub as the shipper sees it, as a port.

import type { LogOpening, LogPosition, RowBatch, UploadAnswer } from '@weir/shared/wire/audit.ts';

/** One upload stream. Every batch gets one answer, in order. */
export interface UploadStream {
  /** Resolves when the stream can take the next batch; rejects when it is broken. */
  send(batch: RowBatch): Promise<void>;
  /** Ends when the hub ends the stream; throws when it breaks. Read once. */
  readonly answers: AsyncIterable<UploadAnswer>;
  close(): void;
}

export interface AuditUplink {
  /** Opens a session for a log and tells where the hub's copy of it ends. Rejects with `unavailable`, `timeout`, `forbidden`, … */
  position(opening: LogOpening, signal: AbortSignal): Promise<LogPosition>;
  /** Leaf hashes of the hub's copy of a log from an index on, as many as it likes; none at the end of the copy. */
  leaves(log: string, from: number, signal: AbortSignal): Promise<readonly Buffer[]>;
  open(signal: AbortSignal): UploadStream;
}
