// The real pip through whole spokes. It prints the reason phrase of a refused file or sidecar and nothing of a refused page,
// so every refusal has to reach it at a file.

import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { ensurePip, type Found, type Ran } from '../../upstreams/clients.ts';
import { DENIED_LICENCE, MALICIOUS_VERSION, SAMPLES } from '../../upstreams/sample-packages.ts';
import { type ClientFederation, codeIn, INTERNAL, startClientFederation, type UnitName } from './client-federation.ts';
import { type PythonProject, pythonProject, withToken } from './python-project.ts';

let ground: ClientFederation;
let pip: Found;

before(async () => {
  pip = await ensurePip();
  ground = await startClientFederation({ units: ['payments', 'research', 'vault', 'archive'] });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

interface Pip {
  (...args: readonly string[]): Promise<Ran>;
}

/** Undefined, and the test skipped with the reason, on a machine without pip. */
function client(t: TestContext, project: PythonProject, unit: UnitName, token = ''): Pip | undefined {
  if (!pip.found) {
    t.skip(pip.why);
    return undefined;
  }
  const { program } = pip;
  const index = withToken(ground.simple(unit), token);
  return (command = '', ...args) => {
    const target = command === 'install' ? ['--target', project.site, '--root-user-action', 'ignore'] : [];
    return project.run(program, '-m', 'pip', command, ...target, '--index-url', index, '--no-input', ...args);
  };
}

/** Runs one install in a project of its own. */
async function install(
  t: TestContext,
  unit: UnitName,
  args: readonly string[],
  token = '',
): Promise<(Ran & { readonly installed: readonly string[] }) | undefined> {
  await using project = await pythonProject();
  const run = client(t, project, unit, token);
  if (run === undefined) return undefined;
  const ran = await run('install', ...args);
  return { ...ran, installed: await project.installed() };
}

function failed(ran: Ran): void {
  assert.ok(ran.code > 0, `pip ended with ${ran.code}\n${ran.output}`);
}

test('installs what is allowed, with dependencies, through the metadata beside the wheels', async (t) => {
  await using project = await pythonProject();
  const run = client(t, project, 'payments');
  if (run === undefined) return;
  const ran = await run('install', SAMPLES.app);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await project.installed(), [
    'weir_sample_app-1.0.0',
    'weir_sample_middle-1.0.0',
    'weir_sample_plain-1.1.0',
  ]);
  const told = ground.told('payments').filter(({ url }) => url.includes('/weir-sample-app/'));
  assert.deepEqual(
    told.map(({ url, status }) => `${status} ${url.slice(url.lastIndexOf('/') + 1)}`),
    ['200 ', '200 weir_sample_app-1.0.0-py3-none-any.whl.metadata', '200 weir_sample_app-1.0.0-py3-none-any.whl'],
  );
  const wheel = ground.pypi.files(SAMPLES.app).find(({ file }) => file.endsWith('.whl'));
  assert.deepEqual(told.at(-1)?.body, wheel?.bytes);
  await ground.assertUpstreamNotKept(project);
});

test('a known malicious release is refused at its metadata with reason and code, and not a byte of it comes', async (t) => {
  const ran = await install(t, 'payments', [SAMPLES.malware]);
  if (ran === undefined) return;
  failed(ran);
  assert.match(
    ran.output,
    /403 Client Error: Weir refused weir-sample-malware@1\.0\.1: Known malicious release, allowed 1\.0\.0, code/,
  );
  assert.deepEqual(ran.installed, []);
  const row = await ground.row('payments', codeIn(ran.output));
  assert.deepEqual(
    [row.level, row.mode, row.enforced, row.outcome, row.status, row.request.client, row.request.route],
    ['deny', 'block', true, 'refused', 403, 'pip', 'sidecar'],
  );
  const file = await fetch(
    `${ground.simple('payments')}../files/${SAMPLES.malware}/weir_sample_malware-1.0.1-py3-none-any.whl`,
  );
  assert.equal(file.status, 403);
  assert.ok(!ground.asked().some((url) => url.endsWith(`weir_sample_malware-${MALICIOUS_VERSION}-py3-none-any.whl`)));
  const older = await install(t, 'payments', [`${SAMPLES.malware}<1.0.1`]);
  assert.deepEqual(older?.installed, ['weir_sample_malware-1.0.0']);
});

test('the cooldown: a plain install takes the newest allowed version; an exact pin reads why', async (t) => {
  const plain = await install(t, 'payments', [SAMPLES.fresh]);
  if (plain === undefined) return;
  assert.equal(plain.code, 0, plain.output);
  assert.deepEqual(plain.installed, ['weir_sample_fresh-1.1.0']);
  const pinned = await install(t, 'payments', [`${SAMPLES.fresh}==1.2.0`]);
  assert.ok(pinned !== undefined);
  failed(pinned);
  assert.match(pinned.output, /Weir refused weir-sample-fresh@1\.2\.0: Release is too young, allowed 1\.1\.0, code/);
  const row = await ground.row('payments', codeIn(pinned.output));
  assert.deepEqual([row.level, row.subject.purl], ['deny', `pkg:pypi/${SAMPLES.fresh}@1.2.0`]);
  const range = await install(t, 'payments', [`${SAMPLES.fresh}>=1.2`]);
  assert.ok(range !== undefined);
  failed(range);
  const views = (await ground.rows('payments')).filter(({ hidden }) => hidden.includes('1.2.0'));
  assert.ok(views.length > 0 && views.every(({ outcome, enforced }) => outcome === 'filtered' && enforced));
});

test('index versions and download see what an install sees', async (t) => {
  await using project = await pythonProject();
  const run = client(t, project, 'payments');
  if (run === undefined) return;
  const versions = await run('index', 'versions', SAMPLES.fresh);
  assert.match(versions.stdout, /Available versions: 1\.1\.0, 1\.0\.0$/m);
  const download = await run('download', '--dest', project.site, SAMPLES.fresh);
  assert.equal(download.code, 0, download.output);
  assert.match(download.stdout, /weir_sample_fresh-1\.1\.0-py3-none-any\.whl/);
  failed(await run('download', '--dest', project.site, SAMPLES.malware));
});

test('a source archive: refused by the overlay of payments, built and installed in research', async (t) => {
  const refused = await install(t, 'payments', [SAMPLES.scripted]);
  if (refused === undefined) return;
  failed(refused);
  assert.match(refused.output, /Weir refused weir-sample-scripted@1\.0\.0: No code runs at install time here/);
  const row = await ground.row('payments', codeIn(refused.output));
  assert.ok(row.rules.some(({ layer, rule }) => layer === 'overlay' && rule === 'WEIR-OV-PAYMENTS-001'));
  // With a wheel beside it, the same release is fine until somebody insists on the source.
  const source = await install(t, 'payments', ['--no-binary', ':all:', `${SAMPLES.plain}==2.0.0`]);
  assert.ok(source !== undefined);
  failed(source);
  assert.match(source.output, /No code runs at install time here/);
  const served = await install(t, 'research', [SAMPLES.scripted]);
  assert.deepEqual(served?.installed, ['weir_sample_scripted-1.0.0']);
});

for (const { what, name, says } of [
  { what: 'a denied licence', name: SAMPLES.copyleft, says: 'Licence is not acceptable' },
  { what: 'a look-alike', name: SAMPLES.lookalike, says: 'Name resembles a popular package' },
]) {
  test(`${what} is refused with reason and code`, async (t) => {
    const ran = await install(t, 'payments', [name]);
    if (ran === undefined) return;
    failed(ran);
    assert.ok(ran.output.includes(`: ${says}`), ran.output);
    const row = await ground.row('payments', codeIn(ran.output));
    assert.deepEqual([row.level, row.enforced], ['deny', true]);
    assert.deepEqual(ran.installed, []);
  });
}

test('the licence that the index does not carry is read beside the wheel and named', async () => {
  const rows = await ground.rows('payments');
  const row = rows.find(({ subject, code }) => subject.purl === `pkg:pypi/${SAMPLES.copyleft}@1.0.0` && code !== '');
  if (!pip.found) return;
  assert.ok(JSON.stringify(row?.rules).includes(DENIED_LICENCE));
});

test('an internal name is refused in words and the upstream never hears of it, whatever version is asked for', async (t) => {
  const plain = await install(t, 'payments', [INTERNAL]);
  if (plain === undefined) return;
  failed(plain);
  assert.match(
    plain.output,
    /403 Client Error: Weir refused weir-internal-billing: Public package uses an internal name, code/,
  );
  const row = await ground.row('payments', codeIn(plain.output));
  assert.deepEqual([row.level, row.enforced, row.subject.purl], ['deny', true, `pkg:pypi/${INTERNAL}`]);
  const pinned = await install(t, 'payments', [`${INTERNAL}==2.1`]);
  assert.ok(pinned !== undefined);
  failed(pinned);
  const code = /from versions: 0\+refused\.by\.weir\.code\.([0-9a-z]{8})\)/.exec(pinned.output)?.[1];
  assert.ok(code !== undefined, pinned.output);
  assert.equal((await ground.row('payments', code.toUpperCase())).rules[0]?.rule, 'WEIR-NS-001');
  assert.deepEqual(
    ground.asked().filter((url) => url.includes('internal')),
    [],
  );
});

