// The ledger campaign: faults one after another, in an order that a seed decides, while clients never stop asking. After
// each one the ledger is held against what clients were told: nothing lost, nothing doubled, no gap, the same roots on both
// sides, nothing let through in silence.

import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@weir/shared/ports/logger.ts';
import type { Chance } from '../kill/chance.ts';
import { UNITS } from '../kill/fault-ground.ts';
import { startLoad, type Received } from '../kill/load.ts';
import type { LedgerFaults } from './ledger-audit.ts';
import { ledgerFaults, type LedgerFault } from './ledger-faults.ts';
import { prepareLedgerGround } from './ledger-ground.ts';

export interface CampaignOptions {
  readonly faults: number;
  readonly chance: Chance;
  /** Faults by name to choose from; all when absent. */
  readonly only?: readonly string[];
  readonly progress: (line: string) => void;
}

export interface CampaignSummary {
  readonly campaign: 'audit';
  readonly faults: number;
  readonly lost: number;
  readonly doubled: number;
  readonly silent_open: number;
  readonly seed: number;
  /** Sentences about gaps and roots; empty when all hold. */
  readonly broken: readonly string[];
  readonly answers: number;
  readonly rows: number;
  readonly logs: number;
  /** Rows that a fault destroyed in the only place where they stood; not among the lost. */
  readonly destroyed: number;
  readonly seconds: number;
  readonly by_fault: Readonly<Record<string, { readonly times: number; readonly seconds_each: number }>>;
}

const SETTLE_MS = 90_000;
const POLL_MS = 50;
/** Of each client between two requests: faults, not requests, are what the machine is for here. */
const PAUSE_MS = 20;
const PROGRESS_MS = 10_000;
/** A fault that takes longer, with all that comes right after it, is named. */
const SLOW_MS = 15_000;

const silent: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silent,
};

/** Runs until all faults were struck or an invariant broke; the first break ends it, with its evidence in the progress. */
export async function runCampaign({ faults, chance, only, progress }: CampaignOptions): Promise<CampaignSummary> {
  const begun = performance.now();
  await using ground = await prepareLedgerGround(silent);
  if (!ground.smallDisks) progress('spools share a disk here: faults of full disks are left out');
  const { auditor } = ground;
  const load = startLoad(ground.base.targets, { pauseMs: PAUSE_MS, heard: (answer) => auditor.hear(answer) });
  const times = new Map<string, { times: number; ms: number }>();
  let found: LedgerFaults = { lost: 0, doubled: 0, silentOpen: 0, broken: [] };
  let struck = 0;
  let destroyed = 0;

  /** Waits until the hub has what clients were told before; returns what it never got. */
  async function settle(): Promise<readonly Received[]> {
    const deadline = performance.now() + SETTLE_MS;
    let owed: readonly Received[] | undefined;
    for (;;) {
      await auditor.read().catch(() => ground.reviveHub());
      const missing = auditor.missing();
      if (owed === undefined) owed = missing;
      else if (owed.length > 0) {
        const still = new Set(missing);
        owed = owed.filter((answer) => still.has(answer));
      }
      if (owed.length === 0 || performance.now() > deadline) return owed;
      await delay(POLL_MS);
    }
  }

  const all = ledgerFaults({
    ground,
    chance,
    heard: (answer) => auditor.hear(answer),
    async settled() {
      const owed = await settle();
      if (owed.length > 0) throw new Error(`${owed.length} rows never reached the hub: ${JSON.stringify(owed[0])}`);
    },
    async destroyed(rows) {
      // What was sent before the end may be stored a moment after it.
      await auditor.read().catch(() => ground.reviveHub());
      destroyed += auditor.destroyed([...rows]);
    },
  });
  const choice = all.filter(({ name, weight }) => weight > 0 && (only === undefined || only.includes(name)));
  const begunMs = performance.now();
  let toldMs = begunMs;
  try {
    await load.answered(1);
    while (struck < faults) {
      const fault = pick(choice, chance);
      const from = performance.now();
      await fault.strike().catch((thrown: unknown) => {
        throw new Error(`fault ${struck + 1}, ${fault.name}, could not be struck`, { cause: thrown });
      });
      struck += 1;
      await ground.reviveHub();
      for (const unit of UNITS) await ground.reviveSpoke(unit);
      await load.answered(1);
      const owed = await settle();
      found = await auditor.faults(
        owed,
        UNITS.map((unit) => ground.base.federation.spokeHome(unit)),
      );
      const tookMs = performance.now() - from;
      const before = times.get(fault.name) ?? { times: 0, ms: 0 };
      times.set(fault.name, { times: before.times + 1, ms: before.ms + tookMs });
      if (tookMs > SLOW_MS) progress(`fault ${struck}, ${fault.name}, took ${Math.round(tookMs / 1000)} s`);
      if (found.lost + found.doubled + found.silentOpen + found.broken.length > 0) {
        progress(`broken after fault ${struck}, ${fault.name}: ${JSON.stringify(found)}`);
        for (const answer of owed.slice(0, 5)) progress(JSON.stringify(answer));
        keepEvidence(ground.base.home, progress);
        break;
      }
      if (performance.now() - toldMs > PROGRESS_MS || struck === faults) {
        toldMs = performance.now();
        const eachMs = (toldMs - begunMs) / struck;
        const left = Math.round(((faults - struck) * eachMs) / 1000);
        progress(`${struck} of ${faults} faults, ${auditor.rows} rows, about ${left} s left`);
      }
    }
  } catch (thrown) {
    keepEvidence(ground.base.home, progress);
    throw thrown;
  } finally {
    await load.stop();
  }
  return {
    campaign: 'audit',
    faults: struck,
    lost: found.lost,
    doubled: found.doubled,
    silent_open: found.silentOpen,
    seed: chance.seed,
    broken: found.broken,
    answers: auditor.answers,
    rows: auditor.rows,
    logs: auditor.logs,
    destroyed,
    seconds: Math.round((performance.now() - begun) / 1000),
    by_fault: Object.fromEntries(
      times
        .entries()
        .map(([name, { times: count, ms }]) => [
          name,
          { times: count, seconds_each: Math.round(ms / count / 10) / 100 },
        ]),
    ),
  };
}

export function holds({ lost, doubled, silent_open, broken }: CampaignSummary): boolean {
  return lost + doubled + silent_open + broken.length === 0;
}

function pick(faults: readonly LedgerFault[], chance: Chance): LedgerFault {
  let at = chance.unit() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) {
    at -= fault.weight;
    if (at < 0) return fault;
  }
  throw new Error('there is no fault to pick from');
}

/** Logs and ledgers of a federation that broke an invariant, where they outlive it. */
function keepEvidence(home: string, progress: (line: string) => void): void {
  const kept = mkdtempSync(join(tmpdir(), 'weir-chaos-'));
  for (const part of ['logs', 'spoke-payments/audit', 'spoke-research/audit'])
    cpSync(join(home, part), join(kept, part), { recursive: true, filter: (path) => !path.endsWith('ballast') });
  progress(`logs and ledgers of this run are kept in ${kept}`);
}
