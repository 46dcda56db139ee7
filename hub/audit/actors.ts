// Pseudonyms of the people and machines in rows. Every principal has its own random salt and a pseudonym made with it, both
// kept at the hub alone; spokes are told the pseudonym in the signed identities layer and write it into their rows. Erasing
// a name and its salt makes those rows anonymous for good, without a byte of any row or proof changing.

import { hashActor } from '@weir/shared/audit/hash-actor.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { Actor, ActorStore } from '../store/actor-store.ts';
import type { EventStore } from '../store/event-store.ts';
import type { UnitStore } from '../store/unit-store.ts';

export const ACTOR_LIMITS = { characters: 200 } as const;

/** What rows call an actor. */
export const PSEUDONYM = /^h:[0-9a-f]{32}$/;

export interface Erased {
  /** Pseudonyms that nobody can be named by any more. */
  readonly pseudonyms: readonly string[];
  readonly erasedAtMs: number;
}

export interface Actors {
  /** The pseudonym of each name, made for the names that have none yet. @throws WeirError `not_found` */
  ensure(unit: string, names: readonly string[]): Promise<ReadonlyMap<string, string>>;
  /**
   * Every pseudonym under which a name stands in the unit's rows, newest first: its own, and the one that spokes made with the
   * unit's salt before they were told pseudonyms. Empty for an unknown unit. A pseudonym is answered as itself.
   */
  pseudonymsOf(unit: string, nameOrPseudonym: string): Promise<readonly string[]>;
  /** The name behind a pseudonym, undefined when it was erased or never given out. */
  nameOf(unit: string, pseudonym: string): Promise<string | undefined>;
  list(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly actors: readonly Actor[]; readonly nextCursor: string }>;
  /**
   * Forgets who somebody is. Throws `conflict` while a token of theirs is good (revoke it first), `not_found` when nobody of
   * that name or pseudonym is known. `by` is the operator.
   */
  erase(unit: string, nameOrPseudonym: string, by: string): Promise<Erased>;
}

export interface ActorsOptions {
  readonly store: ActorStore;
  readonly units: Pick<UnitStore, 'unit'>;
  readonly events: Pick<EventStore, 'insertEvent'>;
  readonly clock: Pick<Clock, 'nowMs'>;
  readonly random: Pick<Random, 'bytes'>;
  /** Publishes the unit's next bundle, so that no current one names a principal that is gone. */
  readonly republish: (unit: string) => Promise<void>;
}

const SALT_BYTES = 32;

export function createActors({ store, units, events, clock, random, republish }: ActorsOptions): Actors {
  return {
    ensure: (unit, names) =>
      store.ensureActors(unit, [...new Set(names)], (name) => {
        const salt = random.bytes(SALT_BYTES);
        return { name, salt, pseudonym: hashActor(salt, name) };
      }),
    async pseudonymsOf(unit, asked) {
      if (PSEUDONYM.test(asked)) return [asked];
      const record = await units.unit(unit);
      if (record === undefined) return [];
      return [...new Set([...(await store.pseudonymsOf(unit, asked)), hashActor(record.salt, asked)])];
    },
    async nameOf(unit, pseudonym) {
      const actor = await store.actor(unit, pseudonym);
      return actor === undefined || actor.name === '' ? undefined : actor.name;
    },
    list: (unit, page) => store.listActors(unit, page),
    async erase(unit, asked, by) {
      if (asked === '' || asked.length > ACTOR_LIMITS.characters) {
        throw new WeirError('invalid_argument', `an actor has 1 to ${ACTOR_LIMITS.characters} characters`);
      }
      if ((await units.unit(unit)) === undefined) throw new WeirError('not_found', 'there is no such unit');
      // A bundle made before the token was revoked may still be the current one, and it names the principal.
      await republish(unit);
      const outcome = await store.erase(
        unit,
        PSEUDONYM.test(asked) ? { pseudonym: asked } : { name: asked },
        clock.nowMs(),
      );
      if (outcome.kind === 'unknown') {
        throw new WeirError('not_found', 'nobody of that name or pseudonym is known in this unit', {
          next: 'names are compared letter by letter; an erased one is known no more',
        });
      }
      if (outcome.kind === 'in_use') {
        throw new WeirError('conflict', 'the actor still has tokens, and its next request would be recorded again', {
          next: `revoke first: ${outcome.tokens.map((id) => `weir token revoke ${id}`).join('; ')}`,
        });
      }
      await events.insertEvent({
        kind: 'actor_erased',
        alarm: false,
        unit,
        spoke: '',
        detail: { actors: [...outcome.pseudonyms], by },
      });
      return { pseudonyms: outcome.pseudonyms, erasedAtMs: outcome.erasedAtMs };
    },
  };
}
