import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { testPostgres } from './database.ts';
import { hubUnderTest } from './hub-under-test.ts';

const server = testPostgres();
const WEIR = join(import.meta.dirname, '..', '..', 'weir.ts');

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function weir(env: Readonly<Record<string, string>>, ...args: string[]): Promise<Outcome> {
  const { WEIR_HOME: _home, WEIR_HUB: _hub, WEIR_TOKEN_FILE: _file, ...rest } = process.env;
  return new Promise((resolve) => {
    execFile(process.execPath, [WEIR, ...args], { env: { ...rest, ...env } }, (error, stdout, stderr) => {
      const status = typeof error?.code === 'number' ? error.code : error === null ? 0 : -1;
      resolve({ status, stdout, stderr });
    });
  });
}

test('commands answer people and scripts, and end with the status that says what happened', async (t) => {
  const under = await hubUnderTest(t, server);
  const folder = await mkdtemp(join(tmpdir(), 'weir-commands-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const wrong = join(folder, 'wrong-token');
  await writeFile(wrong, `weirop_${'A'.repeat(43)}\n`);
  const env = { WEIR_HUB: under.hub.addresses.adminUrl, WEIR_TOKEN_FILE: under.hub.operatorTokenFile };

  assert.equal((await weir(env, 'unit', 'create', 'payments')).status, 0);
  const listed = await weir(env, 'unit', 'list', '--json');
  assert.equal((JSON.parse(listed.stdout) as { units: { name: string }[] }).units[0]?.name, 'payments');
  const invited = await weir(env, 'spoke', 'invite', '--unit', 'payments', '--name', 'payments-1', '--json');
  const invitation = JSON.parse(invited.stdout) as Record<string, unknown>;
  assert.match(String(invitation['join_token']), /^weirjoin_/);
  assert.equal(invitation['ca_pin'], under.hub.caPin);

  const cases: readonly (readonly [string, number, RegExp, Outcome])[] = [
    ['a name that is taken is refused', 3, /exists already/, await weir(env, 'unit', 'create', 'payments')],
    ['a malformed name is wrong use', 2, /no unit name/, await weir(env, 'unit', 'create', 'Payments!')],
    ['an unknown unit is not found', 4, /no unit/, await weir(env, 'spoke', 'invite', '--unit', 'x', '--name', 'y')],
    ['a wrong token is refused', 3, /operator token/, await weir(env, 'unit', 'list', '--token-file', wrong)],
    [
      'a hub that is away is unreachable',
      5,
      /does not answer/,
      await weir({ ...env, WEIR_HUB: 'http://127.0.0.1:9' }, 'unit', 'list'),
    ],
    ['a place without a hub is not found', 4, /no hub is known/, await weir({ WEIR_HOME: folder }, 'unit', 'list')],
    ['a code that nobody printed is not found', 4, /no row/, await weir(env, 'why', 'ABCD1234')],
    ['errors are JSON when asked for', 4, /"code":"not_found"/, await weir(env, 'why', 'ABCD1234', '--json')],
  ];
  for (const [what, status, said, outcome] of cases) {
    assert.deepEqual([outcome.status, outcome.stdout], [status, ''], what);
    assert.match(outcome.stderr, said, what);
  }
});
