// The receipts that were kept while a log grew, held against the tree as it grows again before an auditor: each must give
// the root that the tree has at its size.

import { WeirError } from '../errors/weir-error.ts';
import { openReceipt, type Receipt } from './tlog/checkpoint.ts';
import type { TreeEdge } from './tlog/edge.ts';
import type { Verifier } from './tlog/note.ts';

export class ReceiptTrail {
  receipts = 0;
  /** Of the newest receipt that held, 0 and null without any. */
  receiptedSize = 0;
  receiptTimeS: number | null = null;
  readonly #source: (() => AsyncIterable<Buffer>) | undefined;
  readonly #keys: { readonly log: Verifier; readonly hub?: Verifier };
  readonly #found: (index: number, what: string) => void;
  #iterator: AsyncIterator<Buffer> | undefined;
  #next: Receipt | undefined;
  #logSize = 0;

  /** `found` is told the last row of what a wrong receipt covers, -1 when the receipt itself is refused. */
  constructor(
    source: (() => AsyncIterable<Buffer>) | undefined,
    keys: { readonly log: Verifier; readonly hub?: Verifier },
    found: (index: number, what: string) => void,
  ) {
    this.#source = source;
    this.#keys = keys;
    this.#found = found;
  }

  /** Size at which `compare` is due; -1 when no receipt is left. */
  get nextSize(): number {
    return this.#next === undefined ? -1 : this.#next.checkpoint.size;
  }

  /** Before the first row: `edge` is that of the empty tree. */
  async start(edge: TreeEdge, logSize: number): Promise<void> {
    this.#logSize = logSize;
    if (this.#keys.hub !== undefined) this.#iterator = this.#source?.()[Symbol.asyncIterator]();
    await this.#advance(0);
    await this.compare(edge);
  }

  async compare(edge: TreeEdge): Promise<void> {
    const root = edge.root();
    while (this.#next !== undefined && this.#next.checkpoint.size === edge.size) {
      if (root.equals(this.#next.checkpoint.root)) this.matched(edge.size, this.#next.timeS);
      else this.#found(edge.size - 1, 'up to this row the log is not the one that the hub has receipted');
      await this.#advance(edge.size);
    }
  }

  matched(size: number, timeS: number): void {
    this.receipts += 1;
    this.receiptedSize = size;
    this.receiptTimeS = timeS;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#iterator?.return?.();
  }

  async #advance(from: number): Promise<void> {
    this.#next = undefined;
    const { log, hub } = this.#keys;
    if (this.#iterator === undefined || hub === undefined) return;
    for (;;) {
      const { done, value } = await this.#iterator.next();
      if (done === true) return;
      try {
        const receipt = openReceipt(value, { log, hub });
        const { size } = receipt.checkpoint;
        if (size > this.#logSize) {
          this.#found(-1, `the hub has receipted ${size} rows, but the log ends at ${this.#logSize}`);
        } else if (size < from) {
          this.#found(-1, `the receipts are not in order: ${size} stands after ${from}`);
        } else {
          this.#next = receipt;
          return;
        }
      } catch (thrown) {
        if (!(thrown instanceof WeirError) || thrown.code !== 'untrusted') throw thrown;
        this.#found(-1, `a receipt is refused: ${thrown.message}`);
      }
    }
  }
}
