// The real pnpm through whole spokes. It prints the reason phrase of a refusal and nothing else of it, and has no eye for
// notices: what matters is that the phrase carries the reason and the code, and that a refusal ends the install at once.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { clientWorkspace, type Ran, run, type Workspace } from '../../upstreams/clients.ts';
import { SAMPLES } from '../../upstreams/sample-packages.ts';
import { type ClientFederation, codeIn, INTERNAL, startClientFederation, type UnitName } from './client-federation.ts';

const PNPM = join(import.meta.dirname, '..', '..', '..', 'node_modules', '.bin', 'pnpm');
/** Its store beside the project; its own cooldown off, its own ban on build scripts not an error. */
const WORKSPACE = 'storeDir: ./store\ncacheDir: ./cache\nstrictDepBuilds: false\nminimumReleaseAge: 0\n';

let ground: ClientFederation;

before(async () => {
  ground = await startClientFederation({ units: ['payments', 'research', 'vault'] });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

interface Project extends Workspace {
  pnpm(...args: readonly string[]): Promise<Ran>;
  readonly installed: (name: string) => Promise<string>;
}

async function project(unit: UnitName, token = ''): Promise<Project> {
  const workspace = await clientWorkspace();
  const { folder, env } = workspace;
  const registry = `${ground.npm(unit)}/`;
  const login = token === '' ? '' : `${registry.replace('http:', '')}:_authToken=${token}\n`;
  await writeFile(join(folder, '.npmrc'), `registry=${registry}\n${login}`);
  await writeFile(join(folder, 'pnpm-workspace.yaml'), WORKSPACE);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'project', version: '1.0.0' }));
  return {
    ...workspace,
    pnpm: (...args) => run(PNPM, args, { env, cwd: folder }),
    installed: async (name) => {
      const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}');
      return (JSON.parse(text) as { version?: string }).version ?? '';
    },
  };
}

function failed(ran: Ran): void {
  assert.ok(ran.code > 0, `pnpm ended with ${ran.code}\n${ran.output}`);
}

async function addWith(token: string): Promise<Ran> {
  await using p = await project('vault', token);
  return await p.pnpm('add', SAMPLES.plain);
}

test('installs what is allowed, with dependencies and scopes, and again from its lockfile', async () => {
  await using p = await project('payments');
  const ran = await p.pnpm('add', SAMPLES.app, SAMPLES.scoped);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await Promise.all([SAMPLES.app, SAMPLES.scoped].map(p.installed)), ['1.0.0', '1.0.1']);
  const frozen = await p.pnpm('install', '--frozen-lockfile', '--force');
  assert.equal(frozen.code, 0, frozen.output);
  await ground.assertUpstreamNotKept(p);
  const lock = await readFile(join(p.folder, 'pnpm-lock.yaml'), 'utf8');
  assert.doesNotMatch(lock, /127\.0\.0\.1/, 'a lockfile of canonical addresses is portable');
});

for (const { what, name, says } of [
  { what: 'a known malicious release', name: SAMPLES.malware, says: 'Known malicious release, allowed 1.0.0' },
  { what: 'a denied licence', name: SAMPLES.copyleft, says: 'Licence is not acceptable' },
  { what: 'a look-alike', name: SAMPLES.lookalike, says: 'Name resembles a popular package' },
  { what: 'install scripts, by the overlay,', name: SAMPLES.scripted, says: 'No code runs at install time here' },
  { what: 'an internal name', name: INTERNAL, says: 'Public package uses an internal name' },
]) {
  test(`${what} is refused with reason and code, once`, async () => {
    await using p = await project('payments');
    const toldBefore = ground.told('payments').length;
    const ran = await p.pnpm('add', name);
    failed(ran);
    assert.ok(ran.output.includes(`: ${says}`), ran.output);
    const row = await ground.row('payments', codeIn(ran.output));
    assert.deepEqual(
      [row.level, row.enforced, row.outcome, row.status, row.request.client],
      ['deny', true, 'refused', 403, 'pnpm'],
    );
    const refusals = ground
      .told('payments')
      .slice(toldBefore)
      .filter(({ status }) => status === 403);
    assert.equal(refusals.length, 1, 'pnpm takes the status as final');
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

test('the cooldown: a plain add takes the newest allowed version, an exact pin names what there is', async () => {
  await using p = await project('payments');
  const plain = await p.pnpm('add', SAMPLES.fresh);
  assert.equal(plain.code, 0, plain.output);
  assert.equal(await p.installed(SAMPLES.fresh), '1.1.0');
  const pinned = await p.pnpm('add', `${SAMPLES.fresh}@1.2.0`);
  failed(pinned);
  assert.match(pinned.output, /No matching version found for weir-sample-fresh@1\.2\.0/);
  assert.match(pinned.output, /latest release of weir-sample-fresh is "1\.1\.0"/);
});

test('pnpm’s own cooldown finds the publish times that it needs', async () => {
  await using p = await project('research');
  await writeFile(join(p.folder, 'pnpm-workspace.yaml'), WORKSPACE.replace('Age: 0', 'Age: 1440'));
  const ran = await p.pnpm('add', SAMPLES.fresh);
  assert.equal(ran.code, 0, ran.output);
  assert.equal(await p.installed(SAMPLES.fresh), '1.1.0', 'research serves 1.2.0, and pnpm itself finds it too young');
});

test('warn mode serves what block mode refuses and records it so', async () => {
  await using p = await project('research');
  const names = [SAMPLES.malware, SAMPLES.scripted, SAMPLES.fresh, INTERNAL];
  const ran = await p.pnpm('add', ...names);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await Promise.all(names.map(p.installed)), ['1.0.1', '1.0.0', '1.2.0', '99.0.0']);
  const rows = await ground.rows('research');
  const served = rows.filter(({ outcome }) => outcome === 'served_unenforced');
  assert.deepEqual(
    served.map(({ level, enforced, code }) => [level, enforced, code]),
    [
      ['deny', false, ''],
      ['deny', false, ''],
      ['deny', false, ''],
    ],
    'no code, since pnpm was shown none',
  );
});

test('a deprecated release is served with its mark', async () => {
  await using p = await project('payments');
  const ran = await p.pnpm('add', `${SAMPLES.withdrawn}@2.0.0`);
  assert.equal(ran.code, 0, ran.output);
  assert.match(ran.output, /deprecated/);
});

test('tokens: missing, wrong and another unit’s are refused with the reason, the right one works until it is revoked', async () => {
  const theirs = await ground.token('payments');
  const ours = await ground.token('vault');
  for (const [token, says] of [
    ['', 'Weir: Token required'],
    ['wrong', 'Weir: Token is malformed'],
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
  assert.match(revoked.output, /Weir: Token is not valid/);
});

test('nothing that pnpm was told names an upstream', () => {
  ground.assertUpstreamUnseen();
});
