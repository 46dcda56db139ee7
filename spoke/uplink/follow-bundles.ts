// Keeps the spoke on its unit's newest bundle: the watch stream while it lasts, a poll whenever it does not. What arrives
// is only an offer; fetching, verifying and activating is the `bundle` folder's work, handed in as a function.

import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { backoffMs } from './backoff.ts';
import type { BundleOffer, HubLink, HubOffer } from './hub-link.ts';

/** Poll interval while no stream delivers, milliseconds. */
export const POLL_MS = 30_000;
/** The hub repeats its offer at least this often; a stream silent for longer is dead whatever TCP thinks. */
export const STREAM_SILENCE_MS = 45_000;
/** Delay before an offer that failed to activate for a passing reason is tried again. */
export const RETRY_OFFER_MS = 5_000;

export interface FollowerPorts {
  readonly link: HubLink;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** What runs now. */
  active(): BundleOffer | null;
  /** Fetches, verifies and activates; resolves once settled either way, `retry` when trying again may help. */
  activate(offer: BundleOffer, signal: AbortSignal): Promise<{ readonly retry: boolean }>;
  /** Called when the hub offers what runs already. */
  inStep(): void;
  /** Called with every word from the hub; feeds staleness. */
  heard(hubTimeMs: number): void;
}

/** Runs until the signal aborts. Offers are handled one at a time and only the newest waiting one is kept. */
export async function followBundles(ports: FollowerPorts, signal: AbortSignal): Promise<void> {
  const offers = createNewestOnly(ports);
  await Promise.all([watchLoop(ports, offers, signal), pollLoop(ports, offers, signal), offers.run(signal)]);
}

function nothing(): void {
  // Nobody waits.
}

interface NewestOnly {
  put(offer: HubOffer): void;
  lastHeardMs(): number;
  run(signal: AbortSignal): Promise<void>;
}

function createNewestOnly(ports: FollowerPorts): NewestOnly {
  let waiting: BundleOffer | null = null;
  /** What the hub last offered, whatever became of it. */
  let newest: BundleOffer | null = null;
  let wake = nothing;
  let heardMs = Number.NEGATIVE_INFINITY;
  return {
    put(offer) {
      heardMs = ports.clock.monotonicMs();
      ports.heard(offer.hubTimeMs);
      newest = offer.bundle;
      if (offer.bundle === null) return;
      if (offer.bundle.digest === ports.active()?.digest) {
        ports.inStep();
        return;
      }
      waiting = offer.bundle;
      wake();
    },
    lastHeardMs: () => heardMs,
    async run(signal) {
      signal.addEventListener('abort', () => wake(), { once: true });
      while (!signal.aborted) {
        if (waiting === null) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        const offer: BundleOffer = waiting;
        waiting = null;
        const { retry } = await ports.activate(offer, signal);
        if (retry && waiting === null && !signal.aborted) {
          // A newer offer does not wait for this one's second chance.
          const pause = new AbortController();
          wake = () => pause.abort();
          await quietly(ports.clock.sleep(RETRY_OFFER_MS, AbortSignal.any([signal, pause.signal])));
          // Unless the hub has thought better of it meanwhile.
          if (newest?.digest === offer.digest) waiting ??= offer;
        }
      }
    },
  };
}

async function watchLoop(ports: FollowerPorts, offers: NewestOnly, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const stream = new AbortController();
    const stop = (): void => stream.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    try {
      const silence = watchSilence(ports.clock, offers, stream);
      ports.metrics.gauge('weir_uplink_connected', 1);
      for await (const offer of ports.link.watch(ports.active(), stream.signal)) {
        failures = 0;
        offers.put(offer);
      }
      stream.abort();
      await silence;
    } catch (thrown) {
      if (!signal.aborted) ports.logger.info({ reason: describeThrown(thrown) }, 'hub watch stream ended');
    } finally {
      stream.abort();
      signal.removeEventListener('abort', stop);
      ports.metrics.gauge('weir_uplink_connected', 0);
    }
    failures += 1;
    await quietly(ports.clock.sleep(backoffMs(failures, ports.random), signal));
  }
}

/** Ends a stream that has said nothing for too long. */
async function watchSilence(clock: Clock, offers: NewestOnly, stream: AbortController): Promise<void> {
  const openedMs = clock.monotonicMs();
  while (!stream.signal.aborted) {
    await quietly(clock.sleep(STREAM_SILENCE_MS / 3, stream.signal));
    const since = clock.monotonicMs() - Math.max(openedMs, offers.lastHeardMs());
    if (since > STREAM_SILENCE_MS) stream.abort(new Error('the hub fell silent'));
  }
}

/** The last resort: asks once per interval, but only when no stream has spoken meanwhile. */
async function pollLoop(ports: FollowerPorts, offers: NewestOnly, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await quietly(ports.clock.sleep(POLL_MS * (0.8 + 0.4 * ports.random.unit()), signal));
    if (signal.aborted || ports.clock.monotonicMs() - offers.lastHeardMs() < POLL_MS) continue;
    try {
      offers.put(await ports.link.current(signal));
    } catch (thrown) {
      if (!signal.aborted) ports.logger.debug({ reason: describeThrown(thrown) }, 'hub poll failed');
    }
  }
}

async function quietly(wait: Promise<void>): Promise<void> {
  await wait.catch(() => undefined);
}
