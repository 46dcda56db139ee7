// The invariant of every fault suite: what a client was told is in the hub's ledger exactly once, and each log there is
// gap-free from its first row.

import assert from 'node:assert/strict';
import type { Console } from '../federation/local-federation.ts';
import type { Received } from './load.ts';

export interface LedgerRow {
  readonly id: string;
  readonly log: string;
  readonly index: number;
  readonly outcome: string;
  readonly status: number;
  readonly code: string;
  readonly bundle: string;
  readonly action: string;
  readonly request: { readonly route: string; readonly target: string };
}

const PAGE_ROWS = 500;

/** Every row that the hub holds of a unit, oldest first. */
export async function readLedger(console: Console, unit: string): Promise<readonly LedgerRow[]> {
  const rows: LedgerRow[] = [];
  let cursor = '';
  do {
    const page = await console.audit.query({ filter: { unit }, page: { size: PAGE_ROWS, cursor }, oldestFirst: true });
    rows.push(...page.rows.map(({ row }) => JSON.parse(Buffer.from(row).toString('utf8')) as LedgerRow));
    cursor = page.nextCursor;
  } while (cursor !== '');
  return rows;
}

/** @param received everything that clients of the unit were told */
export function assertLedger(rows: readonly LedgerRow[], received: readonly Received[]): void {
  const logs = Map.groupBy(rows, ({ log }) => log);
  for (const [log, own] of logs) {
    const indexes = own.map(({ index }) => index).toSorted((a, b) => a - b);
    const wrong = indexes.findIndex((index, at) => index !== at);
    assert.equal(wrong, -1, `log ${log}: position ${wrong} of ${indexes.length} holds index ${indexes[wrong]}`);
  }
  assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length, 'a row is in the ledger twice');

  const byId = Map.groupBy(rows, ({ id }) => id);
  const byCode = Map.groupBy(rows, ({ code }) => code);
  for (const answer of received) {
    const { target, status, row, code } = answer;
    if (row === '' && code === '') {
      assert.equal(isDocument(answer), true, `${target.url} was answered ${status} without naming its row`);
      continue;
    }
    const found = (row === '' ? byCode.get(code) : byId.get(row)) ?? [];
    assert.equal(
      found.length,
      1,
      `${target.url}: ${status}, row ${row || code} is ${found.length} times in the ledger`,
    );
    assert.equal(found[0]?.status, status, `${target.url}: the row says another status`);
  }
  // Documents name no row; there are at least as many rows as answers.
  const documents = received.filter(isDocument).length;
  const recorded = rows.filter(({ request, status }) => request.route === 'metadata' && status === 200).length;
  assert.ok(recorded >= documents, `${documents} documents were served and ${recorded} recorded`);
}

function isDocument({ status, row, code, target }: Received): boolean {
  return status === 200 && row === '' && code === '' && target.accept.includes('json');
}
