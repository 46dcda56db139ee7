// How a spoke comes to its identity: invited by an operator, joined once with a one-time token, renewed under its
// certificate, given up or revoked. Every refusal that an honest spoke would not cause is an alarm.

import { createPublicKey, verify } from 'node:crypto';
import { auditKeyFault } from '@weir/shared/audit/tlog/audit-key.ts';
import type { JsonObject } from '@weir/shared/domain/json.ts';
import { tokenHash } from '@weir/shared/domain/token.ts';
import { UNIT_NAME } from '@weir/shared/domain/unit.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { EnrollmentStore } from '../store/enrollment-store.ts';
import type { EventKind, EventStore } from '../store/event-store.ts';
import type { UnitStore } from '../store/unit-store.ts';
import type { CertificateAuthority } from './certificate-authority.ts';
import type { SpokeName } from './spiffe-id.ts';

export const INVITE_TTL_DEFAULT_S = 600;
export const INVITE_TTL_MAX_S = 7 * 86_400;
const JOIN_TOKEN = /^weirjoin_[A-Za-z0-9_-]{43}$/;

export interface EnrollmentOptions {
  readonly workspace: string;
  readonly certificateTtlMs: number;
  readonly authority: CertificateAuthority;
  readonly store: EnrollmentStore;
  readonly units: UnitStore;
  readonly events: EventStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Told when a spoke's certificates stopped being good, so that its connections can be closed. */
  readonly onDenied: () => Promise<void>;
}

export interface Invitation {
  /** Shown once. */
  readonly joinToken: string;
  readonly expiresAtMs: number;
}

export interface JoinRequestValue {
  readonly joinToken: string;
  readonly spoke: string;
  readonly csr: Uint8Array;
  readonly logKey: Uint8Array;
  readonly logKeyProof: Uint8Array;
  readonly site: string;
  readonly engine: string;
}

export interface IssuedIdentity extends SpokeName {
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly caBundle: string;
  readonly notAfterMs: number;
  readonly unitSalt: Uint8Array;
}

export interface Enrollment {
  invite(request: {
    readonly unit: string;
    readonly spoke: string;
    /** 0 means the default. */
    readonly ttlS: number;
    readonly replace: boolean;
    readonly by: string;
  }): Promise<Invitation>;
  join(request: JoinRequestValue): Promise<IssuedIdentity>;
  renew(peer: SpokeName & { readonly serial: string }, csr: Uint8Array): Promise<IssuedIdentity>;
  leave(peer: SpokeName, reason: string): Promise<void>;
  /** @returns how many certificates this revoked */
  revoke(unit: string, spoke: string, reason: string, by: string): Promise<number>;
}

