// Renews the spoke's certificate at half of its remaining life, retrying with jitter until it succeeds. Open streams keep
// the connection they have; new ones use the new certificate.

import { describeThrown } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { backoffMs } from './backoff.ts';

/** Never ask more often than this, whatever the certificate says. */
const RENEW_MIN_MS = 5000;

export interface RenewalPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Unix milliseconds at which the present certificate ends. */
  notAfterMs(): number;
  /** Obtains, stores and installs a new certificate. */
  renew(signal: AbortSignal): Promise<void>;
}

export async function renewIdentity(ports: RenewalPorts, signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const remainingMs = ports.notAfterMs() - ports.clock.nowMs();
    const waitMs =
      failures === 0 ? Math.max(RENEW_MIN_MS, remainingMs / 2) : RENEW_MIN_MS + backoffMs(failures, ports.random);
    await ports.clock.sleep(waitMs, signal).catch(() => undefined);
    if (signal.aborted) return;
    try {
      await ports.renew(signal);
      failures = 0;
    } catch (thrown) {
      failures += 1;
      ports.logger.warn({ reason: describeThrown(thrown), failures }, 'certificate renewal failed, trying again');
    }
  }
}
