// The explicit list of signals. Adding one: its file, its table test, a line here; the input schema and the reference
// table are checked against this list.

import { age } from './age.ts';
import { indexHashMismatch } from './index-hash-mismatch.ts';
import { installScript } from './install-script.ts';
import { knownMalicious } from './known-malicious.ts';
import { licence } from './licence.ts';
import { namespaceShadow } from './namespace-shadow.ts';
import { newPackage } from './new-package.ts';
import { provenanceState } from './provenance-state.ts';
import type { Signal } from './signal.ts';
import { trustDowngrade } from './trust-downgrade.ts';
import { typosquatDistance } from './typosquat-distance.ts';
import { withdrawnState } from './withdrawn-state.ts';

/** By catalogue number. */
export const SIGNALS: readonly Signal[] = [
  knownMalicious,
  typosquatDistance,
  namespaceShadow,
  age,
  newPackage,
  trustDowngrade,
  provenanceState,
  indexHashMismatch,
  installScript,
  withdrawnState,
  licence,
];
