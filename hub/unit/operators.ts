// Who may use the admin port: bearers of an operator token, `weirop_<43 base64url characters>`, kept as its SHA-256.

import { timingSafeEqual } from 'node:crypto';
import { tokenHash } from '@weir/shared/domain/token.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { EventStore } from '../store/event-store.ts';
import type { OperatorToken, OperatorTokenStore } from '../store/operator-token-store.ts';

const TOKEN = /^weirop_[A-Za-z0-9_-]{43}$/;
/** Active tokens are kept this long before they are read again. */
const FRESH_MS = 2_000;

export interface Operators {
  /** A new token, returned here and nowhere else, ever. */
  create(name: string): Promise<string>;
  /** How many tokens open the port now. */
  count(): Promise<number>;
  /** @throws WeirError `unauthenticated` */
  authenticate(authorization: string | null): Promise<{ readonly id: string; readonly name: string }>;
}

export function createOperators(options: {
  readonly store: OperatorTokenStore;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly random: Random;
}): Operators {
  const { store, events, clock, random } = options;
  let known: { readonly atMs: number; readonly tokens: readonly OperatorToken[] } | undefined;

  async function active(): Promise<readonly OperatorToken[]> {
    const now = clock.monotonicMs();
    if (known === undefined || now - known.atMs > FRESH_MS) {
      known = { atMs: now, tokens: await store.activeOperatorTokens(clock.nowMs()) };
    }
    return known.tokens;
  }

  return {
    async create(name) {
      const secret = `weirop_${Buffer.from(random.bytes(32)).toString('base64url')}`;
      await store.insertOperatorToken({ id: random.uuid(), name, sha256: tokenHash(secret), expiresAtMs: null });
      await events.insertEvent({ kind: 'operator_token_created', alarm: false, unit: '', spoke: '', detail: { name } });
      known = undefined;
      return secret;
    },
    count: async () => (await active()).length,
    async authenticate(authorization) {
      const refusal = new WeirError('unauthenticated', 'this call needs a valid operator token', {
        next: 'pass --token-file, or set WEIR_HOME to the home whose hub wrote operator-token',
      });
      const presented = /^Bearer ([^\s]{1,200})$/i.exec(authorization ?? '')?.[1];
      if (presented === undefined || !TOKEN.test(presented)) throw refusal;
      const hash = Buffer.from(tokenHash(presented), 'hex');
      let found: OperatorToken | undefined;
      // Every token is compared, in constant time each: nothing tells how near a guess was.
      for (const token of await active()) {
        if (timingSafeEqual(hash, Buffer.from(token.sha256, 'hex'))) found = token;
      }
      if (found === undefined || (found.expiresAtMs !== null && found.expiresAtMs <= clock.nowMs())) throw refusal;
      return { id: found.id, name: found.name };
    },
  };
}
