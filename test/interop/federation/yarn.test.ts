// The real Yarn through whole spokes. Like pnpm it prints the reason phrase of a refusal; unlike pnpm it has a sentence of
// its own for a 401, so that what is wrong with a token reaches the developer as a 403.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientWorkspace, type Ran, run, type Workspace } from '../../upstreams/clients.ts';
import { SAMPLES } from '../../upstreams/sample-packages.ts';
import { type ClientFederation, codeIn, INTERNAL, startClientFederation, type UnitName } from './client-federation.ts';

const YARN = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'yarn');

let ground: ClientFederation;

before(async () => {
  ground = await startClientFederation({ units: ['payments', 'research', 'vault'] });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

interface Project extends Workspace {
  yarn(...args: readonly string[]): Promise<Ran>;
  readonly installed: (name: string) => Promise<string>;
}

async function project(unit: UnitName, token = ''): Promise<Project> {
  const workspace = await clientWorkspace();
  const { folder, env } = workspace;
  const settings = [
    `npmRegistryServer: "${ground.npm(unit)}"`,
    'unsafeHttpWhitelist: ["127.0.0.1"]',
    'enableTelemetry: false',
    'enableGlobalCache: false',
    'enableImmutableInstalls: false',
    'nodeLinker: node-modules',
    // Its own cooldown off: what is shown here is this spoke's.
    'npmMinimalAgeGate: 0',
    ...(token === '' ? [] : [`npmAuthToken: "${token}"`, 'npmAlwaysAuth: true']),
  ];
  await writeFile(join(folder, '.yarnrc.yml'), `${settings.join('\n')}\n`);
  await writeFile(join(folder, 'yarn.lock'), '');
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'project', version: '1.0.0' }));
  return {
    ...workspace,
    yarn: (...args) => run(YARN, args, { env, cwd: folder }),
    installed: async (name) => {
      const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}');
      return (JSON.parse(text) as { version?: string }).version ?? '';
    },
  };
}

function failed(ran: Ran): void {
  assert.ok(ran.code > 0, `Yarn ended with ${ran.code}\n${ran.output}`);
}

async function addWith(token: string): Promise<Ran> {
  await using p = await project('vault', token);
  return await p.yarn('add', SAMPLES.plain);
}

test('installs what is allowed, with dependencies and scopes, and again from its lockfile', async () => {
  await using p = await project('payments');
  const ran = await p.yarn('add', SAMPLES.app, SAMPLES.scoped);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await Promise.all([SAMPLES.app, SAMPLES.middle, SAMPLES.plain, SAMPLES.scoped].map(p.installed)), [
    '1.0.0',
    '1.0.0',
    '1.1.0',
    '1.0.1',
  ]);
  await ground.assertUpstreamNotKept(p);
  const lock = await readFile(join(p.folder, 'yarn.lock'), 'utf8');
  assert.doesNotMatch(lock, /127\.0\.0\.1/, 'a lockfile of canonical addresses is portable');
  const again = await p.yarn('install', '--immutable');
  assert.equal(again.code, 0, again.output);
});

for (const { what, name, says } of [
  { what: 'a known malicious release', name: SAMPLES.malware, says: 'Known malicious release, allowed 1.0.0' },
  { what: 'a denied licence', name: SAMPLES.copyleft, says: 'Licence is not acceptable' },
  { what: 'a look-alike', name: SAMPLES.lookalike, says: 'Name resembles a popular package' },
  { what: 'install scripts, by the overlay,', name: SAMPLES.scripted, says: 'No code runs at install time here' },
  { what: 'an internal name', name: INTERNAL, says: 'Public package uses an internal name' },
]) {
  test(`${what} is refused with reason and code`, async () => {
    await using p = await project('payments');
    const ran = await p.yarn('add', name);
    failed(ran);
    assert.ok(ran.output.includes(`: ${says}`), ran.output);
    const row = await ground.row('payments', codeIn(ran.output));
    assert.deepEqual(
      [row.level, row.enforced, row.outcome, row.status, row.request.client],
      ['deny', true, 'refused', 403, 'yarn'],
    );
    assert.equal(await p.installed(name), '');
  });
}

test('the upstream never heard of the internal name', () => {
  assert.ok(ground.asked().length > 0);
  assert.deepEqual(
    ground.asked().filter((url) => url.includes('internal')),
    [],
  );
});

test('the cooldown: a plain add takes the newest allowed version, an exact pin fails naming it', async () => {
  await using p = await project('payments');
  const plain = await p.yarn('add', SAMPLES.fresh);
  assert.equal(plain.code, 0, plain.output);
  assert.equal(await p.installed(SAMPLES.fresh), '1.1.0');
  const pinned = await p.yarn('add', `${SAMPLES.fresh}@1.2.0`);
  failed(pinned);
  assert.match(pinned.output, /weir-sample-fresh@npm:1\.2\.0: No candidates found/);
});

test('warn mode serves what block mode refuses and records it so', async () => {
  await using p = await project('research');
  const names = [SAMPLES.malware, SAMPLES.scripted, SAMPLES.fresh, INTERNAL];
  const ran = await p.yarn('add', ...names);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await Promise.all(names.map(p.installed)), ['1.0.1', '1.0.0', '1.2.0', '99.0.0']);
  const rows = await ground.rows('research');
  const served = rows.filter(({ outcome }) => outcome === 'served_unenforced');
  assert.deepEqual(
    served.map(({ level, enforced }) => [level, enforced]),
    [
      ['deny', false],
      ['deny', false],
      ['deny', false],
    ],
  );
});

test('tokens: missing, wrong and another unit’s are refused with the reason, the right one works until it is revoked', async () => {
  const theirs = await ground.token('payments');
  const ours = await ground.token('vault');
  for (const [token, says] of [
    ['', 'Token required'],
    ['wrong', 'Token is malformed'],
    [theirs.secret, 'Token of another unit'],
  ] as const) {
    const ran = await addWith(token);
    failed(ran);
    assert.ok(ran.output.includes(says), ran.output);
    assert.equal((await ground.row('vault', codeIn(ran.output))).level, 'deny');
  }
  const right = await addWith(ours.secret);
  assert.equal(right.code, 0, right.output);
  await ground.revoke('vault', ours.id);
  const revoked = await addWith(ours.secret);
  failed(revoked);
  assert.match(revoked.output, /Token is not valid/);
});

test('nothing that Yarn was told names an upstream', () => {
  ground.assertUpstreamUnseen();
});
