// COPY … TO STDOUT on pg's own connection, into one block of memory: the driver's own row reader makes text of every column,
// which for long binary rows costs more than all the rest.

import { type Connection, type PoolClient, type Submittable } from 'pg';

/** Signature, flags and length of no extension; and the mark of the end. */
const HEADER_BYTES = 19;
const TRAILER_BYTES = 2;
const FIRST_BYTES = 1 << 20;

/** Tuples of a binary COPY, without its header and trailer. Rejects with what Postgres says. */
export async function copyOut(client: PoolClient, statement: string): Promise<Uint8Array<ArrayBuffer>> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array<ArrayBuffer>>();
  client.query(new CopyOut(statement, resolve, reject));
  return promise;
}

/** What pg calls on a query that it runs, as far as a COPY hears of it. */
class CopyOut implements Submittable {
  readonly #statement: string;
  readonly #done: (bytes: Uint8Array<ArrayBuffer>) => void;
  readonly #failed: (reason: unknown) => void;
  #bytes = new Uint8Array(FIRST_BYTES);
  #end = 0;

  constructor(statement: string, done: (bytes: Uint8Array<ArrayBuffer>) => void, failed: (reason: unknown) => void) {
    this.#statement = statement;
    this.#done = done;
    this.#failed = failed;
  }

  submit(connection: Connection): void {
    connection.query(this.#statement);
  }

  /** The driver uses its memory again for the next message: what is kept is copied. */
  handleCopyData({ chunk }: { readonly chunk: Uint8Array }): void {
    if (this.#end + chunk.length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#end + chunk.length));
      larger.set(this.#bytes.subarray(0, this.#end));
      this.#bytes = larger;
    }
    this.#bytes.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  handleCommandComplete(): void {
    // Postgres is not ready for the next statement yet.
  }

  handleReadyForQuery(): void {
    this.#done(this.#bytes.subarray(HEADER_BYTES, Math.max(HEADER_BYTES, this.#end - TRAILER_BYTES)));
  }

  handleError(error: unknown): void {
    this.#failed(error);
  }
}
