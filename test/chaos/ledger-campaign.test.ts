// A short campaign: a few faults of any kind; `npm run chaos` runs the long one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChance } from '../kill/chance.ts';
import { holds, runCampaign } from './ledger-campaign.ts';

const FAULTS = 20;

void test('after every fault the ledger says what clients were told, once', async (t) => {
  const chance = createChance();
  t.diagnostic(`WEIR_SEED=${chance.seed} repeats this campaign`);
  try {
    const summary = await runCampaign({ faults: FAULTS, chance, progress: (line) => t.diagnostic(line) });
    t.diagnostic(JSON.stringify(summary));
    assert.ok(holds(summary), JSON.stringify(summary));
    assert.equal(summary.faults, FAULTS);
  } catch (thrown) {
    throw chance.blame(thrown);
  }
});
