// COPY … FROM STDIN on pg's own connection. A group's rows are in memory as whole protocol messages already, so there is no
// stream to manage: they are written when Postgres asks for them, and what it answers settles one promise.

import type { Connection, PoolClient, Submittable } from 'pg';

/** `d` and a length: head of a CopyData message. */
export const COPY_DATA = 0x64;
export const COPY_DATA_HEAD_BYTES = 5;
/** `c` and a length of its own four bytes. */
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/** Runs a COPY statement with these CopyData messages, in as many buffers as they come. Rejects with what Postgres says; the transaction is then over. */
export async function copyIn(client: PoolClient, statement: string, messages: readonly Buffer[]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  client.query(new CopyIn(statement, messages, resolve, reject));
  await promise;
}

/** What pg calls on a query that it runs, as far as a COPY hears of it. */
class CopyIn implements Submittable {
  readonly #statement: string;
  readonly #messages: readonly Buffer[];
  readonly #done: () => void;
  readonly #failed: (reason: unknown) => void;

  constructor(statement: string, messages: readonly Buffer[], done: () => void, failed: (reason: unknown) => void) {
    this.#statement = statement;
    this.#messages = messages;
    this.#done = done;
    this.#failed = failed;
  }

  submit(connection: Connection): void {
    connection.query(this.#statement);
  }

  handleCopyInResponse({ stream }: Connection): void {
    stream.cork();
    for (const message of this.#messages) stream.write(message);
    stream.write(COPY_DONE);
    stream.uncork();
  }

  handleCommandComplete(): void {
    // Postgres is not ready for the next statement yet.
  }

  handleReadyForQuery(): void {
    this.#done();
  }

  handleError(error: unknown): void {
    this.#failed(error);
  }
}
