// What others parse: one row of each kind as the spoke writes it, key by key. Ids, digests and durations differ from run to
// run and are named instead; everything else is the exact row.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { ALICE, layGround, type PolicyVariant } from '../../property/pipeline-ground.ts';
import { matchesGolden } from '../golden-file.ts';

const NAMES = { 'user-agent': 'npm/11.0.0 node/v26.0.0' };
const KNOWN = { ...NAMES, authorization: `Bearer ${ALICE}` };
const ARTIFACT = '/npm/one/-/one-1.0.0.tgz';

const CASES: readonly {
  readonly name: string;
  readonly under?: PolicyVariant;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}[] = [
  { name: 'view-served', path: '/npm/one' },
  { name: 'view-filtered', path: '/npm/young' },
  { name: 'artifact-served', path: ARTIFACT },
  { name: 'artifact-refused', under: 'refusing', path: ARTIFACT },
  { name: 'artifact-warned', under: 'warn', path: '/npm/young/-/young-1.0.0.tgz' },
  { name: 'not-found', path: '/npm/nobody' },
  { name: 'unparsable', path: '/npm/%252e%252e/x' },
  { name: 'publish', method: 'PUT', path: '/npm/one' },
  { name: 'no-token', path: ARTIFACT, headers: NAMES },
];

test('a row of each kind is written as it always was', async () => {
  await using ground = await layGround(1 << 20);
  for (const { name, under = 'plain', method = 'GET', path, headers = KNOWN } of CASES) {
    ground.activate(under);
    const before = (await ground.rows()).length;
    await ground.ask(method, path, headers);
    const rows = (await ground.rows()).slice(before);
    assert.equal(rows.length, 1, name);
    matchesGolden(join(import.meta.dirname, `${name}.json`), `${JSON.stringify(named(rows[0] ?? {}), null, 2)}\n`);
  }
});

/** The row with what differs between runs replaced by its kind. */
function named(row: Readonly<Record<string, unknown>>): unknown {
  const text = JSON.stringify({ ...row, duration_us: 0, index: 0 })
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g, '<id>')
    .replaceAll(/"code":"[0-9A-HJKMNP-TV-Z]{8}"/g, '"code":"<code>"')
    .replaceAll(/sha256:[0-9a-f]{64}/g, 'sha256:<digest>')
    .replaceAll(/sha512:[0-9a-f]{128}/g, 'sha512:<digest>')
    .replace(/"log":"([^"]*)\.[0-9a-f]+"/, '"log":"$1.<epoch>"');
  return JSON.parse(text) as unknown;
}
