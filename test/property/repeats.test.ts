// A repeated request is answered faster and never differently. Every case asks several times in the same words and once more
// with a header that means nothing, which has to take the whole way: replies and rows must agree in all but their ids.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import {
  ALICE,
  BOB,
  BOB_SECONDS,
  type Ground,
  layGround,
  PACKAGES,
  type PolicyVariant,
  type Reply,
  VARIANTS,
  YOUNG_SECONDS,
} from './pipeline-ground.ts';

const HOT_BYTES = 1 << 20;
/** Memory for one of the small artifacts. */
const FOR_ONE_BYTES = 1500;
const FRESH_SECONDS = 300;
const PATH = '/npm/one/-/one-1.0.0.tgz';
const INSTALLING = 'application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*';
const AS_ALICE = { authorization: `Bearer ${ALICE}` };

/** Asks until the artifact has been fetched, stored and is at hand. */
const WARM_UP_ASKS = 200;

async function newGround(hotBytes = HOT_BYTES): Promise<Ground> {
  const ground = await layGround(hotBytes);
  for (const name of ['one', 'two']) await warmUp(ground, `/npm/${name}/-/${name}-1.0.0.tgz`);
  return ground;
}

async function warmUp(ground: Ground, path: string): Promise<void> {
  for (let i = 0; i < WARM_UP_ASKS; i += 1) {
    const { whole } = await ask(ground, { method: 'GET', path, headers: AS_ALICE });
    if (!whole) return;
  }
  assert.fail(`${path} never became a repeat`);
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

interface Seen {
  readonly reply: Reply;
  readonly row: Readonly<Record<string, unknown>>;
  /** Whether the whole way was taken: only it looks for the index document. */
  readonly whole: boolean;
}

async function ask(ground: Ground, { method, path, headers }: Asked): Promise<Seen> {
  const [before, known] = [ground.reads(), (await ground.rows()).length];
  const reply = await ground.ask(method, path, headers);
  const rows = await ground.rows();
  assert.equal(rows.length, known + 1, 'one row per request');
  return { reply, row: rows.at(-1) ?? {}, whole: ground.reads() > before };
}

/** What has to agree: everything but ids, places, leaves and the code that is cut from the id. */
function comparable({ reply, row }: Seen): unknown {
  const { id, index, code, ...rest } = row;
  const named = (text: string): string =>
    text
      .replaceAll(String(id), 'ID')
      .replaceAll(code === '' ? '\n\n\n' : String(code), 'CODE')
      .replace(new RegExp(`^(weir-receipt: .*), index=${String(index)}, leaf=:[A-Za-z0-9+/]{43}=:$`), '$1, PLACE');
  return {
    status: reply.status,
    reason: named(reply.reason),
    headers: reply.headers.filter((line) => !line.startsWith('date: ')).map(named),
    body: named(reply.body.toString('latin1')),
    row: { ...rest, index: typeof index, coded: code !== '' },
  };
}

/** Twice in the same words, then the whole way. @returns whether the second was a repeat */
async function agree(ground: Ground, asked: Asked): Promise<boolean> {
  const same = [await ask(ground, asked), await ask(ground, asked)];
  const whole = await ask(ground, { ...asked, headers: { ...asked.headers, 'x-nonce': `${ground.reads()}` } });
  for (const one of same) {
    assert.deepEqual(comparable(one), comparable(whole));
    const told = one.reply.headers.find((line) => line.startsWith('x-weir-row: '));
    if (told !== undefined) assert.equal(told, `x-weir-row: ${String(one.row['id'])}`);
  }
  assert.equal(new Set(same.map(({ row }) => row['id'])).size, same.length);
  const last = same.at(-1);
  return last !== undefined && String(last.row['outcome']).startsWith('served') && !last.whole;
}

const REPEATED: readonly (readonly [name: string, asked: Partial<Asked>])[] = [
  ['GET', {}],
  ['HEAD', { method: 'HEAD' }],
  ['a range', { headers: { ...AS_ALICE, range: 'bytes=2-9' } }],
  ['an unsatisfiable range', { headers: { ...AS_ALICE, range: 'bytes=999999-' } }],
  ['a range for another representation', { headers: { ...AS_ALICE, range: 'bytes=0-1', 'if-range': '"other"' } }],
  ['a condition that does not hold', { headers: { ...AS_ALICE, 'if-none-match': '"other"' } }],
  ['what the client has already', { headers: { ...AS_ALICE, 'if-none-match': '*' } }],
  ['an index document', { path: '/npm/one' }],
  ['an index document for installing', { path: '/npm/one', headers: { ...AS_ALICE, accept: INSTALLING } }],
  ['one version of an index document', { path: '/npm/one/latest' }],
  ['a compressed index document', { path: '/npm/one', headers: { ...AS_ALICE, 'accept-encoding': 'gzip' } }],
  ['an index document that the client has', { path: '/npm/one', headers: { ...AS_ALICE, 'if-none-match': '*' } }],
  ['HEAD of an index document', { method: 'HEAD', path: '/npm/one' }],
  ['other credentials', { headers: { authorization: `Basic ${Buffer.from(`x:${BOB}`).toString('base64')}` } }],
];
for (const [name, asked] of REPEATED) {
  test(`${name}: the repeat equals the whole way`, async () => {
    await using ground = await newGround();
    assert.equal(await agree(ground, { method: 'GET', path: PATH, headers: AS_ALICE, ...asked }), true);
  });
}

test('a request that belongs to a trace is not remembered: its row names the trace', async () => {
  await using ground = await newGround();
  const trace = 'ab'.repeat(16);
  const asked = {
    method: 'GET',
    path: PATH,
    headers: { ...AS_ALICE, traceparent: `00-${trace}-${'cd'.repeat(8)}-01` },
  };
  await agree(ground, asked);
  const { whole, row } = await ask(ground, asked);
  assert.deepEqual([whole, row['trace']], [true, trace]);
});

const ENDS: readonly (readonly [name: string, change: (ground: Ground) => void, status: number, outcome: string])[] = [
  ['a revoked token', (ground) => ground.activate('revoked'), 401, 'unauthenticated'],
  ['a bundle that refuses', (ground) => ground.activate('refusing'), 403, 'refused'],
  ['another mode', (ground) => ground.activate('observe'), 200, 'served'],
  ['a bundle gone stale', (ground) => ground.stale('deny'), 403, 'refused'],
  ['a slightly stale bundle', (ground) => ground.stale('warn'), 200, 'served'],
  ['an index document that is due', (ground) => ground.pass(FRESH_SECONDS + 1), 200, 'served'],
];
for (const [name, change, status, outcome] of ENDS) {
  test(`${name} ends the repeats`, async () => {
    await using ground = await newGround();
    const artifact = { method: 'GET', path: PATH, headers: AS_ALICE };
    const index = { ...artifact, path: '/npm/one' };
    assert.deepEqual([await agree(ground, artifact), await agree(ground, index)], [true, true]);
    change(ground);
    const { reply, row, whole } = await ask(ground, artifact);
    assert.deepEqual([reply.status, row['outcome'], whole], [status, outcome, status !== 401]);
    assert.equal((await ask(ground, index)).reply.status, status === 401 ? 401 : 200);
    await agree(ground, artifact);
    await agree(ground, index);
  });
}

test('an index document that is due ends the repeats, however new the verdict', async () => {
  await using ground = await newGround();
  const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
  ground.pass(FRESH_SECONDS - 10);
  ground.activate('observe');
  assert.equal(await agree(ground, asked), true);
  ground.pass(11);
  assert.equal((await ask(ground, asked)).whole, true);
});

test('a verdict that time changes ends the repeats, however new the index document', async () => {
  await using ground = await newGround();
  ground.activate('observe');
  const asked = { method: 'GET', path: '/npm/young/-/young-1.0.0.tgz', headers: AS_ALICE };
  await warmUp(ground, asked.path);
  ground.pass(YOUNG_SECONDS - 1);
  assert.equal((await ask(ground, asked)).row['outcome'], 'served_unenforced');
  ground.pass(1);
  const { row, whole } = await ask(ground, asked);
  assert.deepEqual([row['outcome'], whole], ['served', true]);
  await agree(ground, asked);
});

test('a view that may be shown for less long ends its repeats', async () => {
  await using ground = await newGround();
  ground.activate('observe');
  const asked = { method: 'GET', path: '/npm/young', headers: AS_ALICE };
  assert.equal(await agree(ground, asked), true);
  ground.pass(YOUNG_SECONDS - 20);
  const { reply, whole } = await ask(ground, asked);
  assert.equal(whole, true);
  assert.ok(reply.headers.includes('cache-control: private, max-age=20, must-revalidate'));
  await agree(ground, asked);
});

test('what was served from a stale index is not repeated once the index is confirmed', async () => {
  await using ground = await newGround();
  const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
  ground.pass(FRESH_SECONDS + 1);
  ground.upstream.down = true;
  await agree(ground, asked);
  assert.equal((await ask(ground, asked)).row['outcome'], 'served_stale');
  ground.upstream.down = false;
  ground.pass(10);
  assert.equal((await ask(ground, { ...asked, method: 'HEAD' })).row['outcome'], 'served');
  assert.equal((await ask(ground, asked)).row['outcome'], 'served');
});

test('a token that has expired ends the repeats at its second', async () => {
  await using ground = await newGround();
  const asked = { method: 'GET', path: PATH, headers: { authorization: `Bearer ${BOB}` } };
  ground.pass(BOB_SECONDS - 1);
  assert.equal(await agree(ground, asked), true);
  ground.pass(1);
  assert.equal((await ask(ground, asked)).reply.status, 401);
});

test('bytes that are no longer in memory end the repeats', async () => {
  await using ground = await newGround(FOR_ONE_BYTES);
  const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
  assert.equal(await agree(ground, asked), true);
  const reads = ground.reads();
  await warmUp(ground, '/npm/two/-/two-1.0.0.tgz');
  assert.equal((await ask(ground, asked)).whole, true);
  assert.ok(ground.reads() > reads);
});

test('a repeat whose row cannot be recorded is refused in block mode and served in warn mode', async () => {
  for (const [variant, status] of [
    ['plain', 503],
    ['warn', 200],
  ] as const) {
    await using ground = await newGround();
    ground.activate(variant);
    const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
    assert.equal(await agree(ground, asked), true);
    ground.disk.onWrite = () => {
      throw new Error('the disk is gone');
    };
    for (let i = 0; i < 2; i += 1)
      assert.equal((await ground.ask(asked.method, asked.path, asked.headers)).status, status);
  }
});

type Step =
  | { readonly kind: 'pass'; readonly seconds: number }
  | { readonly kind: 'activate'; readonly variant: PolicyVariant }
  | { readonly kind: 'stale'; readonly staleness: 'fresh' | 'warn' | 'restrict' | 'deny' }
  | { readonly kind: 'upstream'; readonly down: boolean; readonly versions: number }
  | { readonly kind: 'ask'; readonly asked: Asked };

const headers: fc.Arbitrary<Asked['headers']> = fc
  .record({
    authorization: fc.constantFrom('', `Bearer ${ALICE}`, `Bearer ${ALICE}`, `Bearer ${BOB}`, 'Bearer nonsense'),
    range: fc.constantFrom('', '', 'bytes=0-9', 'bytes=-5', 'bytes=999999-'),
    'user-agent': fc.constantFrom('', 'npm/11.0.0 node/v26.0.0'),
    'if-none-match': fc.constantFrom('', '', '*'),
    accept: fc.constantFrom('', INSTALLING),
    'accept-encoding': fc.constantFrom('', 'gzip'),
  })
  .map((all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== '')));
