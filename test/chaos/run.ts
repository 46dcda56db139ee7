// `npm run chaos -- [--faults N] [--seed N] [--only NAME] [--json]`: the ledger campaign; 1,000 faults unless told. The last
// line is one JSON object; exits 1 when an invariant broke.

import { parseArgs } from 'node:util';
import { createChance } from '../kill/chance.ts';
import { holds, runCampaign } from './ledger-campaign.ts';

const { values } = parseArgs({
  options: {
    faults: { type: 'string', default: '1000' },
    seed: { type: 'string' },
    only: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
  },
});
const faults = Number(values.faults);
const seed = values.seed === undefined ? undefined : Number(values.seed);
if (!Number.isSafeInteger(faults) || faults < 1 || (seed !== undefined && !Number.isSafeInteger(seed))) {
  process.stderr.write('--faults and --seed are whole numbers\n');
  process.exit(2);
}
const chance = createChance(seed);
const output = values.json ? process.stderr : process.stdout;
const progress = (line: string): void => void output.write(`${line}\n`);
progress(`${faults} faults with seed ${chance.seed}; --seed ${chance.seed} repeats their order`);
try {
  const summary = await runCampaign({
    faults,
    chance,
    progress,
    ...(values.only === undefined ? {} : { only: values.only }),
  });
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = holds(summary) ? 0 : 1;
} catch (thrown) {
  throw chance.blame(thrown);
}
