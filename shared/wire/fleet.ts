// Codec of a spoke's status report: the message on the wire, a plain value on both sides.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Status, StatusSchema } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import type { BundleRef } from '@weir/proto/weir/type/v1/type_pb.ts';
import { Mode as WireMode } from '@weir/proto/weir/type/v1/type_pb.ts';
import { type Digest, isDigest } from '../domain/digest.ts';
import type { Mode } from '../domain/unit.ts';
import { WeirError } from '../errors/weir-error.ts';

/** A bundle as one line. */
export interface BundleLine {
  readonly digest: Digest;
  readonly epoch: number;
  readonly version: number;
}

export const STALENESS_LEVELS = ['fresh', 'warn', 'restrict', 'deny'] as const;
export type StalenessLevel = (typeof STALENESS_LEVELS)[number];

export interface SpokeStatus {
  /** Null before the first activation. */
  readonly active: BundleLine | null;
  readonly mode: Mode;
  readonly staleness: StalenessLevel;
  readonly engine: string;
  readonly version: string;
  readonly startedAtMs: number;
  readonly site: string;
  readonly logs: readonly {
    readonly log: string;
    readonly nextIndex: number;
    readonly acknowledged: number;
    readonly freeBytes: number;
  }[];
  /** Code of the last refused offer, '' when the last offer was activated. */
  readonly nack: string;
  readonly nackDetail: string;
  readonly nacked: BundleLine | null;
  readonly spoolHealthy: boolean;
}

export const FLEET_LIMITS = { logs: 256, codeCharacters: 80, detailCharacters: 500 } as const;

export const WIRE_MODES = {
  block: WireMode.BLOCK,
  warn: WireMode.WARN,
  observe: WireMode.OBSERVE,
} as const satisfies Record<Mode, WireMode>;

export function encodeBundleLine(
  line: BundleLine,
): MessageInitShape<typeof import('@weir/proto/weir/type/v1/type_pb.ts').BundleRefSchema> {
  return { digest: { value: line.digest }, epoch: BigInt(line.epoch), version: BigInt(line.version) };
}

/** @throws WeirError `invalid_argument` */
export function decodeBundleLine(ref: BundleRef | undefined, field: string): BundleLine | null {
  if (ref === undefined) return null;
  const digest = ref.digest?.value;
  if (!isDigest(digest)) throw new WeirError('invalid_argument', `${field} has no digest`);
  return { digest, epoch: safe(ref.epoch, field), version: safe(ref.version, field) };
}

export function encodeStatus(status: SpokeStatus): MessageInitShape<typeof StatusSchema> {
  return {
    ...(status.active === null ? {} : { active: encodeBundleLine(status.active) }),
    mode: WIRE_MODES[status.mode],
    staleness: status.staleness,
    engine: status.engine,
    version: status.version,
    startedAtMs: BigInt(status.startedAtMs),
    site: status.site,
    logs: status.logs.map((log) => ({
      log: log.log,
      nextIndex: BigInt(log.nextIndex),
      acknowledged: BigInt(log.acknowledged),
      spoolFreeBytes: BigInt(log.freeBytes),
    })),
    nack: status.nack,
    nackDetail: status.nackDetail,
    ...(status.nacked === null ? {} : { nacked: encodeBundleLine(status.nacked) }),
    spoolHealthy: status.spoolHealthy,
  };
}

/** @throws WeirError `invalid_argument` naming every fault */
export function decodeStatus(status: Status | undefined): SpokeStatus {
  if (status === undefined) throw new WeirError('invalid_argument', 'the report has no status');
  const faults: string[] = [];
  const mode = (Object.keys(WIRE_MODES) as Mode[]).find((name) => WIRE_MODES[name] === status.mode);
  const staleness = STALENESS_LEVELS.find((level) => level === status.staleness);
  if (mode === undefined) faults.push('mode is unknown');
  if (staleness === undefined) faults.push('staleness is unknown');
  if (status.logs.length > FLEET_LIMITS.logs) faults.push(`more than ${FLEET_LIMITS.logs} logs`);
  for (const [field, text] of Object.entries({ engine: status.engine, version: status.version, site: status.site })) {
    if (text.length > FLEET_LIMITS.codeCharacters) faults.push(`${field} is too long`);
  }
  if (status.nack !== '' && !/^[a-z0-9_]{1,80}$/.test(status.nack)) faults.push('nack is not a snake_case code');
  if (faults.length > 0 || mode === undefined || staleness === undefined) {
    throw new WeirError('invalid_argument', `the status is not valid: ${faults.join('; ')}`);
  }
  return {
    active: decodeBundleLine(status.active, 'active'),
    mode,
    staleness,
    engine: status.engine,
    version: status.version,
    startedAtMs: safe(status.startedAtMs, 'started_at_ms'),
    site: status.site,
    logs: status.logs.map((log) => ({
      log: log.log.slice(0, 200),
      nextIndex: safe(log.nextIndex, 'next_index'),
      acknowledged: safe(log.acknowledged, 'acknowledged'),
      freeBytes: safe(log.spoolFreeBytes, 'spool_free_bytes'),
    })),
    nack: status.nack,
    nackDetail: status.nackDetail.slice(0, FLEET_LIMITS.detailCharacters),
    nacked: decodeBundleLine(status.nacked, 'nacked'),
    spoolHealthy: status.spoolHealthy,
  };
}

function safe(value: bigint, field: string): number {
  if (value < 0n || value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new WeirError('invalid_argument', `${field} is out of range`);
  }
  return Number(value);
}