const question: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('ask' as const),
  asked: fc.record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
    path: fc.constantFrom(
      ...PACKAGES.flatMap((name) => [`/npm/${name}/-/${name}-1.0.0.tgz`, `/npm/${name}`]),
      '/npm/one/-/one-1.0.1.tgz',
      '/npm/young/latest',
    ),
    headers,
  }),
});
const change: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('pass' as const), seconds: fc.constantFrom(1, 6, 299, 301, 900) }),
  fc.record({ kind: fc.constant('activate' as const), variant: fc.constantFrom(...VARIANTS) }),
  fc.record({
    kind: fc.constant('stale' as const),
    staleness: fc.constantFrom(
      'fresh' as const,
      'fresh' as const,
      'warn' as const,
      'restrict' as const,
      'deny' as const,
    ),
  }),
  fc.record({
    kind: fc.constant('upstream' as const),
    down: fc.constantFrom(false, false, true),
    versions: fc.integer({ min: 1, max: 3 }),
  }),
);

test('whatever happens between them, a repeat and the whole way agree', async () => {
  let repeats = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(FOR_ONE_BYTES, HOT_BYTES),
      fc.array(fc.oneof({ weight: 2, arbitrary: question }, { weight: 1, arbitrary: change }), { maxLength: 12 }),
      async (hotBytes, steps) => {
        await using ground = await newGround(hotBytes);
        for (const step of steps) {
          switch (step.kind) {
            case 'pass':
              ground.pass(step.seconds);
              break;
            case 'activate':
              ground.activate(step.variant);
              break;
            case 'stale':
              ground.stale(step.staleness);
              break;
            case 'upstream':
              Object.assign(ground.upstream, { down: step.down, versions: step.versions });
              break;
            case 'ask':
              if (await agree(ground, step.asked)) repeats += 1;
              break;
            default:
              step satisfies never;
          }
        }
      },
    ),
    { numRuns: 60 },
  );
  assert.ok(repeats > 20, `${repeats} repeats were compared`);
});
