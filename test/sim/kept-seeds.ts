// Seeds of schedules that failed once: every run begins with them.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(import.meta.dirname, 'seeds.json');
/** A campaign that fails everywhere has one cause. */
const KEPT_AT_ONCE = 5;

export function keptSeeds(): readonly number[] {
  return (JSON.parse(readFileSync(FILE, 'utf8')) as { readonly failed_once: readonly number[] }).failed_once;
}

export function keepSeeds(seeds: readonly number[]): void {
  const all = [...new Set([...keptSeeds(), ...seeds.slice(0, KEPT_AT_ONCE)])].toSorted((a, b) => a - b);
  writeFileSync(FILE, `${JSON.stringify({ failed_once: all }, null, 2)}\n`);
}
