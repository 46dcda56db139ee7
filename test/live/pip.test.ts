// pip against the index that this machine's pip is configured for, with a spoke in between.

import assert from 'node:assert/strict';
import { after, before, test, type TestContext } from 'node:test';
import { codeIn } from '../interop/federation/client-federation.ts';
import { type PythonProject, pythonProject } from '../interop/federation/python-project.ts';
import { ensurePip, type Found, type Ran } from '../upstreams/clients.ts';
import { LIVE, type LiveFederation, startLiveFederation } from './live-federation.ts';

const { allowed, refused, restless } = LIVE.pypi;
let ground: LiveFederation;
let pip: Found;

before(async () => {
  pip = await ensurePip();
  ground = await startLiveFederation();
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

async function install(t: TestContext, project: PythonProject, ...args: readonly string[]): Promise<Ran | undefined> {
  if (!pip.found) {
    t.skip(pip.why);
    return undefined;
  }
  const where = ['--target', project.site, '--index-url', ground.simple, '--root-user-action', 'ignore'];
  return project.run(pip.program, '-m', 'pip', 'install', ...where, '--no-input', ...args);
}

test('installs what is allowed, with what it needs, from addresses of the spoke alone', async (t) => {
  await using project = await pythonProject();
  const ran = await install(t, project, `${allowed.name}==${allowed.version}`);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  const installed = await project.installed();
  assert.ok(installed.includes(`python_dateutil-${allowed.version}`), installed.join());
  assert.ok(installed.some((name) => name.startsWith(`${allowed.brings}-`)));
  const pages = ground.told.filter(({ url }) => url.includes('/simple/'));
  for (const { rawHeaders, body } of pages) {
    const text = rawHeaders.join('\n') + body.toString('latin1');
    for (const host of ground.upstreamHosts) assert.ok(!text.includes(host), host);
  }
  assert.ok(pages.length > 0);
});

test('refuses what a record names, with reason and code', async (t) => {
  await using project = await pythonProject();
  const ran = await install(t, project, `${refused.name}==${refused.version}`);
  if (ran === undefined) return;
  assert.ok(ran.code > 0, ran.output);
  assert.match(ran.output, /Known malicious release/);
  const row = await ground.row(codeIn(ran.output));
  assert.deepEqual([row['level'], row['enforced'], row['status']], ['deny', true, 403]);
  assert.deepEqual(await project.installed(), []);
});

test('the cooldown steers a plain install past what is too young', async (t) => {
  await using project = await pythonProject();
  const ran = await install(t, project, '--no-deps', restless);
  if (ran === undefined) return;
  assert.equal(ran.code, 0, ran.output);
  const hidden = await ground.hidden(`pkg:pypi/${restless}`);
  const [newest] = hidden;
  if (newest === undefined) {
    t.skip(`no release of ${restless} is younger than the cooldown at this upstream`);
    return;
  }
  const installed = await project.installed();
  assert.ok(!hidden.some((version) => installed.includes(`${restless}-${version}`)));
  const pinned = await install(t, project, '--no-deps', `${restless}==${newest}`);
  assert.ok(pinned !== undefined && pinned.code > 0);
  assert.match(pinned.output, /Release is too young/);
});
