// A second, separate way to the level that the floor alone demands. The engine compares every verdict with it: should the
// join ever let an overlay lower the floor, the verdict becomes a deny and an alarm instead.

import { type Level, rank } from '../domain/level.ts';
import type { Parts } from './combine.ts';
import { lower } from './exceptions.ts';
import { STALENESS_LEVELS } from './host-reasons.ts';

export function floorAlone(parts: Parts): Level {
  let level: Level = parts.floor.ok ? STALENESS_LEVELS[parts.staleness] : 'deny';
  for (const finding of parts.floor.ok ? parts.floor.findings : []) {
    const meta = parts.rules.find('floor', finding.rule);
    const kept = meta === undefined ? finding.level : lower(finding.level, meta, parts.grants).effective;
    if (rank(kept) > rank(level)) level = kept;
  }
  return level;
}
