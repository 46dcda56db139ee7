// npm against the registry that this machine's npm is configured for, with a spoke in between.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { codeIn } from '../interop/federation/client-federation.ts';
import { clientWorkspace, type Ran, run, type Workspace } from '../upstreams/clients.ts';
import { LIVE, type LiveFederation, startLiveFederation } from './live-federation.ts';

const { allowed, scoped, refused, restless } = LIVE.npm;
let ground: LiveFederation;

before(async () => {
  ground = await startLiveFederation();
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
});

interface Project extends Workspace {
  npm(...args: readonly string[]): Promise<Ran>;
  readonly installed: (name: string) => Promise<string>;
}

async function project(): Promise<Project> {
  const workspace = await clientWorkspace();
  const { folder } = workspace;
  await writeFile(join(folder, '.npmrc'), `registry=${ground.npm}/\nfund=false\naudit=false\nupdate-notifier=false\n`);
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'project', version: '1.0.0' }));
  const env = { ...workspace.env, npm_config_globalconfig: join(folder, 'global-npmrc') };
  return {
    ...workspace,
    npm: (...args) => run('npm', args, { env, cwd: folder }),
    installed: async (name) => {
      const text = await readFile(join(folder, 'node_modules', name, 'package.json'), 'utf8').catch(() => '{}');
      return (JSON.parse(text) as { version?: string }).version ?? '';
    },
  };
}

test('installs what is allowed, with what it needs, from addresses of the spoke alone', async () => {
  await using p = await project();
  const ran = await p.npm('install', `${allowed.name}@${allowed.version}`, `${scoped.name}@${scoped.version}`);
  assert.equal(ran.code, 0, ran.output);
  assert.deepEqual(await Promise.all([allowed.name, allowed.brings.name, scoped.name].map(p.installed)), [
    allowed.version,
    allowed.brings.version,
    scoped.version,
  ]);
  const lock = await readFile(join(p.folder, 'package-lock.json'), 'utf8');
  const resolved = [...lock.matchAll(/"resolved": "([^"]+)"/g)].map(([, url]) => url ?? '');
  assert.equal(resolved.length, 3);
  for (const url of resolved) assert.ok(url.startsWith(`${ground.npm}/`), url);
});

test('refuses what a record names, with reason and code', async () => {
  await using p = await project();
  const ran = await p.npm('install', `${refused.name}@${refused.version}`);
  assert.ok(ran.code > 0, ran.output);
  assert.match(ran.output, /Known malicious release/);
  const row = await ground.row(codeIn(ran.output));
  assert.deepEqual([row['level'], row['enforced'], row['status']], ['deny', true, 403]);
  assert.equal(await p.installed(refused.name), '');
});

test('the cooldown steers a plain install past what is too young', async (t) => {
  await using p = await project();
  const ran = await p.npm('install', restless);
  assert.equal(ran.code, 0, ran.output);
  const hidden = await ground.hidden(`pkg:npm/${restless}`);
  if (hidden.length === 0) {
    t.skip(`no release of ${restless} is younger than the cooldown at this upstream`);
    return;
  }
  assert.match(ran.output, new RegExp(`Weir hid ${restless}`));
  assert.ok(!hidden.includes(await p.installed(restless)));
  const pinned = await p.npm('install', `${restless}@${hidden.at(-1) ?? ''}`);
  assert.ok(pinned.code > 0, pinned.output);
});

test('view, ping and search answer; a mirror without search is told as such', async () => {
  await using p = await project();
  assert.equal((await p.npm('view', `${allowed.name}@${allowed.version}`, 'version')).stdout.trim(), allowed.version);
  assert.match((await p.npm('ping')).output, /PONG/);
  const search = await p.npm('search', allowed.name, '--json');
  if (search.code === 0) assert.ok(search.stdout.includes(`"name":"${allowed.name}"`), search.stdout.slice(0, 500));
  else assert.match(search.output, /The upstream registry does not offer this/);
});
