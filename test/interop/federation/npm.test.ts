// The real npm through whole spokes: what it installs, what it prints, what is recorded, what it must never learn.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { formatToken } from '@weir/shared/domain/token.ts';
import { clientWorkspace, type Ran, run, type Workspace } from '../../upstreams/clients.ts';
import { buildNpm } from '../../upstreams/npm-package.ts';
import { DENIED_LICENCE, MALICIOUS_VERSION, SAMPLES, sampleNpmPackages } from '../../upstreams/sample-packages.ts';
import { headerOf, type Passed } from '../../upstreams/tap.ts';
import {
  type ClientFederation,
  codeIn,
  INTERNAL,
  startClientFederation,
  type UnitName,
  words,
} from './client-federation.ts';

let ground: ClientFederation;

before(async () => {
  ground = await startClientFederation({ units: ['payments', 'research', 'vault'], verdaccio: true });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

interface Project extends Workspace {
  npm(...args: readonly string[]): Promise<Ran>;
  /** Version of a package below node_modules, '' when it is not there. */
  readonly installed: (name: string) => Promise<string>;
  write(file: string, content: unknown): Promise<void>;
}

/** A project whose npm knows nothing but the unit's registry. */
async function project(unit: UnitName, token = ''): Promise<Project> {
  const workspace = await clientWorkspace();
  const { folder } = workspace;
  const registry = `${ground.npm(unit)}/`;
  const settings = [`registry=${registry}`, 'fund=false', 'audit=false', 'update-notifier=false'];
  if (token !== '') settings.push(`${registry.replace('http:', '')}:_authToken=${token}`);
  const write = (file: string, content: unknown): Promise<void> =>
    writeFile(join(folder, file), typeof content === 'string' ? content : JSON.stringify(content));
  await write('.npmrc', `${settings.join('\n')}\n`);
  await write('package.json', { name: 'project', version: '1.0.0', files: ['nothing'] });
  const env = { ...workspace.env, npm_config_globalconfig: join(folder, 'global-npmrc') };
  return {
    ...workspace,
    write,
    npm: (...args) => run('npm', args, { env, cwd: folder }),
    installed: (name) => versionAt(join(folder, 'node_modules', name)),
  };
}

async function versionAt(folder: string): Promise<string> {
  const text = await readFile(join(folder, 'package.json'), 'utf8').catch(() => '{}');
  return (JSON.parse(text) as { version?: string }).version ?? '';
}

function worked(ran: Ran): void {
  assert.equal(ran.code, 0, ran.output);
}

function failed(ran: Ran): void {
  assert.ok(ran.code > 0, `npm ended with ${ran.code}\n${ran.output}`);
}

async function tarballOf(name: string, version: string): Promise<Buffer> {
  const source = sampleNpmPackages(new Date()).find((each) => each.name === name && each.version === version);
  assert.ok(source !== undefined);
  return (await buildNpm(source)).tarball;
}

function tarballUrl(name: string, version: string): string {
  return `${ground.npm('payments')}/${name}/-/${name}-${version}.tgz`;
}

/** What a unit's clients were told about paths with this ending, newest last. */
function toldAbout(unit: UnitName, ending: string): readonly Passed[] {
  return ground.told(unit).filter(({ url }) => url.endsWith(ending));
}

async function installWith(token: string): Promise<Ran> {
  await using p = await project('vault', token);
  return await p.npm('install', SAMPLES.plain);
}

test('installs what is allowed, with dependencies and scopes, byte for byte', async () => {
  await using p = await project('payments');
  const ran = await p.npm('install', SAMPLES.app, `${SAMPLES.scoped}@1.0.1`);
  worked(ran);
  assert.deepEqual(await Promise.all([SAMPLES.app, SAMPLES.middle, SAMPLES.plain, SAMPLES.scoped].map(p.installed)), [
    '1.0.0',
    '1.0.0',
    '1.1.0',
    '1.0.1',
  ]);
  assert.doesNotMatch(ran.output, /Weir/, 'nobody is told anything about what is simply allowed');
  const [tarball] = toldAbout('payments', `/${SAMPLES.plain}-1.1.0.tgz`);
  assert.deepEqual(tarball?.body, await tarballOf(SAMPLES.plain, '1.1.0'));
  assert.ok((await ground.assertUpstreamNotKept(p)) > 0, 'npm keeps the address of its own registry');
});

test('a known malicious release: reason, code, nearest version and not a byte; the hub has the row', async () => {
  await using p = await project('payments');
  const ran = await p.npm('install', SAMPLES.malware);
  failed(ran);
  const printed = words(ran.output);
  assert.match(printed, /403 Weir refused weir-sample-malware@1\.0\.1: Known malicious release, allowed 1\.0\.0, code/);
  assert.match(printed, /is recorded as malicious \(WEIR-TEST-\d+, WEIR-MAL-001\)/);
  assert.match(printed, /npm notice Weir: Known malicious release\./);
  assert.equal(await p.installed(SAMPLES.malware), '');
  const file = `/${SAMPLES.malware}-${MALICIOUS_VERSION}.tgz`;
  const refused = toldAbout('payments', file);
  assert.deepEqual(
    refused.map(({ status }) => status),
    [403],
    'asked once, never repeated',
  );
  const bytes = await tarballOf(SAMPLES.malware, MALICIOUS_VERSION);
  assert.ok(ground.told('payments').every(({ body }) => !body.includes(bytes.subarray(0, 64))));
  assert.ok(!ground.asked().some((url) => url.endsWith(file)), 'the upstream was not even asked for it');
  const row = await ground.row('payments', codeIn(ran.output));
  assert.deepEqual(
    [row.level, row.mode, row.enforced, row.outcome, row.action, row.status, row.subject.purl, row.request.client],
    ['deny', 'block', true, 'refused', 'install', 403, `pkg:npm/${SAMPLES.malware}@1.0.1`, 'npm'],
  );
  assert.deepEqual(
    row.rules.map(({ rule }) => rule),
    ['WEIR-MAL-001'],
  );
  worked(await p.npm('install', `${SAMPLES.malware}@1.0.0`));
  assert.equal(await p.installed(SAMPLES.malware), '1.0.0');
});

test('the cooldown: a plain install takes the newest allowed version and says so at once; an exact pin fails and says why', async () => {
  await using p = await project('payments');
  const plain = await p.npm('install', SAMPLES.fresh);
  worked(plain);
  assert.equal(await p.installed(SAMPLES.fresh), '1.1.0');
  assert.match(
    words(plain.output),
    /npm notice Weir hid weir-sample-fresh 1\.2\.0 \(Release is too young; WEIR-AGE-001, code \w{8}\)\. A plain install takes 1\.1\.0\./,
  );
  const row = await ground.row('payments', codeIn(plain.output));
  assert.deepEqual([row.outcome, row.action, row.enforced, row.hidden], ['filtered', 'metadata', true, ['1.2.0']]);
  const pinned = await p.npm('install', `${SAMPLES.fresh}@1.2.0`);
  failed(pinned);
  assert.match(words(pinned.output), /npm notice Weir hid weir-sample-fresh 1\.2\.0 .*No matching version found for/);
});

test('a hidden version asked for by its own address is refused in words, and so is its tarball', async () => {
  const base = ground.npm('payments');
  for (const path of [`${SAMPLES.fresh}/1.2.0`, `${SAMPLES.fresh}/-/${SAMPLES.fresh}-1.2.0.tgz`]) {
    const reply = await fetch(`${base}/${path}`);
    assert.equal(reply.status, 403);
    const { title, weir } = (await reply.json()) as { title: string; weir: { code: string; allowed_instead: string } };
    assert.deepEqual([title, weir.allowed_instead], ['Release is too young', '1.1.0']);
    const row = await ground.row('payments', weir.code);
    assert.deepEqual([row.level, row.subject.purl], ['deny', `pkg:npm/${SAMPLES.fresh}@1.2.0`]);
  }
  const shown = (await (await fetch(`${base}/${SAMPLES.fresh}/latest`)).json()) as { version: string };
  assert.equal(shown.version, '1.1.0');
  assert.equal((await fetch(`${base}/${SAMPLES.fresh}/9.9.9`)).status, 404);
});

test('the overlay of payments refuses the install script that research may run', async () => {
  await using strict = await project('payments');
  const refused = await strict.npm('install', SAMPLES.scripted);
  failed(refused);
  assert.match(words(refused.output), /No code runs at install time here/);
  const row = await ground.row('payments', codeIn(refused.output));
  assert.deepEqual(row.rules.map(({ rule, layer, effective }) => `${layer} ${rule} ${effective}`).toSorted(), [
    'floor WEIR-SCR-001 warn',
    'overlay WEIR-OV-PAYMENTS-001 deny',
  ]);
  await using open = await project('research');
  const served = await open.npm('install', SAMPLES.scripted);
  worked(served);
  assert.equal(await open.installed(SAMPLES.scripted), '1.0.0');
  assert.match(
    words(served.output),
    /Weir \(advisory\): weir-sample-scripted@1\.0\.0 comes with a warning \(Release runs code when installed; WEIR-SCR-001/,
  );
  const told = await ground.row('research', codeIn(served.output));
  assert.deepEqual([told.level, told.enforced, told.outcome], ['warn', true, 'served']);
});

for (const { what, name, rule, says } of [
  { what: 'a licence that the unit denies', name: SAMPLES.copyleft, rule: 'WEIR-LIC-001', says: DENIED_LICENCE },
  { what: 'a name that resembles a popular one', name: SAMPLES.lookalike, rule: 'WEIR-TYPO-001', says: SAMPLES.plain },
]) {
  test(`${what} is refused`, async () => {
    await using p = await project('payments');
    const ran = await p.npm('install', name);
    failed(ran);
    assert.ok(words(ran.output).includes(says), ran.output);
    const row = await ground.row('payments', codeIn(ran.output));
    assert.ok(row.rules.some((reason) => reason.rule === rule && reason.effective === 'deny'));
    assert.equal(await p.installed(name), '');
  });
}

test('an internal name is refused before the upstream hears of it, by whatever route', async () => {
  await using p = await project('payments');
  const ran = await p.npm('install', INTERNAL);
  failed(ran);
  assert.match(words(ran.output), /403 Weir refused weir-internal-billing.*belongs to this organisation/);
  const row = await ground.row('payments', codeIn(ran.output));
  assert.deepEqual([row.level, row.subject.purl], ['deny', `pkg:npm/${INTERNAL}`]);
  await p.npm('view', INTERNAL);
  await p.npm('search', INTERNAL);
  const base = ground.npm('payments');
  await fetch(`${base}/${INTERNAL}/-/${INTERNAL}-99.0.0.tgz`);
  await fetch(`${base}/-/npm/v1/security/advisories/bulk`, {
    method: 'POST',
    body: JSON.stringify({ [INTERNAL]: ['99.0.0'] }),
  });
  assert.deepEqual(
    ground.asked().filter((url) => url.includes('internal')),
    [],
  );
});

test('a deprecated release keeps its own warning and is recorded as one', async () => {
  await using p = await project('payments');
  const ran = await p.npm('install', `${SAMPLES.withdrawn}@2.0.0`);
  worked(ran);
  assert.match(ran.output, /npm warn deprecated weir-sample-withdrawn@2\.0\.0: superseded, it loses data/);
  const rows = await ground.rows('payments');
  const served = rows.filter(({ subject }) => subject.purl === `pkg:npm/${SAMPLES.withdrawn}@2.0.0`);
  assert.deepEqual(
    served.map(({ level }) => level),
    ['warn'],
  );
});

test('warn mode serves everything, tells the developer what it is, and records that nothing was enforced', async () => {
  await using p = await project('research');
  const refused = [
    { name: SAMPLES.malware, version: '1.0.1', why: 'Known malicious release; WEIR-MAL-001', instead: '1.0.0' },
    { name: SAMPLES.fresh, version: '1.2.0', why: 'Release is too young; WEIR-AGE-001', instead: '1.1.0' },
    { name: SAMPLES.copyleft, version: '1.0.0', why: 'Licence is not acceptable; WEIR-LIC-001', instead: '' },
    { name: INTERNAL, version: '99.0.0', why: 'Public package uses an internal name; WEIR-NS-001', instead: '' },
  ];
  for (const { name, version, why, instead } of refused) {
    const ran = await p.npm('install', name);
    worked(ran);
    assert.equal(await p.installed(name), version);
    const code = codeIn(ran.output);
    const allowed = instead === '' ? '' : ` Nearest allowed: ${instead}.`;
    assert.ok(
      words(ran.output).includes(
        `npm notice Weir (advisory): ${name}@${version} would be refused (${why}, code ${code}).${allowed}`,
      ),
      ran.output,
    );
    const row = await ground.row('research', code);
    assert.deepEqual(
      [row.level, row.mode, row.enforced, row.outcome, row.status],
      ['deny', 'warn', false, 'served_unenforced', 200],
    );
  }
  // From the lockfile alone, too, and only for what is not simply allowed.
  worked(await p.npm('install', SAMPLES.plain));
  await p.npm('cache', 'clean', '--force');
  const again = await p.npm('ci');
  worked(again);
  assert.equal(again.output.match(/Weir \(advisory\)/g)?.length, refused.length, again.output);
});

test('block mode tells of a warning whose rule asks for it, and serves', async () => {
  await using p = await project('payments');
  const ran = await p.npm('install', SAMPLES.untrusted);
  worked(ran);
  assert.equal(await p.installed(SAMPLES.untrusted), '1.1.0');
  assert.match(words(ran.output), /weir-sample-untrusted@1\.1\.0 comes with a warning \(Origin is less well proven/);
});

test('tokens: missing, malformed, unknown, revoked and another unit’s are each refused by name; the right one works', async () => {
  const theirs = await ground.token('payments');
  const ours = await ground.token('vault');
  for (const [token, says] of [
    ['', 'Token required'],
    ['wrong', 'Token is malformed'],
    [formatToken('vault', new Uint8Array(32)), 'Token is not valid'],
    [theirs.secret, 'Token of another unit'],
  ] as const) {
    const ran = await installWith(token);
    failed(ran);
    assert.ok(words(ran.output).includes(`Weir: ${says}`), ran.output);
    assert.ok(token === '' || !ran.output.includes(token), 'npm must not have been told its own token');
    const row = await ground.row('vault', codeIn(ran.output));
    assert.deepEqual([row.level, row.enforced, row.subject.purl], ['deny', true, '']);
  }
  worked(await installWith(ours.secret));
  {
    await using p = await project('vault', ours.secret);
    assert.match((await p.npm('whoami')).stdout, /^ci$/m);
    const publish = await p.npm('publish', '--ignore-scripts');
    failed(publish);
    assert.match(words(publish.output), /403 Weir refused this request: Publishing is not done here/);
    const row = await ground.row('vault', codeIn(publish.output));
    assert.deepEqual([row.action, row.outcome, row.request.method], ['publish', 'publish_refused', 'PUT']);
  }
  await ground.revoke('vault', ours.id);
  const revoked = await installWith(ours.secret);
  failed(revoked);
  assert.match(words(revoked.output), /401 Weir: Token is not valid.*unknown here or has been revoked/);
});

test('npm ci from a lockfile that names the public registry comes here, and a refused version in it is refused', async () => {
  await using p = await project('payments');
  worked(await p.npm('install', `${SAMPLES.plain}@2.0.0`, SAMPLES.scoped));
  // npm itself knows where the public registry is.
  const home = await run('npm', ['config', 'get', 'registry', `--globalconfig=${join(p.folder, 'none')}`], {
    env: p.env,
    cwd: tmpdir(),
  });
  const publicHost = new URL(home.stdout.trim()).origin;
  const lock = (await readFile(join(p.folder, 'package-lock.json'), 'utf8')).replaceAll(
    ground.npm('payments'),
    publicHost,
  );
  assert.ok(lock.includes(publicHost));
  await p.write('package-lock.json', lock);
  await p.npm('cache', 'clean', '--force');
  const toldBefore = ground.told('payments').length;
  worked(await p.npm('ci'));
  assert.deepEqual([await p.installed(SAMPLES.plain), await p.installed(SAMPLES.scoped)], ['2.0.0', '1.0.2']);
  const asked = ground.told('payments').slice(toldBefore);
  assert.equal(asked.filter(({ url }) => url.endsWith('.tgz')).length, 2);

  await using refused = await project('payments');
  await refused.write('package.json', {
    name: 'project',
    version: '1.0.0',
    dependencies: { [SAMPLES.malware]: '1.0.1' },
  });
  worked(await refused.npm('install', '--package-lock-only'));
  const ran = await refused.npm('ci');
  failed(ran);
  assert.match(words(ran.output), /Weir refused weir-sample-malware@1\.0\.1: Known malicious release/);
  const audit = await refused.npm('audit');
  failed(audit);
  assert.match(
    words(audit.output),
    /weir-sample-malware 1\.0\.1 .*Refused here: Known malicious release \(WEIR-MAL-001\)/,
  );
});

test('view, dist-tag, search, ping and audit answer as npm expects', async () => {
  await using p = await project('payments');
  assert.deepEqual(JSON.parse((await p.npm('view', SAMPLES.fresh, 'versions', '--json')).stdout), ['1.0.0', '1.1.0']);
  assert.match(
    (await p.npm('view', SAMPLES.fresh, 'dist.tarball')).stdout.trim(),
    new RegExp(`^${ground.npm('payments')}/`),
  );
  assert.match((await p.npm('dist-tag', 'ls', SAMPLES.fresh)).stdout, /^latest: 1\.1\.0$/m);
  assert.match((await p.npm('search', SAMPLES.scoped)).stdout, /@weir-sample\/scoped/);
  const ping = await p.npm('ping');
  worked(ping);
  assert.match(ping.output, /PONG/);
  worked(await p.npm('install', SAMPLES.app));
  const audit = await p.npm('audit');
  worked(audit);
  assert.match(audit.stdout, /found 0 vulnerabilities/);
});

test('a package that is nowhere and a version that is nowhere stay npm’s own errors', async () => {
  await using p = await project('payments');
  const nowhere = await p.npm('install', 'weir-sample-nowhere');
  failed(nowhere);
  assert.match(nowhere.output, /E404/);
  const noVersion = await p.npm('install', `${SAMPLES.plain}@7`);
  failed(noVersion);
  assert.match(noVersion.output, /ETARGET/);
});

test('validators: each form has its own, a 304 never crosses forms, and the encodings agree', async () => {
  const url = `${ground.npm('payments')}/${SAMPLES.plain}`;
  const ask = async (headers: Readonly<Record<string, string>>): Promise<{ reply: Response; raw: Passed }> => {
    const reply = await fetch(url, { headers: { 'accept-encoding': 'identity', ...headers } });
    await reply.clone().arrayBuffer();
    const raw = ground.told('payments').at(-1);
    assert.ok(raw !== undefined);
    return { reply, raw };
  };
  const short = { accept: 'application/vnd.npm.install-v1+json' };
  const full = await ask({});
  const abbreviated = await ask(short);
  const tags = [full, abbreviated].map(({ raw }) => headerOf(raw, 'etag'));
  assert.equal(new Set(tags).size, 2);
  const [fullTag = '', shortTag = ''] = tags;
  assert.equal((await ask({ 'if-none-match': fullTag })).reply.status, 304);
  assert.equal((await ask({ ...short, 'if-none-match': shortTag })).reply.status, 304);
  assert.equal((await ask({ ...short, 'if-none-match': fullTag })).reply.status, 200);
  const plain = await full.reply.json();
  for (const encoding of ['gzip', 'br']) {
    const encoded = await ask({ 'accept-encoding': encoding });
    assert.equal(headerOf(encoded.raw, 'content-encoding'), encoding);
    assert.deepEqual(await encoded.reply.json(), plain);
  }
});

test('HEAD and Range on a tarball take the same decision as GET', async () => {
  const whole = await tarballOf(SAMPLES.plain, '2.0.0');
  const head = await fetch(tarballUrl(SAMPLES.plain, '2.0.0'), { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers.get('content-length')], [200, String(whole.length)]);
  const part = await fetch(tarballUrl(SAMPLES.plain, '2.0.0'), { headers: { range: 'bytes=10-19' } });
  assert.equal(part.status, 206);
  assert.deepEqual(Buffer.from(await part.arrayBuffer()), whole.subarray(10, 20));
  const etag = part.headers.get('etag') ?? '';
  assert.equal((await fetch(tarballUrl(SAMPLES.plain, '2.0.0'), { headers: { 'if-none-match': etag } })).status, 304);
  const refusals: readonly RequestInit[] = [
    { method: 'HEAD' },
    { headers: { range: 'bytes=0-0' } },
    { headers: { 'if-none-match': '*' } },
  ];
  for (const init of refusals) {
    const refused = await fetch(tarballUrl(SAMPLES.malware, MALICIOUS_VERSION), init);
    assert.equal(refused.status, 403);
    assert.match(refused.statusText, /Known malicious release/);
  }
});

test('tarballs at the root of the host are found, for lockfiles that lost the registry’s path', async () => {
  const origin = new URL(ground.npm('payments')).origin;
  assert.equal((await fetch(`${origin}/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`)).status, 200);
  assert.equal((await fetch(`${origin}/${SAMPLES.malware}/-/${SAMPLES.malware}-1.0.1.tgz`)).status, 403);
});

test('nothing that any client was told in all of this names an upstream', async () => {
  ground.assertUpstreamUnseen();
});
