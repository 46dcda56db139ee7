// Keeps the damage of a worker's audit in view: each is written down before anything is done about it, told by an event row,
// and stays until somebody accepts it. While one stands, a spoke in block mode refuses.

import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import { type NotedDamage, clearDamage, readAcceptance, readDamages, withDamage, writeDamages } from './damage-note.ts';
import type { Damage } from './find-damage.ts';
import type { LedgerDisk } from './ledger-disk.ts';
import type { LedgerEvent } from './ledger-event.ts';

/** How often somebody may have accepted the damage. */
const LOOK_EVERY_MS = 1_000;

export interface DamageWatch {
  /** What nobody has accepted yet, oldest first. */
  standing(): readonly NotedDamage[];
  /** Writes a damage down; one that is known already changes nothing. */
  note(log: string, damage: Damage): Promise<void>;
  /** Tells what has no event row yet, and looks for an acceptance; rejects when the disk or the open log is in trouble. */
  attend(): Promise<void>;
  /** Attends again and again until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface DamageWatchParts {
  readonly disk: LedgerDisk;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Resolves once the event's row is durable. */
  readonly record: (event: LedgerEvent) => Promise<unknown>;
}

/** Reads what is noted. */
export async function watchDamage(parts: DamageWatchParts): Promise<DamageWatch> {
  const { disk, clock, logger } = parts;
  let damages = await readDamages(disk);
  /** The file is written by one at a time, and always with what is known by then. */
  let writing: Promise<unknown> = Promise.resolve();
  const now = (): string => new Date(clock.nowMs()).toISOString();

  function write(): Promise<void> {
    const written = writing.then(() => (damages.length === 0 ? clearDamage(disk) : writeDamages(disk, damages)));
    writing = written.catch(() => undefined);
    return written;
  }

  async function attend(): Promise<void> {
    for (const damage of damages) {
      if (damage.told) continue;
      const { log, what, file, offset, index } = damage;
      await parts.record({
        outcome: 'log_damaged',
        detail: sentence(damage),
        facts: { log, what, file, offset, index },
      });
      damages = damages.map((each) => (each === damage ? { ...each, told: true } : each));
      await write();
    }
    if (damages.length === 0) return;
    const accepted = damages;
    const acceptance = await readAcceptance(disk);
    if (acceptance === undefined) return;
    const { who, at } = acceptance;
    const logs = [...new Set(damages.map(({ log }) => log))].join(' ').slice(0, 1_000);
    await parts.record({
      outcome: 'damage_accepted',
      detail: `${who} accepted ${damages.length} damage(s)`.slice(0, 200),
      facts: { who, at, logs, damages: damages.length },
    });
    // What was found meanwhile nobody has seen.
    if (damages !== accepted) return;
    damages = [];
    await write();
    logger.warn({ who, accepted_at: at }, 'the damage of the audit log was accepted');
  }

  return {
    standing: () => damages,
    async note(log, damage) {
      const more = withDamage(damages, log, damage, now());
      if (more === damages) return;
      // In view at once, durable before the caller goes on.
      damages = more;
      logger.error({ log, ...damage }, 'the audit log is damaged');
      await write();
    },
    attend,
    async run(signal) {
      while (!signal.aborted) {
        await attend().catch((thrown: unknown) =>
          logger.error({ error: thrown }, 'the damage of the audit log could not be told yet'),
        );
        await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
      }
    },
  };
}

/** One damage as a person reads it, at most 200 characters. */
export function sentence({ log, what, file, offset, index }: Omit<NotedDamage, 'at' | 'told'>): string {
  const where = log === '' ? file : `${file} of ${log}`;
  return `${what.replaceAll('_', ' ')} in ${where} at offset ${offset}, from row ${index} on`.slice(0, 200);
}
