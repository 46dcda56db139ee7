// The benchmark itself, over few rows: it makes them, asks every question, and reports figures.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run } from './audit-query.ts';

test('audit-query asks its questions and reports', async () => {
  const lines: string[] = [];
  const { bench, weir } = await run({ print: (line) => lines.push(line), flags: { rows: '3000' } });
  assert.equal(bench, 'audit-query');
  assert.equal(weir['rows'], 3000);
  assert.ok((weir['questions'] ?? 0) > 50);
  assert.ok(Object.values(weir).every(Number.isFinite));
  assert.match(lines.join('\n'), /rule, rare +5 /);
});
