// What the lead of a spoke knows of its workers, and they of it. A worker owns a share of the requests and a log of its own;
// the lead does what is done once per spoke. They are one process or several: nothing here says which.

import type { MetricValues } from '@weir/shared/telemetry/metrics.ts';
import type { Rules } from '@weir/shared/bundle/layers.ts';
import type { Digest } from '@weir/shared/domain/digest.ts';
import type { ShipperStats } from './audit/shipper.ts';
import type { HubTimeNote } from './hub-clock.ts';
import type { CheckResult } from './pipeline/check.ts';
import type { SpokeEvent } from './pipeline/event-row.ts';
import type { SpoolDepth, SpoolRoom } from './audit/spool-room.ts';
import type { StatusReport } from './uplink/hub-link.ts';

export type LogStatus = StatusReport['logs'][number] & {
  /** Of an open log: what waits for the hub's receipt, and how long there is room. */
  readonly room?: SpoolRoom & SpoolDepth;
  /** Whether rows can be added to it. */
  readonly healthy: boolean;
  readonly upload: ShipperStats;
};

export interface WorkerStatus {
  /** `w0`, `w1`, … */
  readonly name: string;
  readonly pid: number;
  /** Of the bundle that it enforces, null while there is none. */
  readonly bundle: Digest | null;
  /** Files of its logs are damaged, and nobody has accepted that. */
  readonly damaged: boolean;
  /** Its open log first. */
  readonly logs: readonly LogStatus[];
}

/** A row as JSON and the texts of the bundle that explain it. */
export interface Explained {
  readonly row: unknown;
  readonly rules: Rules | null;
}

/** A worker as the lead sees it. Each call may reject with `unavailable` when the worker ends meanwhile. */
export interface Worker {
  readonly name: string;
  status(): Promise<WorkerStatus>;
  metrics(): Promise<MetricValues>;
  /** The row behind a request code, undefined when this worker has none. */
  why(code: string): Promise<Explained | undefined>;
  check(purl: string, signal: AbortSignal): Promise<CheckResult>;
  /** Records something that happened to the spoke; a row that cannot be written is logged. */
  tell(event: SpokeEvent): Promise<void>;
  /** The disk has another current bundle. @returns digest of what the worker enforces afterwards */
  load(): Promise<Digest | null>;
  /** When the hub was last heard. */
  heard(note: HubTimeNote): void;
  /** The identity file has a new certificate. */
  renewed(): void;
  /** Stops taking requests, lets those under way finish, hands over the last rows. */
  close(): Promise<void>;
}

/** Logs in one report to the hub, which refuses a report with more. */
export const LOGS_REPORTED_MAX = 256;

/** The logs to tell the hub of, open ones first: many that still owe rows must neither hide those nor spoil the report. */
export function reportedLogs(
  workers: readonly Pick<WorkerStatus, 'logs'>[],
  former: readonly LogStatus[],
): readonly LogStatus[] {
  const open = workers.flatMap(({ logs }) => logs.slice(0, 1));
  const owing = workers.flatMap(({ logs }) => logs.slice(1));
  return [...open, ...owing, ...former].slice(0, LOGS_REPORTED_MAX);
}

export interface CrewState {
  /** How many there should be. */
  readonly wanted: number;
  /** Ends of workers that nobody asked for, since the start. */
  readonly restarts: number;
  /** Workers that end again and again, each with the last reason. */
  readonly failing: readonly { readonly name: string; readonly reason: string }[];
}

export interface Crew {
  readonly registryPort: number;
  /** Those that serve at this moment. */
  workers(): readonly Worker[];
  state(): CrewState;
  /** Closes all workers, within the limits of a shutdown. */
  close(): Promise<void>;
}
