// The ledger campaign: faults one after another, in an order that a seed decides, while clients never stop asking. After
// each one the ledger is held against what clients were told: nothing lost, nothing doubled, no gap, the same roots on both
// sides, nothing let through in silence.

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
  readonly seconds: number;
  readonly by_fault: Readonly<Record<string, number>>;
}

const SETTLE_MS = 90_000;
const POLL_MS = 50;

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
  const load = startLoad(ground.base.targets);
  const others: Received[] = [];
  const received = (): readonly Received[] => [...load.received, ...others];
  const counts = new Map<string, number>();
  let found: LedgerFaults = { lost: 0, doubled: 0, silentOpen: 0, broken: [] };
  let struck = 0;

  /** Waits until the hub has what clients were told so far, and returns that; gives up after a while. */
  async function settled(): Promise<readonly Received[]> {
    const expected = received();
    const deadline = performance.now() + SETTLE_MS;
    for (;;) {
      await ground.auditor.read().catch(() => ground.reviveHub());
      if (ground.auditor.missing(expected).length === 0 || performance.now() > deadline) return expected;
      await delay(POLL_MS);
    }
  }

  const all = ledgerFaults({
    ground,
    chance,
    heard: (answer) => others.push(answer),
    settled: async () => void (await settled()),
  });
  const choice = all.filter(({ name, weight }) => weight > 0 && (only === undefined || only.includes(name)));
  try {
    await load.answered(1);
    while (struck < faults) {
      const fault = pick(choice, chance);
      await fault.strike();
      struck += 1;
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
      await ground.reviveHub();
      for (const unit of UNITS) await ground.reviveSpoke(unit);
      await load.answered(1);
      const expected = await settled();
      found = await ground.auditor.faults(
        expected,
        UNITS.map((unit) => ground.base.federation.spokeHome(unit)),
      );
      if (found.lost + found.doubled + found.silentOpen + found.broken.length > 0) {
        progress(`broken after ${fault.name}: ${JSON.stringify(found)}`);
        for (const answer of ground.auditor.missing(expected).slice(0, 5))
          progress(JSON.stringify({ ...answer, body: '' }));
        break;
      }
      if (struck % 25 === 0) progress(`${struck} of ${faults} faults, ${ground.auditor.rows} rows`);
    }
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
    answers: received().length,
    rows: ground.auditor.rows,
    logs: ground.auditor.logs,
    seconds: Math.round((performance.now() - begun) / 1000),
    by_fault: Object.fromEntries(counts),
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
