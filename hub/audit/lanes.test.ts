import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLanes, laneOf, type LaneItem } from './lanes.ts';

interface Item extends LaneItem {
  readonly n: number;
}

function item(n: number, log = 'a.b.w0.e', rows = 1): Item {
  return { n, log, rows, bytes: rows };
}

test('what arrives during a commit is the next one, in order and up to the bound', async () => {
  const groups: number[][] = [];
  const gates: (() => void)[] = [];
  const lanes = createLanes<Item>({ lanes: 1, groupRows: 5, groupBytes: 100 }, async (group) => {
    groups.push(group.map(({ n }) => n));
    await new Promise<void>((resolve) => gates.push(resolve));
  });
  for (let n = 0; n < 9; n += 1) lanes.put(item(n));
  // One that is larger than a group still goes, alone.
  lanes.put(item(9, 'a.b.w0.e', 50));
  lanes.put(item(10));
  for (let n = 0; n < 5; n += 1) {
    gates[n]?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(groups, [[0], [1, 2, 3, 4, 5], [6, 7, 8], [9], [10]]);
});

test('a log has one lane, and many logs use all of them', () => {
  const logs = Array.from({ length: 400 }, (_, n) => `payments.edge-${n % 20}.w${n % 4}.e${n}`);
  for (const lanes of [1, 2, 3, 8]) {
    const counts = Array.from({ length: lanes }, () => 0);
    for (const log of logs) {
      const lane = laneOf(log, lanes);
      assert.equal(laneOf(log, lanes), lane);
      counts[lane] = (counts[lane] ?? 0) + 1;
    }
    assert.ok(
      counts.every((count) => count > logs.length / lanes / 2),
      counts.join(),
    );
  }
});
