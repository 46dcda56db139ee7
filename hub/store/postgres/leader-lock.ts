// The leader's lock as a session lock of Postgres: it lives exactly as long as its connection, so a killed hub frees it at
// once. All locks of a process share one connection that is looked after from both ends: this side asks a question every
// moment, and Postgres is told to drop a peer that no longer acknowledges.

import { setInterval as every } from 'node:timers';
import { Client } from 'pg';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { LeaderLock } from '../../audit/leader.ts';

const CONNECT_TIMEOUT_MS = 5_000;
/** Between questions, and how long an answer may take. */
const ALIVE_MS = 2_000;
const ANSWER_MS = 5_000;
/** First half of every lock's number; the second is the name's hash. */
const LOCK_SPACE = 0x7765_6c6b;
/** Seconds and milliseconds after which Postgres takes a silent peer for dead: about as long as this side needs to notice. */
const SERVER_SIDE = `SET tcp_keepalives_idle = 4; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 2;
  SET tcp_user_timeout = 8000`;

export interface LeaderLocks extends LeaderLock {
  /** Gives every lock back. */
  close(): Promise<void>;
}

interface Session {
  readonly client: Client;
  readonly held: Set<string>;
  readonly lost: AbortController;
}

/** Connects at the first attempt to take a lock. */
export function createLeaderLocks(options: { readonly url: string; readonly logger: Logger }): LeaderLocks {
  const { logger } = options;
  let session: Promise<Session> | undefined;
  let closed = false;
  // One connection answers one question at a time.
  let turn: Promise<unknown> = Promise.resolve();

  function ask<Result>(work: () => Promise<Result>): Promise<Result> {
    const answer = turn.then(work, work);
    turn = answer.catch(() => undefined);
    return answer;
  }

  async function connect(): Promise<Session> {
    const client = new Client({
      connectionString: options.url,
      application_name: 'weir-hub-leader',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      query_timeout: ANSWER_MS,
      keepAlive: true,
    });
    const made: Session = { client, held: new Set(), lost: new AbortController() };
    client.on('error', (error) => logger.debug({ error: error.message }, 'the connection of the leader locks broke'));
    client.once('end', () => end(made));
    try {
      await client.connect();
      await client.query(SERVER_SIDE);
    } catch (thrown) {
      drop(client);
      throw thrown;
    }
    const alive = every(() => {
      ask(() => client.query('SELECT 1')).catch((thrown: unknown) => {
        logger.warn({ error: describeThrown(thrown) }, 'the connection of the leader locks does not answer');
        end(made);
        drop(client);
      });
    }, ALIVE_MS);
    alive.unref();
    made.lost.signal.addEventListener('abort', () => clearInterval(alive), { once: true });
    return made;
  }

  function end(ended: Session): void {
    if (ended.lost.signal.aborted) return;
    session = undefined;
    ended.held.clear();
    ended.lost.abort();
  }

  async function connected(): Promise<Session> {
    session ??= connect();
    try {
      return await session;
    } catch (thrown) {
      session = undefined;
      throw thrown;
    }
  }

  return {
    async take(name) {
      if (closed) return undefined;
      const { client, held, lost } = await connected();
      // A session may take its own lock again: two leaders of one process must not both have it.
      if (held.has(name)) return undefined;
      held.add(name);
      let taken = false;
      try {
        const { rows } = await ask(() =>
          client.query<{ taken: boolean }>('SELECT pg_try_advisory_lock($1, hashtext($2)) AS taken', [
            LOCK_SPACE,
            name,
          ]),
        );
        taken = rows[0]?.taken === true;
      } finally {
        if (!taken) held.delete(name);
      }
      if (!taken) return undefined;
      return {
        lost: lost.signal,
        async release() {
          if (lost.signal.aborted || !held.delete(name)) return;
          try {
            await ask(() => client.query('SELECT pg_advisory_unlock($1, hashtext($2))', [LOCK_SPACE, name]));
          } catch {
            // A connection that cannot unlock is ended, which unlocks.
            drop(client);
          }
        },
      };
    },
    async close() {
      closed = true;
      const open = session;
      if (open === undefined) return;
      const { client } = await open;
      await ask(() => client.end()).catch(() => undefined);
    },
  };
}

/** Ends a connection whose other side may not answer. */
function drop(client: Client): void {
  client.end().catch(() => undefined);
  (client as unknown as { readonly connection: { readonly stream: { destroy(): void } } }).connection.stream.destroy();
}
