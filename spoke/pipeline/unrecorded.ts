// Answers that could not be written down are counted, and the first row that can be again says how many there were, since
// when, and what became of them: a gap in what is known is itself known.

import { asWeirError } from '@weir/shared/errors/weir-error.ts';
import type { Mode } from '@weir/shared/domain/unit.ts';
import { eventRow } from './event-row.ts';
import type { PipelinePorts } from './ports.ts';

export interface Unrecorded {
  /** @param atMs unix milliseconds of the answer that has no row */
  missed(atMs: number, mode: Mode): void;
  /** Called when a row was made durable. */
  recorded(): void;
}

export function createUnrecorded(ports: PipelinePorts): Unrecorded {
  let refused = 0;
  let served = 0;
  let sinceMs = 0;

  async function tell(): Promise<void> {
    const detail = `${refused} refused and ${served} served since ${new Date(sinceMs).toISOString()}`;
    const before = { refused, served };
    refused = 0;
    served = 0;
    try {
      const level = before.served > 0 ? 'warn' : 'deny';
      await ports.log.append(eventRow(ports, { outcome: 'answers_unrecorded', level, status: 0, detail, bundle: '' }));
    } catch (thrown) {
      // Told with the next row, then.
      refused += before.refused;
      served += before.served;
      const { code } = asWeirError(thrown, 'spool_failed', 'the event could not be recorded');
      ports.logger.error({ code, detail }, 'answers without a row could not be told of yet');
    }
  }

  return {
    missed(atMs, mode) {
      if (refused + served === 0) sinceMs = atMs;
      if (mode === 'block') refused += 1;
      else served += 1;
    },
    recorded() {
      if (refused + served > 0) void tell();
    },
  };
}
