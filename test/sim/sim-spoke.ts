// One worker of a spoke in the simulated world: the real ledger with its shippers, in a process that can die, on a disk that
// stays.

import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Metrics } from '@weir/shared/ports/metrics.ts';
import type { Random } from '@weir/shared/ports/random.ts';
import type { RowDraft } from '@weir/shared/audit/row.ts';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { Recorded } from '@weir/spoke/audit/audit-log.ts';
import type { AuditUplink } from '@weir/spoke/audit/audit-uplink.ts';
import { acceptDamage } from '@weir/spoke/audit/damage-note.ts';
import type { LedgerEvent } from '@weir/spoke/audit/ledger-event.ts';
import { type Ledger, openLedger } from '@weir/spoke/audit/ledger.ts';
import type { RowTemplate } from '@weir/spoke/audit/row-template.ts';
import { createShipper } from '@weir/spoke/audit/shipper.ts';
import { ledgerRow } from '@weir/spoke/pipeline/ledger-row.ts';
import { auditKey, hubVerifier, logKeySeed, WORKSPACE } from './sim-keys.ts';
import type { SimDisk } from './sim-disk.ts';
import type { Process, World } from './world.ts';

export const PEER = { unit: 'payments', spoke: 'edge-1' } as const;

const KIB = 1024;
const SPOOL = { segmentBytes: 64 * KIB, totalBytes: 6 * 64 * KIB, keepBytes: 0, pendingBytes: 256 * KIB };
const SHIPPING = { backoffMs: 250, backoffMaxMs: 4_000, refusedPauseMs: 10_000, window: 4, batchRows: 24 };

/** A row that was asked for, and what became of it. */
export interface Request {
  readonly draft: RowDraft;
  readonly worker: Worker;
  /** Set once the row was answered as durable. */
  recorded?: Recorded;
}

export interface Worker {
  readonly name: string;
  readonly worker: string;
  readonly disk: SimDisk;
  readonly process: Process | undefined;
  readonly ledger: Ledger | undefined;
  /** The log that was open when it was last up. */
  readonly lastLog: string;
  /** Wall clock against the world's, milliseconds. */
  skewMs: number;
  start(): void;
  /** The power goes. */
  crash(): void;
  /** SIGTERM: closes, then ends. */
  stop(): void;
  /** A request comes: in block mode, refused while damage stands. */
  request(draft: RowDraft, viaTemplate: boolean): void;
  /** An operator accepts the damage that is noted. */
  accept(): void;
}

export interface SpokeParts {
  readonly world: World;
  readonly name: string;
  readonly worker: string;
  readonly disk: SimDisk;
  readonly logger: (name: string) => Logger;
  readonly metrics: Metrics;
  readonly uplink: (process: Process) => AuditUplink;
  readonly onRequest: (request: Request) => void;
  readonly onAnswered: (request: Request) => void;
  /** A row was answered that must not have been. */
  readonly onWrong: (what: string) => void;
  readonly onEvent: (event: LedgerEvent, draft: RowDraft) => void;
  readonly onStartFailed: (thrown: unknown) => void;
}

export function createWorker(parts: SpokeParts): Worker {
  const { world, name, worker, disk } = parts;
  let generation = 0;
  let process: Process | undefined;
  let ledger: Ledger | undefined;
  let lastLog = '';
  let skewMs = 0;
  let running = new AbortController();
  let templates = new Map<string, RowTemplate>();
  let stopping = false;

  function die(): void {
    lastLog = ledger?.open().id ?? lastLog;
    if (process !== undefined) world.kill(process);
    process = undefined;
    ledger = undefined;
    templates = new Map();
    stopping = false;
  }

  async function open(owner: Process): Promise<void> {
    const clock = world.clock(owner);
    const plain = world.random(owner);
    const random: Random = { ...plain, bytes: () => logKeySeed(world.chance.unit()) };
    const logger = parts.logger(owner.name);
    const { metrics } = parts;
    const instance = random.uuid();
    const uplink = parts.uplink(owner);
    const opened = await openLedger({
      disk: disk.mount(owner),
      workspace: WORKSPACE,
      unit: PEER.unit,
      spoke: PEER.spoke,
      site: 'sim',
      worker,
      auditKey,
      clock,
      random,
      logger,
      metrics,
      limits: SPOOL,
      event(event) {
        const draft = ledgerRow({ clock, random, policy: () => undefined }, event);
        parts.onEvent(event, draft);
        return draft;
      },
      ship: (log, hooks) =>
        createShipper({
          log,
          uplink,
          receiptKeys: [hubVerifier],
          instance,
          clock,
          random,
          logger,
          metrics,
          limits: SHIPPING,
          ...hooks,
        }),
    });
    ledger = opened;
    world.note(`${owner.name} is up with ${opened.open().id}`);
    running = new AbortController();
    void opened.run(running.signal);
  }

  const self: Worker = {
    name,
    worker,
    disk,
    get process() {
      return process;
    },
    get ledger() {
      return ledger;
    },
    get lastLog() {
      lastLog = ledger?.open().id ?? lastLog;
      return lastLog;
    },
    get skewMs() {
      return skewMs;
    },
    set skewMs(ms) {
      skewMs = ms;
      if (process !== undefined) process.skewMs = ms;
    },
    start() {
      if (process !== undefined) return;
      generation += 1;
      const owner = world.process(`${name}#${generation}`);
      owner.skewMs = skewMs;
      process = owner;
      open(owner).catch((thrown: unknown) => {
        world.note(`${owner.name} does not start: ${String(thrown)}`);
        parts.onStartFailed(thrown);
        // It ends by itself: nothing that was under way is cut off.
        if (process === owner) die();
      });
    },
    crash() {
      if (process === undefined) return;
      world.note(`${process.name} crashes`);
      die();
      disk.crash();
    },
    stop() {
      const owner = process;
      const closing = ledger;
      if (owner === undefined || closing === undefined || stopping) return;
      world.note(`${owner.name} stops`);
      stopping = true;
      running.abort(new WeirError('cancelled', 'the spoke stops'));
      const gone = (): void => {
        if (process === owner) die();
      };
      closing.close().then(gone, gone);
    },
    request(draft, viaTemplate) {
      const target = ledger;
      // As the pipeline does it in block mode.
      if (target === undefined || stopping || target.damage().length > 0) return;
      const request: Request = { draft, worker: self };
      parts.onRequest(request);
      const { log: id, state } = target.open().stats();
      const answer = viaTemplate ? target.appendTo(templateFor(target, draft), draft) : target.append(draft);
      const answered = (recorded: Recorded): void => {
        if (recorded.log === id && state !== 'open' && state !== 'full')
          parts.onWrong(`a row was answered in ${id}, which was ${state} when it came`);
        request.recorded = recorded;
        world.note(`${name} answered ${recorded.log} ${recorded.index} ${recorded.leaf.toString('hex', 0, 8)}`);
        parts.onAnswered(request);
      };
      answer.then(answered, () => undefined);
    },
    accept() {
      const owner = process;
      if (owner === undefined) return;
      acceptDamage(disk.mount(owner), 'sim', new Date(world.nowMs).toISOString()).catch(() => undefined);
    },
  };

  /** One template for each shape of row, kept over epochs as the pipeline does. */
  function templateFor(target: Ledger, draft: RowDraft): RowTemplate {
    const key = `${draft.level} ${draft.hidden.length}`;
    const known = templates.get(key);
    if (known !== undefined) return known;
    const made = target.template(draft);
    templates.set(key, made);
    return made;
  }

  return self;
}
