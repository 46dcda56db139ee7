// What the real pip and the real uv print when a file or its metadata is refused, and that the index page never is.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Found, type Ran, clientWorkspace, ensurePip, ensureUv, run } from '../upstreams/clients.ts';
import type { LocalServer } from '../upstreams/local-server.ts';
import { type PypiIndexOptions, startPypiIndex } from '../upstreams/pypi-index.ts';
import { MALICIOUS_VERSION, SAMPLES, samplePythonReleases } from '../upstreams/sample-packages.ts';
import { FRONT_CODE, FRONT_DETAIL, FRONT_RULE, type FrontOptions, startPypiFront } from './pypi-front.ts';

const RELEASES = samplePythonReleases(new Date('2026-01-02T03:04:05.000Z'));
const MALWARE = `${SAMPLES.malware}@${MALICIOUS_VERSION}`;

type Client = 'pip' | 'uv';

interface Installed extends Ran {
  /** Distributions in the target folder, as their metadata folders are called. */
  readonly distributions: readonly string[];
  /** Status-bearing paths that the client asked the front for, in order. */
  readonly asked: readonly string[];
}

const clients: Readonly<Record<Client, () => Promise<Found>>> = { pip: ensurePip, uv: ensureUv };

async function install(
  client: Client,
  requirements: readonly string[],
  setup: { readonly index?: PypiIndexOptions; readonly front?: FrontOptions; readonly userinfo?: string },
  t: TestContext,
): Promise<Installed | undefined> {
  const found = await clients[client]();
  if (!found.found) {
    t.skip(found.why);
    return undefined;
  }
  await using index = await startPypiIndex({ releases: RELEASES, ...setup.index });
  await using front: LocalServer = await startPypiFront(index, setup.front);
  await using workspace = await clientWorkspace();
  const target = join(workspace.folder, 'site');
  const userinfo = setup.userinfo === undefined ? '' : `${setup.userinfo}@`;
  const indexUrl = `http://${userinfo}127.0.0.1:${front.port}/pypi/simple/`;
  const args =
    client === 'pip'
      ? ['-m', 'pip', 'install', '--target', target, '--index-url', indexUrl, '--trusted-host', '127.0.0.1']
      : ['pip', 'install', '--target', target, '--default-index', indexUrl];
  const ran = await run(found.program, [...args, ...requirements], { env: workspace.env, cwd: workspace.folder });
  const distributions = await readdir(target).then(
    (names) => names.filter((name) => name.endsWith('.dist-info')).toSorted(),
    () => [],
  );
  return { ...ran, distributions, asked: front.requests.map((request) => request.url) };
}

/** Long lines are wrapped and drawn around by uv; what matters is the words. */
function words(text: string): string {
  return text.replaceAll(/[\s│╰─▶├×·]+/gu, ' ');
}

function printsReason(client: Client, ran: Ran): void {
  const printed = words(ran.output);
  assert.ok(printed.includes(FRONT_CODE), ran.output);
  assert.ok(printed.includes(client === 'pip' ? FRONT_RULE : FRONT_DETAIL), ran.output);
}

