// The package that a row is about, in the parts that other schemas want. A purl that cannot be taken apart is kept whole as
// the name: nothing that a row says is dropped because it is unusual.

import type { AuditRow } from '@weir/shared/audit/row.ts';

export interface PackageParts {
  /** purl type, e.g. `npm`; '' when the purl has none. */
  readonly type: string;
  readonly namespace: string;
  /** With its namespace, as its users write it. */
  readonly name: string;
  /** '' when the row is about all versions. */
  readonly version: string;
  readonly purl: string;
  /** Hash name as the row has it (`sha256`, `sha512`, …) and its value; both '' when unknown. */
  readonly algorithm: string;
  readonly hash: string;
}

/** Undefined for a row that is about no package. */
export function packageOf(row: AuditRow): PackageParts | undefined {
  const { purl, digest } = row.subject;
  if (purl === '') return undefined;
  const colon = digest.indexOf(':');
  const [algorithm, hash] = colon < 1 ? ['', ''] : [digest.slice(0, colon), digest.slice(colon + 1)];
  const whole = { type: '', namespace: '', name: purl, version: '', purl, algorithm, hash };
  const match = /^pkg:([A-Za-z0-9.+-]+)\/([^?#]+)(?:[?#].*)?$/.exec(purl);
  if (match === null) return whole;
  const [, type = '', path = ''] = match;
  const at = path.lastIndexOf('@');
  const segments = decoded((at < 1 ? path : path.slice(0, at)).split('/'));
  const version = decoded(at < 1 ? [] : [path.slice(at + 1)]);
  if (segments === undefined || version === undefined) return whole;
  return {
    ...whole,
    type: type.toLowerCase(),
    namespace: segments.slice(0, -1).join('/'),
    name: segments.join('/'),
    version: version[0] ?? '',
  };
}

function decoded(segments: readonly string[]): readonly string[] | undefined {
  try {
    return segments.map((segment) => decodeURIComponent(segment));
  } catch {
    return undefined;
  }
}
