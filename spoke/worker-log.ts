// A worker's log with its upload, as one thing: what a worker records into, and what the lead opens when the worker that wrote
// it is no longer there and rows are still to be brought to the hub.

import { join } from 'node:path';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { createAuditLog } from './audit/audit-log.ts';
import { createShipper } from './audit/shipper.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { SpokeConfig } from './config.ts';
import type { LogStatus } from './crew.ts';
import { createAuditUplink } from './io/audit-uplink.ts';
import type { HubChannel } from './io/hub-channel.ts';
import type { StoredIdentity } from './io/identity-store.ts';
import type { AuditPort } from './pipeline/ports.ts';
import { spoolShare } from './spoke-limits.ts';

export interface WorkerLogOptions {
  readonly home: string;
  /** Of the worker. */
  readonly name: string;
  readonly workers: number;
  readonly config: SpokeConfig;
  readonly identity: Pick<StoredIdentity, 'unit' | 'spoke'>;
  readonly channel: HubChannel;
  readonly openDisk: (folder: string) => Promise<SpoolDisk>;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface WorkerLog extends AuditPort {
  /** What the last run left behind that is worth a row, as outcome and detail. */
  readonly found: readonly { readonly outcome: string; readonly detail: string }[];
  /** Its open log first. */
  status(): readonly LogStatus[];
  /** Sets the gauges of the spool. */
  measure(): void;
  /** The row as JSON, undefined when there is none. */
  findByCode(code: RequestCode): Promise<unknown>;
  /** Whether the hub has every row. */
  isEmpty(): boolean;
  /** Ships until the signal aborts; never rejects. Once. */
  ship(signal: AbortSignal, tell: (outcome: string, detail: string) => void): Promise<void>;
  close(): Promise<void>;
}

/** @throws WeirError when the folder cannot be used or holds what is no sound log of this worker */
export async function openWorkerLog(options: WorkerLogOptions): Promise<WorkerLog> {
  const { home, name, workers, config, identity, channel, clock, random, logger, metrics } = options;
  const disk = await options.openDisk(join(home, 'audit', name));
  const log = await createAuditLog({
    disk,
    unit: identity.unit,
    spoke: identity.spoke,
    site: config.site,
    worker: name,
    clock,
    random,
    limits: spoolShare(config.limits, workers),
  }).catch(async (thrown: unknown) => {
    await disk.close();
    throw thrown;
  });
  const torn = { outcome: 'log_repaired', detail: 'a batch that the last run left unfinished was cut off' };
  let tellTrouble: ((error: WeirError) => void) | undefined;
  const shipper = createShipper({
    log,
    uplink: createAuditUplink(channel),
    clock,
    random,
    logger,
    metrics,
    onDiverged: (error) => tellTrouble?.(error),
  });
  return {
    found: log.torn === undefined ? [] : [torn],
    append: (row) => log.append(row),
    template: (constants) => log.template(constants),
    appendTo: (template, values) => log.appendTo(template, values),
    status() {
      const { log: id, nextIndex, acknowledged, freeBytes, state } = log.stats();
      return [{ log: id, nextIndex, acknowledged, freeBytes, healthy: state === 'open', upload: shipper.stats() }];
    },
    measure() {
      const stats = log.stats();
      metrics.gauge('weir_spoke_spool_used_bytes', stats.usedBytes);
      metrics.gauge('weir_spoke_spool_free_bytes', stats.freeBytes);
      metrics.gauge('weir_spoke_spool_pending_bytes', stats.pendingBytes);
      metrics.gauge('weir_spoke_spool_batches', stats.batches);
      metrics.gauge('weir_spoke_spool_refused_rows', stats.refused);
      metrics.gauge('weir_spoke_spool_healthy', stats.state === 'open' ? 1 : 0);
    },
    async findByCode(code) {
      const found = await log.findByCode(code);
      return found === undefined ? undefined : (JSON.parse(found.bytes.toString('utf8')) as unknown);
    },
    isEmpty() {
      const { acknowledged, nextIndex } = log.stats();
      return acknowledged >= nextIndex;
    },
    ship(signal, tell) {
      tellTrouble = (error) => tell('log_diverged', error.message);
      return shipper.run(signal);
    },
    close: () => log.close(),
  };
}