for (const client of ['pip', 'uv'] as const) {
  test(`${client} installs what is allowed, with its dependencies`, async (t) => {
    const ran = await install(client, [SAMPLES.app], {}, t);
    if (ran === undefined) return;
    assert.equal(ran.code, 0, ran.output);
    assert.deepEqual(ran.distributions, [
      'weir_sample_app-1.0.0.dist-info',
      'weir_sample_middle-1.0.0.dist-info',
      'weir_sample_plain-1.1.0.dist-info',
    ]);
  });

  test(`${client} prints why a file is refused`, async (t) => {
    const ran = await install(
      client,
      [SAMPLES.malware],
      { front: { refused: [MALWARE] }, index: { withoutMetadata: true } },
      t,
    );
    if (ran === undefined) return;
    assert.notEqual(ran.code, 0);
    printsReason(client, ran);
    assert.deepEqual(ran.distributions, []);
  });

  test(`${client} prints why a file's metadata is refused`, async (t) => {
    const ran = await install(client, [SAMPLES.malware], { front: { refused: [MALWARE] } }, t);
    if (ran === undefined) return;
    assert.notEqual(ran.code, 0);
    assert.ok(ran.asked.some((path) => path.endsWith('.whl.metadata')));
    assert.ok(!ran.asked.some((path) => path.endsWith('.whl')));
    printsReason(client, ran);
  });

  test(`${client} takes the newest version that is not hidden`, async (t) => {
    const ran = await install(client, [SAMPLES.fresh], { front: { hidden: [`${SAMPLES.fresh}@1.2.0`] } }, t);
    if (ran === undefined) return;
    assert.equal(ran.code, 0, ran.output);
    assert.deepEqual(ran.distributions, ['weir_sample_fresh-1.1.0.dist-info']);
  });

  test(`${client} takes the newest version that is not hidden from an index that speaks only HTML`, async (t) => {
    const setup = { front: { hidden: [`${SAMPLES.fresh}@1.2.0`] }, index: { htmlOnly: true } };
    const ran = await install(client, [SAMPLES.fresh], setup, t);
    if (ran === undefined) return;
    assert.equal(ran.code, 0, ran.output);
    assert.deepEqual(ran.distributions, ['weir_sample_fresh-1.1.0.dist-info']);
  });

  test(`${client} prints why when every version is hidden: the page still lists them, the file is refused`, async (t) => {
    const hidden = [`${SAMPLES.malware}@1.0.0`, MALWARE];
    const ran = await install(client, [SAMPLES.malware], { front: { hidden } }, t);
    if (ran === undefined) return;
    assert.notEqual(ran.code, 0);
    printsReason(client, ran);
  });

  test(`${client} is told that its credential is not accepted`, async (t) => {
    const setup = { front: { credential: '__token__:right' }, userinfo: '__token__:wrong' };
    const ran = await install(client, [SAMPLES.plain], setup, t);
    if (ran === undefined) return;
    assert.notEqual(ran.code, 0);
    assert.match(ran.output, /401/);
  });

  test(`${client} installs with an accepted credential`, async (t) => {
    const setup = { front: { credential: '__token__:right' }, userinfo: '__token__:right' };
    const ran = await install(client, [SAMPLES.plain], setup, t);
    if (ran === undefined) return;
    assert.equal(ran.code, 0, ran.output);
  });

  test(`${client} prints why when the spoke itself cannot answer (503)`, async (t) => {
    const setup = { front: { refused: [MALWARE], status: 503 }, index: { withoutMetadata: true } };
    const ran = await install(client, [SAMPLES.malware], setup, t);
    if (ran === undefined) return;
    assert.notEqual(ran.code, 0);
    assert.ok(words(ran.output).includes(FRONT_CODE), ran.output);
    // pip gets a status that it does not repeat, since it would lose the reason on the way.
    if (client === 'pip') assert.equal(ran.asked.filter((path) => path.endsWith('.whl')).length, 1);
  });

  test(`${client} prints the sentence of a flagged version that is pinned, and avoids it otherwise`, async (t) => {
    const flagged = { [`${SAMPLES.plain}@2.0.0`]: 'flagged by the test' };
    const pinned = await install(client, [`${SAMPLES.plain}==2.0.0`], { front: { flagged } }, t);
    if (pinned === undefined) return;
    assert.equal(pinned.code, 0, pinned.output);
    assert.ok(words(pinned.output).includes('flagged by the test'), pinned.output);
    const free = await install(client, [SAMPLES.plain], { front: { flagged } }, t);
    assert.deepEqual(free?.distributions, ['weir_sample_plain-1.1.0.dist-info']);
  });
}

test('the page of a refused project is 200 in every form, and other spellings lead to it', async () => {
  await using index = await startPypiIndex({ releases: RELEASES });
  await using front = await startPypiFront(index, { refused: [`${SAMPLES.malware}@1.0.0`, MALWARE] });
  for (const accept of ['application/vnd.pypi.simple.v1+json', 'text/html', '*/*']) {
    const page = await fetch(`${front.origin}/pypi/simple/${SAMPLES.malware}/`, { headers: { accept } });
    assert.equal(page.status, 200);
    assert.ok(!(await page.text()).includes(`:${new URL(index.origin).port}`));
  }
  for (const spelling of ['Weir_Sample.Malware/', 'Weir_Sample.Malware', SAMPLES.malware]) {
    const first = await fetch(`${front.origin}/pypi/simple/${spelling}`, { redirect: 'manual' });
    assert.equal(first.status, 301);
    assert.doesNotMatch(first.headers.get('location') ?? '', /^[a-z]+:|^\//);
    const followed = await fetch(`${front.origin}/pypi/simple/${spelling}`);
    assert.equal(followed.url, `${front.origin}/pypi/simple/${SAMPLES.malware}/`);
    assert.equal(followed.status, 200);
    await followed.text();
  }
});
