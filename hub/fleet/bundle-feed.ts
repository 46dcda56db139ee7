// Tells each unit's watchers of its newest bundle. A hint (a notification from whichever replica published) makes the feed
// read the store; watchers wake and take the newest only, so a slow one never sees what was replaced meanwhile.

import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { BundleRecord, BundleStore } from '../store/bundle-store.ts';

/** Every unit's newest bundle is read again this often, should hints be lost. */
const REREAD_MS = 10_000;

export interface BundleFeed {
  /** The unit's newest bundle; null while it has none. */
  newest(unit: string): Promise<BundleRecord | null>;
  /**
   * The newest bundle at once, then again whenever it changes, and unchanged after `keepAliveMs` of silence. Ends when the
   * signal aborts.
   */
  watch(unit: string, keepAliveMs: number, signal: AbortSignal): AsyncIterable<BundleRecord | null>;
  /** Something was published for the unit, or (undefined) anything may have been. */
  hint(unit: string | undefined): void;
  /** Rereads units that are being watched until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

interface Topic {
  newest: BundleRecord | null;
  /** Counts changes of `newest`. */
  changes: number;
  /** Wake-up calls of the watchers that are waiting. A set, because promises raced against one long-lived gate pile up. */
  readonly waiting: Set<() => void>;
  watchers: number;
  loaded: Promise<void>;
}

export function createBundleFeed(options: {
  readonly store: BundleStore;
  readonly clock: Clock;
  readonly logger: Logger;
}): BundleFeed {
  const { store, clock, logger } = options;
  const topics = new Map<string, Topic>();

  async function load(unit: string, topic: Topic): Promise<void> {
    const page = await store.currentBundle(unit);
    if (page?.digest === topic.newest?.digest) return;
    topic.newest = page ?? null;
    topic.changes += 1;
    for (const wake of topic.waiting) wake();
  }

  function topicOf(unit: string): Topic {
    const known = topics.get(unit);
    if (known !== undefined) return known;
    const topic: Topic = { newest: null, changes: 0, waiting: new Set(), watchers: 0, loaded: Promise.resolve() };
    topics.set(unit, topic);
    topic.loaded = load(unit, topic);
    // A failed first read is told to whoever waits for it, and the topic is forgotten so that the next one reads again.
    topic.loaded.catch(() => topics.delete(unit));
    return topic;
  }

  function reread(unit: string, topic: Topic): void {
    topic.loaded = topic.loaded
      .then(() => load(unit, topic))
      .catch((thrown: unknown) =>
        logger.warn({ unit, error: describeThrown(thrown) }, 'the newest bundle could not be read'),
      );
  }

  return {
    async newest(unit) {
      const topic = topicOf(unit);
      await topic.loaded;
      return topic.newest;
    },
    async *watch(unit, keepAliveMs, signal) {
      const topic = topicOf(unit);
      topic.watchers += 1;
      try {
        await topic.loaded;
        while (!signal.aborted) {
          const seen = topic.changes;
          yield topic.newest;
          if (topic.changes === seen) await changeOrSilence(topic, clock, keepAliveMs, signal);
        }
      } finally {
        topic.watchers -= 1;
      }
    },
    hint(unit) {
      if (unit === undefined) for (const [name, topic] of topics) reread(name, topic);
      else {
        const topic = topics.get(unit);
        if (topic !== undefined) reread(unit, topic);
      }
    },
    async run(signal) {
      while (!signal.aborted) {
        await clock.sleep(REREAD_MS, signal).catch(() => undefined);
        for (const [unit, topic] of topics) {
          if (topic.watchers > 0) reread(unit, topic);
          else topics.delete(unit);
        }
      }
    },
  };
}

/** Waits for a change, the end of the silence, or the abort, whichever comes first; never rejects. */
async function changeOrSilence(topic: Topic, clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const over = new AbortController();
  const wake = (): void => over.abort();
  topic.waiting.add(wake);
  signal.addEventListener('abort', wake, { once: true });
  if (!signal.aborted) await clock.sleep(ms, over.signal).catch(() => undefined);
  topic.waiting.delete(wake);
  signal.removeEventListener('abort', wake);
}