test('a yanked release is passed over, and an exact pin of it installs with upstream’s own reason', async (t) => {
  const plain = await install(t, 'payments', [SAMPLES.withdrawn]);
  if (plain === undefined) return;
  assert.deepEqual(plain.installed, ['weir_sample_withdrawn-1.0.0']);
  const pinned = await install(t, 'payments', [`${SAMPLES.withdrawn}==2.0.0`]);
  assert.ok(pinned !== undefined);
  assert.equal(pinned.code, 0, pinned.output);
  assert.match(pinned.output, /Reason for being yanked: superseded, it loses data/);
});

test('warn mode serves what block mode refuses and records it so', async (t) => {
  const ran = await install(t, 'research', [SAMPLES.malware, SAMPLES.fresh, SAMPLES.copyleft, INTERNAL]);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(ran.installed, [
    'weir_internal_billing-99.0.0',
    'weir_sample_copyleft-1.0.0',
    'weir_sample_fresh-1.2.0',
    'weir_sample_malware-1.0.1',
  ]);
  const wheels = (await ground.rows('research')).filter(
    ({ request, outcome }) => request.route === 'artifact' && outcome === 'served_unenforced',
  );
  assert.deepEqual(
    wheels.map(({ level, enforced, mode }) => [level, enforced, mode]),
    Array.from({ length: 4 }, () => ['deny', false, 'warn']),
  );
});

