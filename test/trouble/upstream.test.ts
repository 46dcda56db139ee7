// Everything that an upstream can do wrong, seen from the client's side of a whole spoke: a clear refusal, a row, nothing
// kept of the bad answer, and the good answer at once when upstream is well again.

import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, afterEach, before, describe, test } from 'node:test';
import { createConnectionCanary, type Canary } from './canary.ts';
import { getRaw, prepareGround, told, type Ground, type RawAnswer, type Row } from './ground.ts';
import { until } from '../federation/local-federation.ts';
import { SAMPLES } from '../upstreams/sample-packages.ts';
import type { Trouble } from '../upstreams/trouble.ts';

const TIMEOUT_MS = 300;
/** Longer than the time-out with whatever coarse clock it is kept. */
const STALLED_MS = 10_000;
const OLD = '2021-03-01T09:00:00.000Z';
const MIB = 1 << 20;

let ground: Ground;
let canary: Canary;
before(async () => {
  canary = await createConnectionCanary();
  ground = await prepareGround({
    units: [{ name: 'payments' }],
    // Nothing counts as fresh: each request asks upstream, so that trouble shows at once.
    spokeLimits: { upstream_timeout_ms: TIMEOUT_MS, metadata_fresh_s: 0 },
  });
});
after(async () => {
  await ground?.[Symbol.asyncDispose]();
  await canary?.close();
});
afterEach(() => {
  ground.npm.trouble.clear();
  ground.pypi.trouble.clear();
});

const get = (target: string, headers: readonly string[] = []): Promise<RawAnswer> =>
  getRaw(ground.federation.origin('payments'), target, headers);

/** Asks and gives back what came, with the rows that it left. */
async function ask(
  target: string,
  headers: readonly string[] = [],
): Promise<{ answer: RawAnswer; rows: readonly Row[] }> {
  let answer: RawAnswer | undefined;
  const rows = await ground.rowsOf('payments', async () => {
    answer = await get(target, headers);
  });
  assert.ok(answer !== undefined);
  return { answer, rows };
}

interface Case {
  readonly name: string;
  readonly trouble: () => Trouble;
  readonly status: number;
  readonly outcome: string;
}

/** What goes wrong alike for documents and files. */
const transport: readonly Case[] = [
  { name: 'is down', trouble: () => ({ kind: 'reset' }), status: 502, outcome: 'upstream_failed' },
  { name: 'never answers', trouble: () => ({ kind: 'hang' }), status: 504, outcome: 'upstream_timeout' },
  {
    name: 'stalls in the middle',
    trouble: () => ({ kind: 'slow', pauseMs: STALLED_MS, pieceBytes: 100 }),
    status: 504,
    outcome: 'upstream_timeout',
  },
  {
    name: 'breaks off',
    trouble: () => ({ kind: 'truncated', bytes: 100 }),
    status: 502,
    outcome: 'upstream_failed',
  },
  {
    name: 'announces more than it sends',
    trouble: () => ({ kind: 'lying-length', by: 10 }),
    status: 502,
    outcome: 'upstream_failed',
  },
  { name: 'fails', trouble: () => ({ kind: 'status', status: 500 }), status: 502, outcome: 'upstream_failed' },
  { name: 'refuses us', trouble: () => ({ kind: 'status', status: 401 }), status: 502, outcome: 'upstream_failed' },
  {
    name: 'redirects to another port of this machine',
    trouble: () => ({ kind: 'redirect', location: `${canary.origin}/secret` }),
    status: 502,
    outcome: 'upstream_failed',
  },
  {
    name: 'redirects to cloud metadata',
    trouble: () => ({ kind: 'redirect', location: 'http://169.254.169.254/latest/meta-data/' }),
    status: 502,
    outcome: 'upstream_failed',
  },
  {
    name: 'redirects into a private network',
    trouble: () => ({ kind: 'redirect', location: 'http://10.0.0.1/' }),
    status: 502,
    outcome: 'upstream_failed',
  },
  {
    name: 'redirects to a file',
    trouble: () => ({ kind: 'redirect', location: 'file:///etc/passwd' }),
    status: 502,
    outcome: 'upstream_failed',
  },
  {
    name: 'redirects in a circle',
    trouble: () => ({ kind: 'redirect', location: '?again' }),
    status: 502,
    outcome: 'upstream_failed',
  },
];

const instead = (body: string | Uint8Array, contentType?: string): (() => Trouble) => {
  const trouble: Trouble = { kind: 'instead', body, ...(contentType === undefined ? {} : { contentType }) };
  return () => trouble;
};

