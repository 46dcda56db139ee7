// Who is refused although the certificate is genuine, kept in memory because every call asks. Read again whenever a
// replica says that it changed; when a reading fails, what was known stays.

import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Denials, EnrollmentStore } from '../store/enrollment-store.ts';

export interface Denylist {
  isDenied(peer: { readonly unit: string; readonly spoke: string; readonly serial: string }): boolean;
  /** Reads the store; never throws. Concurrent calls share one reading that begins after the last of them. */
  refresh(): Promise<void>;
}

export function createDenylist(options: {
  readonly store: EnrollmentStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How long after its expiry a certificate could still be shown for renewal. */
  readonly graceMs: number;
  readonly onChange: () => void;
}): Denylist {
  let known: Denials = { spokes: new Set(), serials: new Set() };
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;

  async function read(): Promise<void> {
    try {
      known = await options.store.denials(options.clock.nowMs() - options.graceMs);
      options.onChange();
    } catch (thrown) {
      options.logger.error({ error: describeThrown(thrown) }, 'the denylist could not be read; the last one stays');
    }
  }

  async function readAfter(previous: Promise<void>): Promise<void> {
    await previous;
    next = undefined;
    running = read();
    await running;
  }

  return {
    isDenied: ({ unit, spoke, serial }) => known.spokes.has(`${unit}/${spoke}`) || known.serials.has(serial),
    async refresh() {
      next ??= readAfter(running ?? Promise.resolve());
      await next;
    },
  };
}
