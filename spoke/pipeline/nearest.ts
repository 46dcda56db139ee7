// The nearest allowed version, as refusals and advice name it. Judging a whole package for one hint is dear, and a client may
// ask for the same refused version over and over, so the levels of a package's versions are remembered for a moment. A hint
// that is a minute old harms nobody: what it names is judged again when it is asked for.

import { nearestAllowed, type JudgedVersion } from '../response/nearest-allowed.ts';
import type { Release, Releases } from '../registries/adapter.ts';
import type { KnownExchange } from './exchange.ts';
import { actorClass, asListed, judge } from './judge.ts';
import type { ActivePolicy, PipelinePorts } from './ports.ts';

const REMEMBERED_S = 60;

interface Judged {
  readonly policy: ActivePolicy;
  readonly who: string;
  /** Unix seconds. */
  readonly at: number;
  readonly versions: readonly JudgedVersion[];
}

export interface Nearest {
  /** '' when no version is allowed. */
  to(exchange: KnownExchange, releases: Releases, release: Release): string;
}

export function createNearest(ports: PipelinePorts): Nearest {
  /** One memory for each reading of an index document; it goes with the document. */
  const remembered = new WeakMap<Releases, Judged>();

  function judgedVersions(exchange: KnownExchange, releases: Releases): readonly JudgedVersion[] {
    const { policy, staleness } = exchange;
    const at = Math.floor(exchange.atMs / 1000);
    const who = `${staleness} ${actorClass(exchange)}`;
    const known = remembered.get(releases);
    if (known?.policy === policy && known.who === who && known.at <= at && at < known.at + REMEMBERED_S) {
      return known.versions;
    }
    const verdicts = judge(ports, exchange, 'metadata', releases, releases.releases.map(asListed));
    const versions = verdicts.map(({ level }, i) => ({ version: releases.releases[i]?.version ?? '', level }));
    remembered.set(releases, { policy, who, at, versions });
    return versions;
  }

  return {
    to(exchange, releases, release) {
      const others = judgedVersions(exchange, releases).filter(
        ({ version }) => version !== '' && version !== release.version,
      );
      return nearestAllowed(release.version, others, (a, b) => exchange.adapter.compareVersions(a, b));
    },
  };
}
