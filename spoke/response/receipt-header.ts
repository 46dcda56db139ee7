// What whoever installs something can keep: which row tells of it, where that row stands, and its leaf hash, from which anybody
// can prove later that the row is, or is not, in the log. A dictionary of RFC 9651.

export const RECEIPT_HEADER = 'weir-receipt';

/** Where a durable row stands. */
export interface Recorded {
  readonly id: string;
  readonly log: string;
  readonly index: number;
  /** The row's leaf hash in the log's tree. */
  readonly leaf: Buffer;
}

/** All of it is ASCII, and none of it can hold a quotation mark. */
export function receiptHeader({ id, log, index, leaf }: Recorded): string {
  return `row="${id}", log="${log}", index=${index}, leaf=:${leaf.toString('base64')}:`;
}