export function createEnrollment(options: EnrollmentOptions): Enrollment {
  const { authority, store, units, events, clock, random, logger, metrics, workspace } = options;

  async function record(
    kind: EventKind,
    alarm: boolean,
    unit: string,
    spoke: string,
    detail: JsonObject = {},
  ): Promise<void> {
    if (alarm) {
      metrics.count('weir_hub_alarms_total', { kind });
      logger.warn({ kind, unit, spoke }, 'alarm at the hub');
    } else {
      logger.info({ kind, unit, spoke }, 'hub event');
    }
    await events.insertEvent({ kind, alarm, unit, spoke, detail });
  }

  async function saltOf(unit: string): Promise<Uint8Array> {
    const found = await units.unit(unit);
    if (found === undefined) throw new WeirError('not_found', `there is no unit ${unit}`);
    return found.salt;
  }

  return {
    async invite({ unit, spoke, ttlS, replace, by }) {
      if (!UNIT_NAME.test(spoke)) {
        throw new WeirError('invalid_argument', `${JSON.stringify(spoke.slice(0, 60))} is no spoke name`, {
          next: 'use a lower-case letter, then up to 39 lower-case letters, digits or hyphens',
        });
      }
      if (ttlS > INVITE_TTL_MAX_S) {
        throw new WeirError('invalid_argument', `an invitation lasts at most ${INVITE_TTL_MAX_S} seconds`);
      }
      await saltOf(unit);
      const now = clock.nowMs();
      if (!replace && (await store.hasLiveIdentity(unit, spoke, now))) {
        throw new WeirError('conflict', `spoke ${spoke} of unit ${unit} has a live identity`, {
          next: 'choose another name, revoke the spoke, or invite with --replace to let the new one take over',
        });
      }
      const joinToken = `weirjoin_${Buffer.from(random.bytes(32)).toString('base64url')}`;
      const expiresAtMs = now + (ttlS === 0 ? INVITE_TTL_DEFAULT_S : ttlS) * 1000;
      await store.insertJoinToken({
        sha256: tokenHash(joinToken),
        unit,
        spoke,
        replaces: replace,
        createdBy: by,
        createdAtMs: now,
        expiresAtMs,
      });
      await record('spoke_invited', false, unit, spoke, { by, replace });
      return { joinToken, expiresAtMs };
    },

    async join(request) {
      checkJoin(request);
      const now = clock.nowMs();
      const burnt = await store.burnJoinToken(tokenHash(request.joinToken), now);
      const refusal = new WeirError('unauthenticated', 'the join token is not valid', {
        next: 'ask for a new invitation: a token works once, for one spoke, for a short time',
      });
      if (burnt.kind === 'unknown') {
        await record('join_token_unknown', true, '', '', { claimed: request.spoke.slice(0, 40) });
        throw refusal;
      }
      const { unit, spoke, expiresAtMs, replaces } = burnt.token;
      if (burnt.kind === 'reused') {
        await record('join_token_reused', true, unit, spoke);
        throw refusal;
      }
      if (expiresAtMs <= now) {
        await record('join_token_expired', true, unit, spoke);
        throw refusal;
      }
      if (request.spoke !== spoke) {
        await record('join_token_wrong_spoke', true, unit, spoke, { claimed: request.spoke.slice(0, 40) });
        throw refusal;
      }
      const salt = await saltOf(unit);
      const name = { workspace, unit, spoke };
      const issued = await authority.issueSpoke(name, request.csr, { fromMs: now, ttlMs: options.certificateTtlMs });
      const outcome = await store.enroll(
        { unit, name: spoke, site: request.site, engine: request.engine, logKey: request.logKey, enrolledAtMs: now },
        { serial: issued.serial, unit, spoke, issuedAtMs: now, notAfterMs: issued.notAfterMs },
        replaces,
      );
      if (outcome === 'live') {
        await record('join_over_live_identity', true, unit, spoke);
        throw new WeirError('conflict', `spoke ${spoke} of unit ${unit} has a live identity; it was not replaced`, {
          next: 'invite with --replace if the new one shall take over',
        });
      }
      await options.onDenied();
      await record(replaces ? 'spoke_replaced' : 'spoke_joined', false, unit, spoke, { site: request.site });
      metrics.count('weir_hub_joins_total');
      return {
        ...name,
        chain: issued.chain,
        caBundle: authority.certificate,
        notAfterMs: issued.notAfterMs,
        unitSalt: salt,
      };
    },

    async renew({ unit, spoke, serial }, csr) {
      const now = clock.nowMs();
      const salt = await saltOf(unit);
      const name = { workspace, unit, spoke };
      const issued = await authority.issueSpoke(name, csr, { fromMs: now, ttlMs: options.certificateTtlMs });
      const outcome = await store.renew(serial, {
        serial: issued.serial,
        unit,
        spoke,
        issuedAtMs: now,
        notAfterMs: issued.notAfterMs,
      });
      if (outcome === 'refused') {
        await record('renewal_refused', true, unit, spoke, { serial });
        throw new WeirError('forbidden', 'this identity may not be renewed', { next: 'ask for a new invitation' });
      }
      metrics.count('weir_hub_renewals_total');
      return {
        ...name,
        chain: issued.chain,
        caBundle: authority.certificate,
        notAfterMs: issued.notAfterMs,
        unitSalt: salt,
      };
    },

    async leave({ unit, spoke }, reason) {
      await store.revokeSpoke(unit, spoke, 'left', clock.nowMs());
      await record('spoke_left', false, unit, spoke, { reason: reason.slice(0, 200) });
      await options.onDenied();
    },

    async revoke(unit, spoke, reason, by) {
      const revoked = await store.revokeSpoke(unit, spoke, 'denied', clock.nowMs());
      if (revoked === undefined) throw new WeirError('not_found', `unit ${unit} has no spoke ${spoke}`);
      await record('spoke_revoked', false, unit, spoke, { reason: reason.slice(0, 200), by });
      await options.onDenied();
      return revoked;
    },
  };
}

/** What can be refused without looking at the token's record; nothing is burnt by it. */
function checkJoin(request: JoinRequestValue): void {
  const faults: string[] = [];
  if (!JOIN_TOKEN.test(request.joinToken)) faults.push('join_token has not the shape of one');
  if (!/^[A-Za-z0-9._-]{0,63}$/.test(request.site)) faults.push('site is not up to 63 letters, digits, dots, hyphens');
  if (!/^[A-Za-z0-9./_-]{0,40}$/.test(request.engine)) faults.push('engine is malformed');
  const keyFault = auditKeyFault(request.logKey);
  if (keyFault !== undefined) faults.push(`log_key is not usable: ${keyFault}`);
  else if (!provesLogKey(request)) faults.push('log_key_proof does not prove possession of the log key');
  if (faults.length > 0) throw new WeirError('invalid_argument', `the join is not valid: ${faults.join('; ')}`);
}

/** The log key signs the 32 bytes of the join token's SHA-256. */
function provesLogKey({ joinToken, logKey, logKeyProof }: JoinRequestValue): boolean {
  try {
    const key = createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(logKey).toString('base64url') },
      format: 'jwk',
    });
    return verify(null, Buffer.from(tokenHash(joinToken), 'hex'), key, logKeyProof);
  } catch {
    return false;
  }
}
