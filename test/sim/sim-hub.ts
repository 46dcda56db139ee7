// Replicas of the hub in the simulated world: the real ingest, each in a process that can die, over one database.

import { createIngest, type Ingest } from '@weir/hub/audit/ingest.ts';
import { createOwnLeaves, type OwnLeaves } from '@weir/hub/audit/own-leaves.ts';
import { pastRoot } from '@weir/hub/audit/past-root.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import { enrolledKey, hubSigner, WORKSPACE } from './sim-keys.ts';
import type { SimDatabase } from './sim-database.ts';
import type { Process, World } from './world.ts';

export interface Replica {
  readonly process: Process;
  readonly ingest: Ingest;
  readonly leaves: OwnLeaves;
  /** Streams and calls that break when it dies. */
  readonly onDeath: Set<() => void>;
}

export interface SimHubs {
  start(): void;
  /** SIGKILL. */
  crash(replica: Replica): void;
  readonly alive: readonly Replica[];
  /** Of all replicas' wall clocks against the world's, milliseconds. */
  skewMs: number;
}

export function createHubs(
  world: World,
  db: SimDatabase,
  { logger, metrics }: { readonly logger: (name: string) => Logger; readonly metrics: Metrics },
): SimHubs {
  let alive: readonly Replica[] = [];
  let started = 0;
  let skewMs = 0;
  return {
    get alive() {
      return alive;
    },
    get skewMs() {
      return skewMs;
    },
    set skewMs(ms) {
      skewMs = ms;
      for (const { process } of alive) process.skewMs = ms;
    },
    start() {
      started += 1;
      const process = world.process(`hub${started}`);
      process.skewMs = skewMs;
      const { store, alarms } = db.connect(process);
      const ingest = createIngest({
        store,
        alarms,
        workspace: WORKSPACE,
        enrolledKey: () => Promise.resolve(enrolledKey),
        receiptKey: hubSigner,
        rootAt: (log, size) =>
          pastRoot(
            { store: { ...store, rowsFrom: async () => [] }, tiles: { tiles: async () => new Map() } },
            log,
            size,
          ),
        clock: world.clock(process),
        logger: logger(process.name),
        metrics,
      });
      alive = [...alive, { process, ingest, leaves: createOwnLeaves(store), onDeath: new Set() }];
      world.note(`${process.name} starts`);
    },
    crash(replica) {
      alive = alive.filter((each) => each !== replica);
      world.note(`${replica.process.name} dies`);
      world.kill(replica.process);
      for (const tell of Array.from(replica.onDeath)) tell();
    },
  };
}