const documents: readonly Case[] = [
  ...transport,
  {
    name: 'answers with a gzip bomb',
    trouble: () => ({ kind: 'gzip-bomb', bytes: 200 * MIB }),
    status: 403,
    outcome: 'too_large',
  },
  {
    name: 'answers without an end',
    trouble: () => ({ kind: 'endless', bytes: 100 * MIB }),
    status: 403,
    outcome: 'too_large',
  },
  {
    name: 'answers with a part',
    trouble: () => ({ kind: 'status', status: 206 }),
    status: 502,
    outcome: 'upstream_failed',
  },
];

const npmDocuments: readonly Case[] = [
  ...documents,
  ...(
    [
      ['nothing', instead('')],
      ['half a document', instead('{"name":"x","versions":{')],
      ['a page for people', instead('<!doctype html><title>Sign in</title>', 'text/html')],
      ['a list', instead('[]')],
      ['a number', instead('1')],
      ['another package', instead('{"name":"weir-sample-plain","versions":{}}')],
      ['versions that are text', instead('{"name":"NAME","versions":"all"}')],
      ['bytes that are no text', instead(Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]))],
      ['a nesting without end', instead('['.repeat(MIB))],
    ] as const
  ).map(([name, trouble]) => ({ name: `sends ${name}`, trouble, status: 502, outcome: 'upstream_failed' })),
];

const pypiDocuments: readonly Case[] = [
  ...documents,
  ...(
    [
      ['half a document', instead('{"meta":{"api-version":"1.4"},"files":[')],
      ['JSON that is no index', instead('{"files":"all"}')],
      ['a type that nobody knows', instead('weir-1.0.tar.gz', 'application/octet-stream')],
      ['an index of the future', instead('{"meta":{"api-version":"2.0"},"name":"NAME","files":[]}')],
    ] as const
  ).map(([name, trouble]) => ({ name: `sends ${name}`, trouble, status: 502, outcome: 'upstream_failed' })),
];