test('hash-checking mode: the upstream’s digests hold here, wrong ones do not', async (t) => {
  await using project = await pythonProject();
  const run = client(t, project, 'payments');
  if (run === undefined) return;
  const wheel = ground.pypi
    .files(SAMPLES.plain)
    .find(({ file }) => file === 'weir_sample_plain-2.0.0-py3-none-any.whl');
  const right = await project.write('right.txt', `${SAMPLES.plain}==2.0.0 --hash=sha256:${wheel?.sha256 ?? ''}\n`);
  const ran = await run('install', '--require-hashes', '-r', right);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await project.installed(), ['weir_sample_plain-2.0.0']);
  const wrong = await project.write('wrong.txt', `${SAMPLES.plain}==2.0.0 --hash=sha256:${'0'.repeat(64)}\n`);
  failed(await run('install', '--require-hashes', '-r', wrong));
});

test('an index that speaks only HTML and knows no times: what need not wait installs, the rest says what is unknown', async (t) => {
  const exempt = await install(t, 'archive', [`${SAMPLES.plain}==1.1.0`]);
  if (exempt === undefined) return;
  assert.equal(exempt.code, 0, exempt.output);
  assert.deepEqual(exempt.installed, ['weir_sample_plain-1.1.0']);
  const unknown = await install(t, 'archive', [SAMPLES.app]);
  assert.ok(unknown !== undefined);
  failed(unknown);
  assert.match(unknown.output, /Weir refused weir-sample-app@1\.0\.0: Publish time is unknown/);
  const row = await ground.row('archive', codeIn(unknown.output));
  assert.deepEqual([row.level, row.enforced], ['pending', true]);
});

test('tokens: wrong, revoked and another unit’s are refused in words, a missing one fails, the right one works', async (t) => {
  const theirs = await ground.token('payments');
  const ours = await ground.token('vault');
  const missing = await install(t, 'vault', [SAMPLES.plain]);
  if (missing === undefined) return;
  failed(missing);
  for (const [token, says] of [
    ['wrong', 'Token is malformed'],
    [theirs.secret, 'Token of another unit'],
  ] as const) {
    const ran = await install(t, 'vault', [SAMPLES.plain], token);
    assert.ok(ran !== undefined);
    failed(ran);
    assert.ok(ran.output.includes(`Weir: ${says}`), ran.output);
    const row = await ground.row('vault', codeIn(ran.output));
    assert.deepEqual([row.level, row.enforced, row.status], ['deny', true, 401]);
  }
  const right = await install(t, 'vault', [SAMPLES.app], ours.secret);
  assert.ok(right !== undefined);
  assert.equal(right.code, 0, right.output);
  assert.ok(!right.output.includes(ours.secret));
  await ground.revoke('vault', ours.id);
  const revoked = await install(t, 'vault', [SAMPLES.plain], ours.secret);
  assert.match(revoked?.output ?? '', /Weir: Token is not valid/);
});

test('an upstream in trouble is told as such, not as a missing package', async (t) => {
  ground.pypi.trouble.set(`/simple/${SAMPLES.untrusted}/`, { kind: 'status', status: 500 });
  const ran = await install(t, 'payments', [SAMPLES.untrusted]);
  ground.pypi.trouble.clear();
  if (ran === undefined) return;
  failed(ran);
  assert.match(ran.output, /Weir: Upstream registry failed/);
});

test('pages: 200 for a refused project in every form, their own validators, uploads refused in words', async () => {
  const page = `${ground.simple('payments')}${SAMPLES.malware}/`;
  const forms = ['application/vnd.pypi.simple.v1+json', 'application/vnd.pypi.simple.v1+html', 'text/html'];
  const tags = new Set<string>();
  for (const accept of forms) {
    const reply = await fetch(page, { headers: { accept } });
    assert.equal(reply.status, 200);
    assert.ok((await reply.text()).includes('weir_sample_malware-1.0.1'));
    const etag = reply.headers.get('etag') ?? '';
    tags.add(etag);
    assert.equal((await fetch(page, { headers: { accept, 'if-none-match': etag } })).status, 304);
  }
  assert.equal(tags.size, forms.length);
  const legacy = await fetch(`${ground.simple('payments')}../pypi/${SAMPLES.fresh}/json`);
  assert.equal(((await legacy.json()) as { info: { version: string } }).info.version, '1.1.0');
  const upload = await fetch(`${ground.simple('payments')}../legacy/`, { method: 'POST', body: 'x' });
  assert.equal(upload.status, 403);
  assert.match(upload.statusText, /Publishing is not done here/);
});

test('nothing that pip was told names an upstream', () => {
  ground.assertUpstreamUnseen();
});
