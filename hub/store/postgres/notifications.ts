// Hears Postgres notifications on one connection of its own. They are hints: whoever listens reads the truth afterwards,
// and every reconnection is announced as a hint too, because notifications sent meanwhile are lost.

import { setTimeout as delay } from 'node:timers/promises';
import { Client, escapeIdentifier } from 'pg';
import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';

const RECONNECT_MS = 500;

export interface Notifications {
  /** Calls `heard` with each payload on the channel, and with undefined after a gap (also once at the start). */
  subscribe(channel: string, heard: (payload: string | undefined) => void): void;
  /** Connects and keeps connected until closed. Resolves with the first connection. */
  start(): Promise<void>;
  close(): Promise<void>;
}

export function createNotifications(options: { readonly url: string; readonly logger: Logger }): Notifications {
  const listeners = new Map<string, ((payload: string | undefined) => void)[]>();
  const closing = new AbortController();
  let client: Client | undefined;
  let ended: Promise<void> = Promise.resolve();

  // The promise of the end is wrapped: returned bare, the caller's `await` would wait for it.
  async function connect(): Promise<{ readonly gone: Promise<void> }> {
    const next = new Client({
      connectionString: options.url,
      application_name: 'weir-hub-listen',
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
    });
    const gone = new Promise<void>((resolve) => next.once('end', () => resolve()));
    next.on('error', (error) => options.logger.warn({ error: error.message }, 'the notification connection broke'));
    next.on('notification', ({ channel, payload }) => {
      for (const heard of listeners.get(channel) ?? []) heard(payload ?? '');
    });
    await next.connect();
    for (const channel of listeners.keys()) await next.query(`LISTEN ${escapeIdentifier(channel)}`);
    client = next;
    for (const heard of [...listeners.values()].flat()) heard(undefined);
    return { gone };
  }

  async function keepConnected(first: Promise<void>): Promise<void> {
    let gone = first;
    while (!closing.signal.aborted) {
      await gone;
      client = undefined;
      if (closing.signal.aborted) return;
      try {
        await delay(RECONNECT_MS, undefined, { signal: closing.signal });
        gone = (await connectOnce())?.gone ?? Promise.resolve();
      } catch {
        return;
      }
    }
  }

  async function connectOnce(): Promise<{ readonly gone: Promise<void> } | undefined> {
    try {
      return await connect();
    } catch (thrown) {
      options.logger.warn({ error: describeThrown(thrown) }, 'the notification connection could not be made');
      return undefined;
    }
  }

  return {
    subscribe(channel, heard) {
      listeners.set(channel, [...(listeners.get(channel) ?? []), heard]);
    },
    async start() {
      const { gone } = await connect();
      ended = keepConnected(gone);
    },
    async close() {
      closing.abort();
      await client?.end().catch(() => undefined);
      await ended;
    },
  };
}
