// Tokens that clients show to a unit's spokes. Making or revoking one publishes the unit's next bundle, because spokes learn
// of it from the signed identities layer alone.

import { formatToken, tokenHash } from '@weir/shared/domain/token.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { EventStore } from '../store/event-store.ts';
import type { UnitToken, UnitTokenStore } from '../store/unit-token-store.ts';

export const UNIT_TOKEN_LIMITS = { groups: 200, characters: 200, ttlS: 10 * 366 * 86_400 } as const;

export interface UnitTokens {
  /** The secret is returned here and nowhere else, ever. `ttlS` 0 means no expiry. */
  create(request: {
    readonly unit: string;
    readonly principal: string;
    readonly groups: readonly string[];
    readonly ttlS: number;
    readonly by: string;
  }): Promise<{ readonly token: UnitToken; readonly secret: string }>;
  revoke(id: string, by: string): Promise<UnitToken>;
  list(
    unit: string,
    page: { readonly size: number; readonly cursor: string },
  ): Promise<{ readonly tokens: readonly UnitToken[]; readonly nextCursor: string }>;
}

export interface UnitTokensOptions {
  readonly store: UnitTokenStore;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly republish: (unit: string) => Promise<void>;
}

export function createUnitTokens({ store, events, clock, random, republish }: UnitTokensOptions): UnitTokens {
  return {
    async create({ unit, principal, groups, ttlS, by }) {
      const { characters } = UNIT_TOKEN_LIMITS;
      const faults: string[] = [];
      if (!isLabel(principal, characters)) faults.push(`principal is not 1 to ${characters} printable characters`);
      if (groups.length > UNIT_TOKEN_LIMITS.groups) faults.push(`more than ${UNIT_TOKEN_LIMITS.groups} groups`);
      if (!groups.every((group) => isLabel(group, characters)))
        faults.push('a group is empty, too long or not printable');
      if (ttlS > UNIT_TOKEN_LIMITS.ttlS) faults.push('the time to live is longer than ten years');
      if (faults.length > 0) throw new WeirError('invalid_argument', `the token is not valid: ${faults.join('; ')}`);
      const secret = formatToken(unit, random.bytes(32));
      const token = await store.insertToken({
        id: random.uuid(),
        unit,
        sha256: tokenHash(secret),
        principal,
        kind: 'token',
        groups,
        expiresAtMs: ttlS === 0 ? null : clock.nowMs() + ttlS * 1000,
      });
      await events.insertEvent({
        kind: 'unit_token_created',
        alarm: false,
        unit,
        spoke: '',
        detail: { id: token.id, by },
      });
      await republish(unit);
      return { token, secret };
    },
    async revoke(id, by) {
      const token = await store.revokeToken(id);
      if (token === undefined)
        throw new WeirError('not_found', 'there is no such token', { next: 'see `weir token list`' });
      await events.insertEvent({
        kind: 'unit_token_revoked',
        alarm: false,
        unit: token.unit,
        spoke: '',
        detail: { id, by },
      });
      await republish(token.unit);
      return token;
    },
    list: (unit, page) => store.listTokens(unit, page),
  };
}

function isLabel(text: string, max: number): boolean {
  return text.length > 0 && text.length <= max && /^[\P{C}]+$/u.test(text);
}
