// Whether a version is among those that a malicious-package record names: an exact list, half-open ranges, or both; a
// record with neither means every version of its name.

import type { Intel } from '@weir/shared/bundle/layers.ts';
import type { Ecosystem } from '@weir/shared/domain/coordinate.ts';
import { memoByObject } from './memo-by-object.ts';
import { VERSION_ORDERS } from './version-order.ts';

export type MaliciousRecord = Intel['malicious']['records'][number];

/** `incomparable`: the record has bounds that this version, or the bounds themselves, cannot be ordered against. */
export type Affected = 'yes' | 'no' | 'incomparable';

/** @param version '' when unknown: then only a record of the whole name can say yes */
export function affects(record: MaliciousRecord, version: string): Affected {
  if (coversEveryVersion(record)) return 'yes';
  if (version === '') return 'incomparable';
  if (record.versions.length > 0) {
    const listed = listedVersions(record);
    if (listed.has(version) || listed.has(VERSION_ORDERS[record.ecosystem].normal(version))) return 'yes';
  }
  let answer: Affected = 'no';
  for (const range of record.ranges) {
    const inside = isInside(record.ecosystem, version, range);
    if (inside === 'yes') return 'yes';
    if (inside === 'incomparable') answer = 'incomparable';
  }
  return answer;
}

function coversEveryVersion(record: MaliciousRecord): boolean {
  if (record.versions.length === 0 && record.ranges.length === 0) return true;
  return record.ranges.some((range) => startsAtTheBeginning(range.introduced) && range.fixed === '');
}

const listedVersions = memoByObject(
  (record: MaliciousRecord) =>
    new Set(record.versions.flatMap((version) => [version, VERSION_ORDERS[record.ecosystem].normal(version)])),
);

function isInside(ecosystem: Ecosystem, version: string, range: MaliciousRecord['ranges'][number]): Affected {
  const order = VERSION_ORDERS[ecosystem];
  const fromStart = startsAtTheBeginning(range.introduced) ? 1 : order.compare(version, range.introduced);
  const toEnd = range.fixed === '' ? -1 : order.compare(version, range.fixed);
  // One bound that certainly excludes the version settles it, whatever the other one is.
  if ((fromStart !== undefined && fromStart < 0) || (toEnd !== undefined && toEnd >= 0)) return 'no';
  return fromStart === undefined || toEnd === undefined ? 'incomparable' : 'yes';
}

/** The dataset's own mark for "from the first version on". */
function startsAtTheBeginning(introduced: string): boolean {
  return introduced === '0' || introduced === '';
}
