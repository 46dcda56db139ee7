// A worker's ledger with its upload, as one thing: what a worker records into, and what the lead opens when the worker that
// wrote it is no longer there and rows are still to be brought to the hub.

import { createPrivateKey } from 'node:crypto';
import { join } from 'node:path';
import { parseTrustRoot, receiptKeysOf } from '@weir/shared/bundle/trust-root.ts';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import { type Ledger, openLedger } from './audit/ledger.ts';
import { createShipper } from './audit/shipper.ts';
import type { SpoolDisk } from './audit/spool-disk.ts';
import type { SpokeConfig } from './config.ts';
import type { LogStatus } from './crew.ts';
import { createAuditUplink } from './io/audit-uplink.ts';
import type { HubChannel } from './io/hub-channel.ts';
import type { StoredIdentity } from './io/identity-store.ts';
import { openLedgerDisk } from './io/ledger-disk.ts';
import { ledgerRow } from './pipeline/ledger-row.ts';
import type { ActivePolicy, AuditPort } from './pipeline/ports.ts';
import { spoolShare } from './spoke-limits.ts';

export interface WorkerLogOptions {
  readonly home: string;
  /** Of the worker. */
  readonly name: string;
  readonly workers: number;
  readonly config: SpokeConfig;
  readonly identity: Pick<StoredIdentity, 'workspace' | 'unit' | 'spoke' | 'log_key' | 'trust_root'>;
  readonly channel: HubChannel;
  /** Opens the folder of one epoch. */
  readonly openDisk: (folder: string) => Promise<SpoolDisk>;
  /** What is enforced now, for rows about the ledger itself. */
  readonly policy?: { current(): { readonly prepared: ActivePolicy } | null };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

export interface WorkerLog extends AuditPort {
  /** Its open log first, then those that still owe rows to the hub. */
  status(): readonly LogStatus[];
  /** Sets the gauges of the spool. */
  measure(): void;
  /** The row as JSON, undefined when there is none. */
  findByCode(code: RequestCode): Promise<unknown>;
  /** Rows of requests that stood in a closed log and were recorded again since the start. */
  recordedAgain(): number;
  /** Whether the hub has every row. */
  isEmpty(): boolean;
  /** Ships, saves and reopens until the signal aborts; never rejects. Once. */
  ship(signal: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** @throws WeirError when the folder cannot be used or is another worker's */
export async function openWorkerLog(options: WorkerLogOptions): Promise<WorkerLog> {
  const { home, name, workers, config, identity, channel, clock, random, logger, metrics } = options;
  const disk = await openLedgerDisk(join(home, 'audit', name), options.openDisk);
  const uplink = createAuditUplink(channel);
  const receiptKeys = receiptKeysOf(parseTrustRoot(Buffer.from(identity.trust_root)));
  const instance = random.uuid();
  const ports = { clock, random, policy: () => options.policy?.current()?.prepared };
  let ledger: Ledger;
  try {
    ledger = await openLedger({
      disk,
      workspace: identity.workspace,
      auditKey: createPrivateKey(identity.log_key),
      unit: identity.unit,
      spoke: identity.spoke,
      site: config.site,
      worker: name,
      clock,
      random,
      logger,
      metrics,
      limits: spoolShare(config.limits, workers),
      event: (event) => ledgerRow(ports, event),
      ship: (log, hooks) =>
        createShipper({
          log,
          uplink,
          receiptKeys,
          instance,
          clock,
          random,
          logger,
          metrics,
          limits: { backoffMaxMs: config.limits.hub_retry_max_ms },
          ...hooks,
        }),
    });
  } catch (thrown) {
    await disk.close();
    throw thrown;
  }
  return {
    append: (row) => ledger.append(row),
    template: (constants) => ledger.template(constants),
    appendTo: (template, values) => ledger.appendTo(template, values),
    damaged: () => ledger.damage().length > 0,
    status() {
      const { log: id, nextIndex, acknowledged, freeBytes, state, owing, ...depth } = ledger.stats();
      const { unreceiptedBytes, limitBytes, growthBytesPerS, secondsUntilFull, nearlyFull } = depth;
      const room = { unreceiptedBytes, limitBytes, growthBytesPerS, secondsUntilFull, nearlyFull };
      const upload = ledger.upload();
      const open = { log: id, nextIndex, acknowledged, freeBytes, healthy: state === 'open', room, upload };
      return [
        open,
        ...owing.map((each) => ({ ...each, freeBytes, healthy: false, upload: { ...upload, inFlight: 0 } })),
      ];
    },
    measure() {
      const stats = ledger.stats();
      metrics.gauge('weir_spoke_spool_used_bytes', stats.usedBytes);
      metrics.gauge('weir_spoke_spool_free_bytes', stats.freeBytes);
      metrics.gauge('weir_spoke_spool_pending_bytes', stats.pendingBytes);
      metrics.gauge('weir_spoke_spool_batches', stats.batches);
      metrics.gauge('weir_spoke_spool_refused_rows', stats.refused);
      metrics.gauge('weir_spoke_spool_healthy', stats.state === 'open' ? 1 : 0);
      metrics.gauge('weir_spoke_audit_damages', stats.damage.length);
    },
    async findByCode(code) {
      const found = await ledger.findByCode(code);
      return found === undefined ? undefined : (JSON.parse(found.bytes.toString('utf8')) as unknown);
    },
    recordedAgain: () => ledger.recordedAgain(),
    isEmpty() {
      const { acknowledged, nextIndex, owing } = ledger.stats();
      return acknowledged >= nextIndex && owing.length === 0;
    },
    ship: (signal) => ledger.run(signal),
    close: () => ledger.close(),
  };
}
