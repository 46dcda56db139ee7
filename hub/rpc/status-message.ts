// Codec of a spoke's status report and of the bundles that it names.

import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Status } from '@weir/proto/weir/fleet/v1/fleet_pb.ts';
import type { BundleRef, BundleRefSchema } from '@weir/proto/weir/type/v1/type_pb.ts';
import { Mode as WireMode } from '@weir/proto/weir/type/v1/type_pb.ts';
import { isDigest } from '@weir/shared/domain/digest.ts';
import type { Mode } from '@weir/shared/domain/unit.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import { type BundleLine, type SpokeStatus, STALENESS_LEVELS } from '../fleet/spoke-status.ts';

export const FLEET_LIMITS = { logs: 256, codeCharacters: 80, detailCharacters: 500 } as const;

export const WIRE_MODES = {
  block: WireMode.BLOCK,
  warn: WireMode.WARN,
  observe: WireMode.OBSERVE,
} as const satisfies Record<Mode, WireMode>;

export function encodeBundleLine(line: BundleLine): MessageInitShape<typeof BundleRefSchema> {
  return { digest: { value: line.digest }, epoch: BigInt(line.epoch), version: BigInt(line.version) };
}

/** @throws WeirError `invalid_argument` */
export function decodeBundleLine(ref: BundleRef | undefined, field: string): BundleLine | null {
  if (ref === undefined) return null;
  const digest = ref.digest?.value;
  if (!isDigest(digest)) throw new WeirError('invalid_argument', `${field} has no digest`);
  return { digest, epoch: safe(ref.epoch, field), version: safe(ref.version, field) };
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
