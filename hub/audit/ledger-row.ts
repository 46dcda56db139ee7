// A stored row with what every export and projection needs of it: the row read, its exact bytes and its leaf hash.

import { leafHash } from '@weir/shared/audit/tlog/hash.ts';
import type { AuditRow } from '@weir/shared/audit/row.ts';
import type { StoredRow } from '../store/audit-store.ts';

export interface LedgerRow {
  readonly row: AuditRow;
  /** The record itself: canonical JSON. */
  readonly bytes: Uint8Array;
  /** SHA-256(0x00 ‖ bytes): the row's place in the Merkle tree of its log. */
  readonly leaf: Buffer;
  /** When the hub stored it, unix milliseconds. */
  readonly storedAtMs: number;
}

/** Stored rows were verified when they came in; the leaf is hashed from the bytes at hand, so it cannot disagree with them. */
export function ledgerRow(stored: Pick<StoredRow, 'bytes' | 'storedAtMs'>): LedgerRow {
  const { bytes, storedAtMs } = stored;
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
  return { row: JSON.parse(text) as AuditRow, bytes, leaf: leafHash(bytes), storedAtMs };
}