/** The refusal names no host and no port of upstream, and carries the code of its row. */
function assertClearRefusal(answer: RawAnswer, row: Row | undefined, expected: Case): void {
  assert.equal(answer.status, expected.status, `${answer.status} ${answer.reason}`);
  assert.ok(row !== undefined, 'there is a row');
  assert.deepEqual(
    { outcome: row.outcome, level: row.level, status: row.status },
    { outcome: expected.outcome, level: 'deny', status: expected.status },
  );
  assert.notEqual(row.code, '');
  const whole = `${answer.reason} ${JSON.stringify(answer.headers)} ${answer.body.toString()}`;
  assert.ok(whole.includes(row.code), 'the client is told the code');
  for (const secret of [ground.npm.origin, ground.pypi.origin, '127.0.0.1', '169.254', '10.0.0.1', 'passwd']) {
    assert.ok(!whole.includes(secret.replace(/^http:\/\//, '')), `the refusal does not name ${secret}`);
  }
}

function timesAsked(registry: 'npm' | 'pypi', path: string): number {
  return ground[registry].requests.filter(({ url }) => url === path).length;
}

let made = 0;
function freshName(): string {
  made += 1;
  return `weir-trouble-${made}`;
}

describe('the npm index document, when upstream', () => {
  for (const each of npmDocuments) {
    test(`${each.name}: ${each.status}, a row, and nothing kept`, async () => {
      const name = freshName();
      await ground.npm.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
      const memoryBefore = await ground.metric('payments', 'weir_spoke_metadata_memory_bytes');
      ground.npm.trouble.set(`/${name}`, each.trouble());
      const { answer, rows } = await ask(`/npm/${name}`);
      assertClearRefusal(answer, rows[0], each);
      assert.equal(rows.length, 1);
      assert.equal(canary.connections(), 0);
      assert.equal(await ground.metric('payments', 'weir_spoke_metadata_memory_bytes'), memoryBefore);
      ground.npm.trouble.clear();
      assert.equal((await get(`/npm/${name}`)).status, 200, 'served as soon as upstream is well');
    });
  }
});

describe('the Python index document, when upstream', () => {
  for (const each of pypiDocuments) {
    test(`${each.name}: ${each.status}, a row, and nothing kept`, async () => {
      const name = freshName();
      await ground.pypi.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
      ground.pypi.trouble.set(`/simple/${name}/`, each.trouble());
      const { answer, rows } = await ask(`/pypi/simple/${name}/`);
      assertClearRefusal(answer, rows[0], each);
      assert.equal(canary.connections(), 0);
      ground.pypi.trouble.clear();
      assert.equal((await get(`/pypi/simple/${name}/`)).status, 200, 'served as soon as upstream is well');
    });
  }
});

test('an endless document is given up near its bound, not at its end', async () => {
  const name = freshName();
  const sentBefore = ground.npm.trouble.sentBytes;
  ground.npm.trouble.set(`/${name}`, { kind: 'endless', bytes: 1024 * MIB });
  assert.equal((await get(`/npm/${name}`)).status, 403);
  await until(() => ground.npm.trouble.sentBytes > sentBefore, 'upstream noticed that nobody reads');
  const sent = ground.npm.trouble.sentBytes - sentBefore;
  assert.ok(sent < 64 * MIB, `upstream could send ${sent} bytes`);
});

describe('a small file, when upstream', () => {
  const files: readonly Case[] = [
    ...transport,
    { name: 'lost it', trouble: () => ({ kind: 'status', status: 404 }), status: 404, outcome: 'not_found' },
  ];
  for (const each of files) {
    test(`${each.name}: ${each.status}, a row, and nothing kept`, async () => {
      const name = freshName();
      const built = await ground.npm.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
      const path = `/${name}/-/${built.file}`;
      ground.npm.trouble.set(path, each.trouble());
      const { answer, rows } = await ask(`/npm${path}`);
      assert.equal(rows.length, 1);
      if (each.status === 404) {
        assert.deepEqual([answer.status, rows[0]?.outcome], [404, 'not_found']);
      } else {
        assertClearRefusal(answer, rows[0], each);
      }
      assert.equal(canary.connections(), 0);
      ground.npm.trouble.clear();
      const asked = timesAsked('npm', path);
      const again = await get(`/npm${path}`);
      assert.deepEqual([again.status, again.body.equals(built.tarball)], [200, true], 'served when upstream is well');
      assert.equal(timesAsked('npm', path), asked + 1, 'nothing had been kept');
    });
  }

  test('sends another file without saying how long it is: refused in words, and the rows tell the whole story', async () => {
    const name = freshName();
    const { file } = await ground.npm.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
    ground.npm.trouble.set(`/${name}/-/${file}`, { kind: 'instead', body: 'another file' });
    const { answer, rows } = await ask(`/npm/${name}/-/${file}`);
    assert.equal(answer.status, 403);
    assert.ok(!answer.body.includes('another file'));
    // A length that nobody knows could be any: the spoke began to stream and withheld the last bytes, which were all.
    assert.deepEqual(
      rows.map(({ outcome, level }) => `${outcome} ${level}`),
      ['served allow', 'upstream_integrity deny'],
    );
    assert.ok(answer.body.includes(rows[1]?.code ?? '?'));
  });

  for (const registry of ['npm', 'pypi'] as const) {
    test(`sends other bytes than ${registry}'s index promises: refused by name of the rule, nothing kept`, async () => {
      const name = freshName();
      const [upstreamPath, path, good] = await publishTo(registry, name);
      ground[registry].trouble.set(upstreamPath, { kind: 'wrong-bytes' });
      const { answer, rows } = await ask(path);
      const [row] = rows;
      assert.equal(answer.status, 403);
      assert.deepEqual([rows.length, row?.outcome, row?.level], [1, 'refused', 'deny']);
      assert.ok(row?.rules.some(({ rule, layer }) => rule === 'WEIR-INT-001' && layer === 'floor'));
      assert.match(answer.reason, /WEIR-INT-001/);
      assert.ok(answer.body.includes(row?.code ?? '?'));
      ground[registry].trouble.clear();
      const asked = timesAsked(registry, upstreamPath);
      const again = await get(path);
      assert.deepEqual([again.status, again.body.equals(good)], [200, true]);
      assert.equal(timesAsked(registry, upstreamPath), asked + 1, 'nothing had been kept');
    });
  }
});

async function publishTo(
  registry: 'npm' | 'pypi',
  name: string,
): Promise<readonly [upstream: string, path: string, bytes: Buffer]> {
  if (registry === 'npm') {
    const built = await ground.npm.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
    return [`/${name}/-/${built.file}`, `/npm/${name}/-/${built.file}`, built.tarball];
  }
  const [wheel] = await ground.pypi.publish({ name, version: '1.0.0', publishedAt: OLD, license: 'MIT' });
  assert.ok(wheel !== undefined);
  const page = await get(`/pypi/simple/${name}/`, ['Accept: application/vnd.pypi.simple.v1+json']);
  const { files } = JSON.parse(page.body.toString()) as { files: { filename: string; url: string }[] };
  const url = files.find(({ filename }) => filename === wheel.file)?.url;
  assert.ok(url !== undefined);
  const { pathname } = new URL(url, `${ground.federation.origin('payments')}/pypi/simple/${name}/`);
  return [ground.pypi.filePath(name, wheel.file), pathname, wheel.bytes];
}

describe('a large file, when upstream', () => {
  const spoilt: readonly (readonly [string, Trouble, string])[] = [
    ['sends other bytes than promised', { kind: 'wrong-bytes' }, 'upstream_integrity'],
    ['breaks off', { kind: 'truncated', bytes: 2 * MIB }, 'upstream_failed'],
    ['stalls in the middle', { kind: 'slow', pauseMs: STALLED_MS, pieceBytes: 2 * MIB }, 'upstream_timeout'],
  ];
  for (const [name, trouble, outcome] of spoilt) {
    test(`${name}: no client gets all of it, a second row says why, nothing is kept`, async () => {
      const { path, tarball } = await publishLarge();
      ground.npm.trouble.set(path, trouble);
      const { answer, rows } = await ask(`/npm${path}`);
      // Whether anything had left when the trouble came is chance; that no client takes it for whole is not.
      if (answer.status === 200)
        assert.deepEqual([answer.complete, answer.body.length < tarball.length], [false, true]);
      else assert.ok(answer.body.includes(rows[1]?.code ?? '?'), 'refused in words');
      assert.deepEqual(
        rows.map((row) => `${row.outcome} ${row.level}`),
        ['served allow', `${outcome} deny`],
      );
      assert.equal(rows[0]?.subject.purl, rows[1]?.subject.purl);
      ground.npm.trouble.clear();
      const asked = timesAsked('npm', path);
      const again = await get(`/npm${path}`);
      assert.equal(timesAsked('npm', path), asked + 1, 'nothing had been kept');
      assert.deepEqual([again.status, again.complete, digest(again.body)], [200, true, digest(tarball)]);
    });
  }

  test('sends other bytes and a part of it was asked for: refused in words, no byte leaves', async () => {
    const { path } = await publishLarge();
    ground.npm.trouble.set(path, { kind: 'wrong-bytes' });
    const { answer, rows } = await ask(`/npm${path}`, ['Range: bytes=0-99']);
    assert.equal(answer.status, 403);
    assert.match(answer.reason, /WEIR-INT-001/);
    assert.deepEqual(
      rows.map(({ outcome }) => outcome),
      ['refused'],
    );
  });
});

async function publishLarge(): Promise<{ path: string; tarball: Buffer }> {
  const name = freshName();
  // Does not compress, so that the tarball is as large as what is in it.
  const noise = Array.from({ length: 40_000 }, (_, i) => createHash('sha512').update(`${name} ${i}`).digest('base64'));
  const { file, tarball } = await ground.npm.publish({
    name,
    version: '1.0.0',
    publishedAt: OLD,
    license: 'MIT',
    files: { 'noise.txt': noise.join('\n') },
  });
  assert.ok(tarball.length > 2 * MIB);
  return { path: `/${name}/-/${file}`, tarball };
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('with upstream gone after it was seen', () => {
  test('the index is served stale and says so to client and auditor; refusals stay', async () => {
    assert.equal((await get(`/npm/${SAMPLES.plain}`)).status, 200);
    assert.equal((await get(`/npm/${SAMPLES.copyleft}`)).status, 200);
    const path = `/npm/${SAMPLES.plain}/-/${SAMPLES.plain}-1.0.0.tgz`;
    const good = await get(path);
    assert.equal(good.status, 200);
    ground.npm.trouble.set(/./, { kind: 'reset' });
    const stale = await ask(`/npm/${SAMPLES.plain}`);
    assert.equal(stale.answer.status, 200);
    assert.match(stale.answer.headers['warning'] ?? '', /^111 weir "Revalidation Failed" "/);
    assert.deepEqual(
      stale.rows.map(({ outcome, level }) => `${outcome} ${level}`),
      ['served_stale allow'],
    );
    const cached = await ask(path);
    assert.deepEqual([cached.answer.status, cached.answer.body.equals(good.body)], [200, true]);
    assert.equal(cached.rows[0]?.outcome, 'served_stale');
    assert.ok((await ground.metric('payments', 'weir_spoke_metadata_requests_total')) > 0);
  });

  test('what was never seen is refused as what it is', async () => {
    ground.npm.trouble.set(/./, { kind: 'reset' });
    const { answer, rows } = await ask('/npm/weir-never-seen');
    assert.equal(answer.status, 502);
    assert.match(told(answer.body).title, /upstream/i);
    assert.equal(rows[0]?.outcome, 'upstream_failed');
  });
});
