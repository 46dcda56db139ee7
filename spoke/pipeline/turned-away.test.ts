import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurnedAway, TURNED_AWAY_ROWS_MAX } from './turned-away.ts';

function ground() {
  let ms = Date.UTC(2026, 0, 1);
  const rows = createTurnedAway({
    clock: { nowMs: () => ms, monotonicMs: () => ms, sleep: () => Promise.resolve() },
    random: { bytes: () => new Uint8Array(), unit: () => 0, uuid: () => '01a20260-0000-7000-8000-000000000000' },
    policy: () => undefined,
  });
  return { rows, pass: (by: number) => void (ms += by) };
}

test('within the rate every one has a row', () => {
  const { rows, pass } = ground();
  for (let i = 0; i < TURNED_AWAY_ROWS_MAX; i += 1) {
    assert.equal(rows.next('malformed', 400)?.outcome, 'connection_malformed');
  }
  assert.equal(rows.next('malformed', 400), undefined);
  pass(1000);
  assert.equal(rows.next('timeout', 408)?.status, 408);
});

test('the next row tells of those that were only counted, once', () => {
  const { rows, pass } = ground();
  for (let i = 0; i < TURNED_AWAY_ROWS_MAX + 7; i += 1) rows.next('malformed', 400);
  pass(1000);
  const told = '7 more were closed without an answer since 2026-01-01T00:00:00.000Z';
  assert.equal(rows.next('malformed', 400)?.request.target, told);
  assert.equal(rows.next('malformed', 400)?.request.target, '');
  assert.equal(rows.untold(), undefined);
});

test('they are told of without a next one, too', () => {
  const { rows } = ground();
  for (let i = 0; i < TURNED_AWAY_ROWS_MAX + 1; i += 1) rows.next('malformed', 400);
  assert.equal(rows.untold()?.outcome, 'connections_closed');
  assert.equal(rows.untold(), undefined);
});
