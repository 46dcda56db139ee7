// Encoders of the console's read models, shared by its services.

import { canonicalJson } from '@weir/shared/crypto/canonical-json.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { FleetSpoke } from '../fleet/fleet.ts';
import type { BundleLine, SpokeStatus } from '../fleet/spoke-status.ts';
import type { BundleRecord } from '../store/bundle-store.ts';
import { PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX, type PageRequest } from '../store/page.ts';
import type { PolicyVersion } from '../store/policy-store.ts';
import type { SpokeLog } from '../store/spoke-logs.ts';
import type { UnitRecord } from '../store/unit-store.ts';
import type { UnitToken } from '../store/unit-token-store.ts';
import { receiptedAtMs, receiptedOf } from './audit-messages.ts';
import { encodeBundleLine, WIRE_MODES } from './status-message.ts';

/** @throws WeirError `invalid_argument` */
export function readPage(page: { readonly size: number; readonly cursor: string } | undefined): PageRequest {
  const size = page === undefined || page.size === 0 ? PAGE_SIZE_DEFAULT : page.size;
  if (size > PAGE_SIZE_MAX) throw new WeirError('invalid_argument', `a page has at most ${PAGE_SIZE_MAX} items`);
  return { size, cursor: page?.cursor ?? '' };
}

export function encodeUnit(unit: UnitRecord, bundle: BundleRecord | null) {
  return {
    name: unit.name,
    mode: WIRE_MODES[unit.settings.mode],
    createdAtMs: BigInt(unit.createdAtMs),
    settings: canonicalJson(unit.settings),
    ...(bundle === null ? {} : { bundle: encodeBundleLine(bundle) }),
  };
}

export function encodeBundle(bundle: BundleRecord) {
  return {
    unit: bundle.unit,
    bundle: encodeBundleLine(bundle),
    issuedAtMs: BigInt(bundle.issuedAt) * 1000n,
    expiresAtMs: BigInt(bundle.expires) * 1000n,
    layers: bundle.layers.map(({ name, digest, size }) => ({ name, digest: { value: digest }, size: BigInt(size) })),
  };
}

export function encodePublished(bundle: BundleLine & { readonly unit: string }) {
  return { unit: bundle.unit, bundle: encodeBundleLine(bundle) };
}

export function encodePolicyVersion(version: PolicyVersion) {
  return {
    version: BigInt(version.version),
    digest: { value: version.digest },
    publishedAtMs: BigInt(version.publishedAtMs),
    publishedBy: version.by,
    note: version.note,
    rules: version.rules,
  };
}

export function encodeToken(token: UnitToken) {
  return {
    id: token.id,
    unit: token.unit,
    principal: token.principal,
    groups: [...token.groups],
    createdAtMs: BigInt(token.createdAtMs),
    expiresAtMs: BigInt(token.expiresAtMs ?? 0),
    revoked: token.revokedAtMs !== null,
  };
}

/** What the hub itself knows of a spoke's logs. */
export interface KnownLogs {
  readonly logs: readonly SpokeLog[];
  /** Kinds of alarms that name no log which the hub knows. */
  readonly alarms: readonly string[];
}

export function encodeSpoke(spoke: FleetSpoke, wanted: BundleRecord | null, known: KnownLogs) {
  const { status } = spoke;
  return {
    unit: spoke.unit,
    name: spoke.spoke,
    site: spoke.site,
    connected: spoke.connected,
    enrolledAtMs: BigInt(spoke.enrolledAtMs),
    lastSeenMs: BigInt(spoke.lastSeenMs ?? 0),
    certificateExpiresAtMs: BigInt(spoke.certificateExpiresAtMs),
    ...(wanted === null ? {} : { wanted: encodeBundleLine(wanted) }),
    logs: encodeLogs(status?.logs ?? [], known.logs),
    alarms: [...known.alarms],
    ...(status === null
      ? {}
      : {
          ...(status.active === null ? {} : { active: encodeBundleLine(status.active) }),
          staleness: status.staleness,
          nack: status.nack,
          nackDetail: status.nackDetail,
          mode: WIRE_MODES[status.mode],
          version: status.version,
          spoolHealthy: status.spoolHealthy,
        }),
  };
}

/** Logs that the spoke reports and logs that the hub knows, joined by log id. */
function encodeLogs(reported: SpokeStatus['logs'], known: readonly SpokeLog[]) {
  const reports = new Map(reported.map((log) => [log.log, log]));
  const stored = known.map((log) => {
    const report = reports.get(log.log);
    reports.delete(log.log);
    return {
      log: log.log,
      // A report is up to half a minute old: the hub may have more by now.
      nextIndex: BigInt(Math.max(report?.nextIndex ?? 0, log.nextIndex)),
      stored: BigInt(log.nextIndex),
      receipted: BigInt(receiptedOf(log)),
      receiptedAtMs: BigInt(receiptedAtMs(log.receipt)),
      state: log.state,
      reason: log.reason,
      alarms: [...log.alarms],
    };
  });
  const unknown = [...reports.values()].map(({ log, nextIndex, acknowledged }) => ({
    log,
    nextIndex: BigInt(nextIndex),
    stored: BigInt(acknowledged),
  }));
  return [...stored, ...unknown];
}
