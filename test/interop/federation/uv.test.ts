// The real uv through whole spokes. It prints title and detail of a refused file; about pages it only tells whether
// credentials were accepted.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test, type TestContext } from 'node:test';
import { ensureUv, type Found, type Ran } from '../../upstreams/clients.ts';
import { SAMPLES } from '../../upstreams/sample-packages.ts';
import {
  type ClientFederation,
  codeIn,
  INTERNAL,
  startClientFederation,
  type UnitName,
  words,
} from './client-federation.ts';
import { pythonProject, withToken } from './python-project.ts';

let ground: ClientFederation;
let uv: Found;

before(async () => {
  uv = await ensureUv();
  ground = await startClientFederation({ units: ['payments', 'research', 'vault'] });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

/** Path of uv; undefined, and the test skipped with the reason, on a machine without it. */
function program(t: TestContext): string | undefined {
  if (uv.found) return uv.program;
  t.skip(uv.why);
  return undefined;
}

async function install(
  t: TestContext,
  unit: UnitName,
  args: readonly string[],
  token = '',
): Promise<(Ran & { readonly installed: readonly string[] }) | undefined> {
  const path = program(t);
  if (path === undefined) return undefined;
  await using project = await pythonProject();
  const index = withToken(ground.simple(unit), token);
  const ran = await project.run(path, 'pip', 'install', '--target', project.site, '--default-index', index, ...args);
  return { ...ran, installed: await project.installed() };
}

function failed(ran: Ran): void {
  assert.ok(ran.code > 0, `uv ended with ${ran.code}\n${ran.output}`);
}

test('installs what is allowed, with dependencies', async (t) => {
  const ran = await install(t, 'payments', [SAMPLES.app]);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(ran.installed, ['weir_sample_app-1.0.0', 'weir_sample_middle-1.0.0', 'weir_sample_plain-1.1.0']);
});

for (const { what, name, title, says } of [
  {
    what: 'a known malicious release',
    name: SAMPLES.malware,
    title: 'Known malicious release',
    says: 'Nearest allowed version: 1.0.0.',
  },
  {
    what: 'a denied licence',
    name: SAMPLES.copyleft,
    title: 'Licence is not acceptable',
    says: 'can only be used under AGPL-3.0-only',
  },
  {
    what: 'a look-alike',
    name: SAMPLES.lookalike,
    title: 'Name resembles a popular package',
    says: 'If you meant weir-sample-plain',
  },
  {
    what: 'a source archive, by the overlay,',
    name: SAMPLES.scripted,
    title: 'No code runs at install time here',
    says: 'take a release without install scripts',
  },
  {
    what: 'an internal name',
    name: INTERNAL,
    title: 'Public package uses an internal name',
    says: 'which belongs to this organisation',
  },
  {
    what: 'an exact pin of a hidden release',
    name: `${SAMPLES.fresh}==1.2.0`,
    title: 'Release is too young',
    says: 'Nearest allowed version: 1.1.0.',
  },
]) {
  test(`${what} is refused with the whole sentence and the code`, async (t) => {
    const ran = await install(t, 'payments', [name]);
    if (ran === undefined) return;
    failed(ran);
    const printed = words(ran.output);
    assert.ok(printed.includes(title) && printed.includes(says), ran.output);
    const row = await ground.row('payments', codeIn(ran.output));
    assert.deepEqual(
      [row.level, row.enforced, row.outcome, row.status, row.request.client],
      ['deny', true, 'refused', 403, 'uv'],
    );
    assert.deepEqual(ran.installed, []);
  });
}

test('the upstream never heard of the internal name', () => {
  if (!uv.found) return;
  assert.ok(ground.asked().length > 0);
  assert.deepEqual(
    ground.asked().filter((url) => url.includes('internal')),
    [],
  );
});

test('the cooldown: a plain install takes the newest allowed version, a range reads why there is nothing in it', async (t) => {
  const plain = await install(t, 'payments', [SAMPLES.fresh]);
  if (plain === undefined) return;
  assert.deepEqual(plain.installed, ['weir_sample_fresh-1.1.0']);
  const range = await install(t, 'payments', [`${SAMPLES.fresh}>=1.2`]);
  assert.ok(range !== undefined);
  failed(range);
  assert.match(words(range.output), /1\.2\.0 was yanked \(reason: Release is too young \(WEIR-AGE-001\)\)/);
});

test('uv’s own cooldown finds the publish times that it needs', async (t) => {
  const ran = await install(t, 'research', ['--exclude-newer', '2022-12-31T00:00:00Z', SAMPLES.fresh]);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(ran.installed, ['weir_sample_fresh-1.1.0']);
});

test('lock and sync: locked from here, synced from the lock, and nothing of an upstream in it', async (t) => {
  const path = program(t);
  if (path === undefined) return;
  await using project = await pythonProject();
  await project.write(
    'pyproject.toml',
    `[project]\nname = "project"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["${SAMPLES.app}", "${SAMPLES.fresh}"]\n`,
  );
  const index = ['--default-index', ground.simple('payments')];
  const lock = await project.run(path, 'lock', ...index);
  assert.equal(lock.code, 0, lock.output);
  const text = await readFile(`${project.folder}/uv.lock`, 'utf8');
  assert.match(text, /name = "weir-sample-fresh"\nversion = "1\.1\.0"/);
  const sync = await project.run(path, 'sync', '--frozen', '--no-install-project', ...index);
  assert.equal(sync.code, 0, sync.output);
  assert.match(sync.output, /\+ weir-sample-app==1\.0\.0/);
  await ground.assertUpstreamNotKept(project);
});

test('a yanked release is passed over, an exact pin of it installs with upstream’s own reason', async (t) => {
  const plain = await install(t, 'payments', [SAMPLES.withdrawn]);
  if (plain === undefined) return;
  assert.deepEqual(plain.installed, ['weir_sample_withdrawn-1.0.0']);
  const pinned = await install(t, 'payments', [`${SAMPLES.withdrawn}==2.0.0`]);
  assert.ok(pinned !== undefined);
  assert.equal(pinned.code, 0, pinned.output);
  assert.match(pinned.output, /is yanked \(reason: "superseded, it loses data"\)/);
});

test('warn mode serves what block mode refuses and records it so', async (t) => {
  const names = [SAMPLES.malware, SAMPLES.fresh, SAMPLES.scripted, INTERNAL];
  const ran = await install(t, 'research', names);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(ran.installed, [
    'weir_internal_billing-99.0.0',
    'weir_sample_fresh-1.2.0',
    'weir_sample_malware-1.0.1',
    'weir_sample_scripted-1.0.0',
  ]);
  const files = (await ground.rows('research')).filter(
    ({ request, outcome }) => request.route === 'artifact' && outcome === 'served_unenforced',
  );
  assert.deepEqual(
    files.map(({ level, enforced, mode }) => [level, enforced, mode]),
    Array.from({ length: 3 }, () => ['deny', false, 'warn']),
  );
});

test('hash-checking mode works with the upstream’s digests', async (t) => {
  const path = program(t);
  if (path === undefined) return;
  await using project = await pythonProject();
  const [wheel] = ground.pypi.files(SAMPLES.plain).filter(({ file }) => file.includes('-2.0.0-'));
  const list = await project.write('list.txt', `${SAMPLES.plain}==2.0.0 --hash=sha256:${wheel?.sha256 ?? ''}\n`);
  const index = ['--target', project.site, '--default-index', ground.simple('payments')];
  const ran = await project.run(path, 'pip', 'install', ...index, '--require-hashes', '-r', list);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await project.installed(), ['weir_sample_plain-2.0.0']);
});

test('tokens: missing, wrong, revoked and another unit’s are told as lacking credentials, the right one works', async (t) => {
  const theirs = await ground.token('payments');
  const ours = await ground.token('vault');
  for (const [token, says] of [
    ['', 'Token required'],
    ['wrong', 'Token is malformed'],
    [theirs.secret, 'Token of another unit'],
  ] as const) {
    const ran = await install(t, 'vault', [SAMPLES.plain], token);
    if (ran === undefined) return;
    failed(ran);
    assert.match(words(ran.output), /lack of valid authentication credentials \(401 Unauthorized\)/);
    assert.match(ground.told('vault').at(-1)?.reason ?? '', new RegExp(`^Weir: ${says}`));
  }
  const right = await install(t, 'vault', [SAMPLES.app], ours.secret);
  assert.ok(right !== undefined);
  assert.equal(right.code, 0, right.output);
  await ground.revoke('vault', ours.id);
  const revoked = await install(t, 'vault', [SAMPLES.plain], ours.secret);
  assert.ok(revoked !== undefined);
  failed(revoked);
  assert.match(ground.told('vault').at(-1)?.reason ?? '', /^Weir: Token is not valid/);
});

test('nothing that uv was told names an upstream', () => {
  if (uv.found) ground.assertUpstreamUnseen();
});
