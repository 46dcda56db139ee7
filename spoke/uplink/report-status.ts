// Tells the hub how the spoke is: on every change and at the hub's own interval. Losing a report loses nothing; the next
// one says it all again.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { backoffMs } from './backoff.ts';
import type { HubLink, StatusReport } from './hub-link.ts';

const INTERVAL_MIN_MS = 1000;
const INTERVAL_MAX_MS = 60_000;

export interface ReporterPorts {
  readonly link: HubLink;
  readonly clock: Clock;
  readonly random: Random;
  status(): Promise<StatusReport>;
  heard(hubTimeMs: number): void;
}

export interface StatusReporter {
  /** Asks for a report now rather than at the next interval. */
  changed(): void;
  run(signal: AbortSignal): Promise<void>;
}

export function createStatusReporter(ports: ReporterPorts): StatusReporter {
  let pending = new AbortController();
  return {
    changed: () => pending.abort(),
    async run(signal) {
      let failures = 0;
      while (!signal.aborted) {
        pending = new AbortController();
        let waitMs: number;
        try {
          const answer = await ports.link.reportStatus(await ports.status(), signal);
          ports.heard(answer.hubTimeMs);
          failures = 0;
          waitMs = Math.min(INTERVAL_MAX_MS, Math.max(INTERVAL_MIN_MS, answer.intervalMs));
        } catch {
          failures += 1;
          waitMs = INTERVAL_MIN_MS + backoffMs(failures, ports.random);
        }
        if (signal.aborted) return;
        await ports.clock.sleep(waitMs, AbortSignal.any([signal, pending.signal])).catch(() => undefined);
      }
    },
  };
}
