// What the policy service needs of whoever publishes: gates, then one signed bundle per unit. `main.ts` passes it in.

import type { GateFinding } from '../floor/gate-finding.ts';
import type { BundleRecord } from '../store/bundle-store.ts';
import type { SourceFile } from '../store/policy-store.ts';

export interface PublishOutcome {
  /** False when a gate objected, or for a dry run. */
  readonly published: boolean;
  readonly findings: readonly GateFinding[];
  /** Version of the sources, 0 when nothing was published. */
  readonly version: number;
  readonly bundles: readonly BundleRecord[];
}

export interface Publisher {
  publishFloor(request: {
    readonly files: readonly SourceFile[];
    readonly note: string;
    readonly dryRun: boolean;
    readonly by: string;
  }): Promise<PublishOutcome>;
  /** Throws `not_found` for an unknown unit. */
  publishOverlay(request: {
    readonly unit: string;
    readonly files: readonly SourceFile[];
    readonly note: string;
    readonly dryRun: boolean;
    readonly by: string;
  }): Promise<PublishOutcome>;
  /** `weir.intel/v1` JSON; one bundle for every unit. Throws `invalid_argument` naming the faults. */
  publishIntel(bytes: Uint8Array, by: string): Promise<readonly BundleRecord[]>;
  /** `weir.exceptions/v1` JSON, replacing those in force. */
  publishExceptions(bytes: Uint8Array, by: string): Promise<readonly BundleRecord[]>;
  /** The unit's next bundle after its settings or tokens changed; undefined while there is no floor. */
  republish(unit: string): Promise<BundleRecord | undefined>;
}
