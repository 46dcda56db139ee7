// The bundle of one process of the spoke: verified, compiled and self-tested here, whatever another process has already
// found, because a process trusts no word about a bundle, only its bytes.

import { ENGINE_LEVEL } from '@weir/shared/bundle/manifest.ts';
import { parseTrustRoot } from '@weir/shared/bundle/trust-root.ts';
import { createEngine, type PolicyEngine } from '@weir/shared/policy/engine.ts';
import { createStrikes } from '@weir/shared/policy/strikes.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { createActivator, type ActivationOutcome, type Activator } from './bundle/activate.ts';
import { createBundleHolder, type BundleHolder } from './bundle/active-bundle.ts';
import type { BundleDisk } from './bundle/bundle-disk.ts';
import type { BundleSource } from './bundle/fetch-bundle.ts';
import { createVerdictCache } from './decision/verdict-cache.ts';
import { buildIntelIndex } from './evidence/intel-index.ts';
import { createAuthenticator } from './identity/authenticate.ts';
import type { ActivePolicy } from './pipeline/ports.ts';

export interface PolicyOptions {
  readonly disk: BundleDisk;
  readonly source: BundleSource;
  readonly workspace: string;
  readonly unit: string;
  /** Canonical JSON of the pinned trust root. */
  readonly trustRoot: string;
  readonly clock: Clock;
  /** A policy's deadline is about its own work: waiting for a busy machine must not count as looping. */
  readonly cpuClock: Pick<Clock, 'monotonicMs'>;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Whether this process writes bundles to the disk; the others read what it wrote. */
  readonly ownsDisk: boolean;
  readonly settled?: (outcome: ActivationOutcome) => void;
}

export interface SpokePolicy {
  readonly activator: Activator;
  readonly holder: BundleHolder<ActivePolicy>;
}

export function createPolicy(options: PolicyOptions): SpokePolicy {
  const { unit, workspace, clock, cpuClock, logger, metrics } = options;
  const verdicts = createVerdictCache();
  const holder = createBundleHolder<ActivePolicy>((next) => verdicts.activate(next.digest));
  const strikes = createStrikes();
  const activator = createActivator<PolicyEngine, ActivePolicy>({
    disk: options.disk,
    source: options.source,
    builder: {
      compile: (layers, { manifest, digest }) =>
        createEngine({
          floor: layers.floor,
          overlay: layers.overlay,
          rules: layers.rules,
          exceptions: layers.exceptions,
          settings: layers.settings,
          unit,
          bundle: digest,
          readsVersion: manifest.reads_version,
          clock: cpuClock,
          strikes,
          onEvent: (event) => {
            metrics.count('weir_spoke_engine_events_total', { kind: event.kind });
            logger.error({ ...event }, 'the policy engine reports trouble');
          },
        }),
      ask: (engine, layer, input) => engine.evaluateLayer(layer, input),
      prepare: (layers, { digest }, engine) => ({
        digest,
        settings: layers.settings,
        rules: layers.rules,
        intel: buildIntelIndex(layers.intel),
        authenticator: createAuthenticator(layers.identities, layers.settings),
        engine,
        verdicts,
      }),
      discard: (engine) => engine.close(),
    },
    holder,
    trustRoot: parseTrustRoot(Buffer.from(options.trustRoot)),
    workspace,
    unit,
    engineLevel: ENGINE_LEVEL,
    clock,
    logger,
    metrics,
    ownsDisk: options.ownsDisk,
    ...(options.settled === undefined ? {} : { settled: options.settled }),
  });
  return { activator, holder };
}
