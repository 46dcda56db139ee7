// A repeated request is answered faster and never differently. Every case asks twice in the same words and once more with
// a header that means nothing, which has to take the whole way: replies and rows must agree in everything but their ids.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
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
} from './pipeline-ground.ts';

const HOT_BYTES = 1 << 20;
const FRESH_SECONDS = 300;
const PATH = '/npm/one/-/one-1.0.0.tgz';
const AS_ALICE = { authorization: `Bearer ${ALICE}` };

const closing: Ground[] = [];
after(async () => {
  for (const ground of closing) await ground[Symbol.asyncDispose]();
});

async function newGround(hotBytes = HOT_BYTES): Promise<Ground> {
  const ground = await layGround(hotBytes);
  closing.push(ground);
  return ground;
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

/** What has to agree: everything but ids, places and the code that is cut from the id. */
function comparable({ reply, row }: Seen): unknown {
  const { id, index, code, ...rest } = row;
  const named = (text: string): string =>
    text.replaceAll(String(id), 'ID').replaceAll(code === '' ? '\n\n\n' : String(code), 'CODE');
  return {
    status: reply.status,
    reason: named(reply.reason),
    headers: reply.headers.filter((line) => !line.startsWith('date: ')).map(named),
    body: named(reply.body.toString('latin1')),
    row: { ...rest, index: typeof index, coded: code !== '' },
  };
}

/** Asks in the same words until it is a repeat if it can be one, then the whole way. @returns whether one was */
async function agree(ground: Ground, asked: Asked): Promise<boolean> {
  const first = await ask(ground, asked);
  const second = await ask(ground, asked);
  const whole = await ask(ground, { ...asked, headers: { ...asked.headers, 'x-nonce': `${ground.reads()}` } });
  assert.deepEqual(comparable(first), comparable(whole));
  assert.deepEqual(comparable(second), comparable(whole));
  assert.notEqual(first.row['id'], second.row['id']);
  const told = second.reply.headers.find((line) => line.startsWith('x-weir-row: '));
  if (told !== undefined) assert.equal(told, `x-weir-row: ${String(second.row['id'])}`);
  return first.row['outcome'] === 'served' && (!first.whole || !second.whole);
}

const REPEATED: readonly (readonly [name: string, asked: Partial<Asked>])[] = [
  ['GET', {}],
  ['HEAD', { method: 'HEAD' }],
  ['a range', { headers: { ...AS_ALICE, range: 'bytes=2-9' } }],
  ['an unsatisfiable range', { headers: { ...AS_ALICE, range: 'bytes=999999-' } }],
  ['a range for another representation', { headers: { ...AS_ALICE, range: 'bytes=0-1', 'if-range': '"other"' } }],
  ['a condition that does not hold', { headers: { ...AS_ALICE, 'if-none-match': '"other"' } }],
  ['other credentials', { headers: { authorization: `Basic ${Buffer.from(`x:${BOB}`).toString('base64')}` } }],
];
for (const [name, asked] of REPEATED) {
  test(`${name}: the repeat equals the whole way`, async () => {
    const ground = await newGround();
    assert.equal(await agree(ground, { method: 'GET', path: PATH, headers: AS_ALICE, ...asked }), true);
  });
}

test('what the client has already is not sent again, however often it asks', async () => {
  const ground = await newGround();
  const { reply } = await ask(ground, { method: 'GET', path: PATH, headers: AS_ALICE });
  const etag = reply.headers.find((line) => line.startsWith('etag: '))?.slice('etag: '.length) ?? '';
  const asked = { method: 'GET', path: PATH, headers: { ...AS_ALICE, 'if-none-match': etag } };
  await agree(ground, asked);
  assert.equal((await ask(ground, asked)).reply.status, 304);
});

test('a request that belongs to a trace is not remembered: its row names the trace', async () => {
  const ground = await newGround();
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
    const ground = await newGround();
    const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
    assert.equal(await agree(ground, asked), true);
    change(ground);
    const reads = ground.reads();
    const { reply, row } = await ask(ground, asked);
    assert.deepEqual([reply.status, row['outcome']], [status, outcome]);
    if (status !== 401) assert.ok(ground.reads() > reads, 'the whole way was taken');
    await agree(ground, asked);
  });
}

test('a token that has expired ends the repeats at its second', async () => {
  const ground = await newGround();
  const asked = { method: 'GET', path: PATH, headers: { authorization: `Bearer ${BOB}` } };
  ground.pass(BOB_SECONDS - 1);
  assert.equal(await agree(ground, asked), true);
  ground.pass(1);
  assert.equal((await ask(ground, asked)).reply.status, 401);
});

test('bytes that are no longer in memory end the repeats', async () => {
  const ground = await newGround(2000);
  const asked = { method: 'GET', path: PATH, headers: AS_ALICE };
  assert.equal(await agree(ground, asked), true);
  const reads = ground.reads();
  for (const path of ['/npm/two/-/two-1.0.0.tgz']) for (let i = 0; i < 2; i += 1) await ask(ground, { ...asked, path });
  assert.equal((await ask(ground, asked)).whole, true);
  assert.ok(ground.reads() > reads);
});

test('a repeat whose row cannot be recorded is refused in block mode and served in warn mode', async () => {
  for (const [variant, status] of [
    ['plain', 503],
    ['warn', 200],
  ] as const) {
    const ground = await newGround();
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

const headers = fc
  .record({
    authorization: fc.constantFrom(undefined, `Bearer ${ALICE}`, `Bearer ${ALICE}`, `Bearer ${BOB}`, 'Bearer nonsense'),
    range: fc.constantFrom(undefined, undefined, 'bytes=0-9', 'bytes=-5', 'bytes=999999-'),
    'user-agent': fc.constantFrom(undefined, 'npm/11.0.0 node/v26.0.0'),
  })
  .map((all) =>
    Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)),
  );
const question: fc.Arbitrary<Step> = fc.record({
  kind: fc.constant('ask' as const),
  asked: fc.record({
    method: fc.constantFrom('GET', 'GET', 'GET', 'HEAD'),
    path: fc.constantFrom(...PACKAGES.map((name) => `/npm/${name}/-/${name}-1.0.0.tgz`), '/npm/one/-/one-1.0.1.tgz'),
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
      fc.constantFrom(2000, HOT_BYTES),
      fc.array(fc.oneof({ weight: 2, arbitrary: question }, { weight: 1, arbitrary: change }), { maxLength: 12 }),
      async (hotBytes, steps) => {
        await using ground = await layGround(hotBytes);
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
