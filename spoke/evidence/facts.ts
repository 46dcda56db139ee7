// Puts together what is known of one candidate from what the pipeline has at hand: the package's index, perhaps the file
// asked for, perhaps its bytes. What is not there becomes a missing fact with its reason, never an empty one.

import type { Settings } from '@weir/shared/bundle/layers.ts';
import type { PackageName } from '@weir/shared/domain/coordinate.ts';
import type { Release, ReleaseFile, Releases } from '../registries/adapter.ts';
import type { IntelIndex } from './intel-index.ts';
import type { Fact, SignalFacts } from './signals/signal.ts';

export interface PackageFacts {
  readonly name: PackageName;
  readonly releases: Fact<Releases>;
  readonly intel: Fact<IntelIndex>;
  readonly settings: Settings;
}

/** The file of an artifact request and what is known of its bytes. */
export interface ArtifactFacts {
  /** undefined: the index does not list it. */
  readonly file: ReleaseFile | undefined;
  readonly content: SignalFacts['content'];
  readonly coreMetadata: SignalFacts['coreMetadata'];
}

/** One version in a view of the whole package: no file was asked for. */
export function factsInView(known: PackageFacts, release: Release): SignalFacts {
  return {
    ...known,
    version: release.version,
    release: { known: true, value: release },
    file: NO_FILE,
    content: NO_FILE,
    coreMetadata: NO_FILE,
  };
}

/** @param version as the adapter read it from the file name, '' when it cannot tell */
export function factsOfArtifact(known: PackageFacts, version: string, artifact: ArtifactFacts): SignalFacts {
  return {
    ...known,
    version,
    release: findRelease(known.releases, version),
    file: artifact.file === undefined ? NOT_LISTED : { known: true, value: artifact.file },
    content: artifact.content,
    coreMetadata: artifact.coreMetadata,
  };
}

const NO_FILE: Fact<never> = { known: false, reason: 'not_an_artifact_request' };
const NOT_LISTED: Fact<never> = { known: false, reason: 'not_listed' };

function findRelease(releases: Fact<Releases>, version: string): Fact<Release> {
  if (!releases.known) return releases;
  const release = releases.value.releases.find((candidate) => candidate.version === version);
  return release === undefined ? NOT_LISTED : { known: true, value: release };
}
