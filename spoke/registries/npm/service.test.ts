import assert from 'node:assert/strict';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { WeirError } from '@weir/shared/errors/weir-error.ts';
import type { ServiceAnswer, ServiceRequest } from '../adapter.ts';
import { answerService, SERVICE_LIMITS } from './service.ts';

function ask(service: string, over: { detail?: string; body?: Uint8Array; encoding?: string } = {}): ServiceAnswer {
  const request: ServiceRequest = {
    target: { method: 'POST', path: '/', segments: [], query: '', headers: { 'content-encoding': over.encoding } },
    body: over.body ?? new Uint8Array(),
    actor: 'ci',
    publicBase: 'http://127.0.0.1/npm',
    isInternal: (name) => name.namespace === '@corp' || name.name === 'corp-secret',
  };
  return answerService({ kind: 'service', service, detail: over.detail ?? '' }, request);
}

function reply(answer: ServiceAnswer): unknown {
  assert.equal(answer.kind, 'reply');
  return answer.kind === 'reply' ? JSON.parse(answer.reply.body.toString()) : undefined;
}

const failsWith = (code: string) => (thrown: unknown) => thrown instanceof WeirError && thrown.code === code;

test('ping, root and whoami are answered here', () => {
  assert.deepEqual(reply(ask('ping')), {});
  assert.deepEqual(reply(ask('root')), {});
  assert.deepEqual(reply(ask('whoami')), { username: 'ci' });
});

test('keys pass untouched', () => {
  const answer = ask('keys');
  assert.ok(answer.kind === 'forward');
  assert.equal(answer.upstream.path, '-/npm/v1/keys');
  assert.equal(answer.answer(Buffer.from('{ "keys" : [] }\n')).body.toString(), '{ "keys" : [] }\n');
});

test('search is asked of upstream with known parameters only', () => {
  const answer = ask('search', { detail: 'text=left+pad&size=20&from=x&quality=0.5&evil=1&text=second' });
  assert.ok(answer.kind === 'forward');
  assert.equal(answer.upstream.path, '-/v1/search?text=left+pad&size=20&quality=0.5');
});

const hit = (name: string): object => ({
  package: { name, version: '1.0.0', links: { npm: `https://registry.example.test/${name}`, homepage: 'h' } },
  searchScore: 1,
});

test('search answers come without own names and upstream addresses', () => {
  const answer = ask('search', { detail: 'text=pad' });
  assert.ok(answer.kind === 'forward');
  const found = answer.answer(Buffer.from(JSON.stringify({ objects: [hit('pad'), hit('@corp/x'), 7, {}], total: 4 })));
  assert.deepEqual(JSON.parse(found.body.toString()), {
    objects: [{ package: { name: 'pad', version: '1.0.0', links: { homepage: 'h' } }, searchScore: 1 }],
    total: 4,
  });
  for (const body of ['', '[]', '{}', '{"objects":{}}']) {
    assert.throws(() => answer.answer(Buffer.from(body)), failsWith('upstream_failed'));
  }
});

for (const text of ['', '   ', '@corp/x', '@corp', 'scope:corp', 'pad corp-secret', 'scope:@corp']) {
  test(`the search "${text}" never leaves`, () => {
    assert.deepEqual(reply(ask('search', { detail: new URLSearchParams({ text }).toString() })), {
      objects: [],
      total: 0,
    });
  });
}

test('a bulk audit is judged version by version and lists what is refused', () => {
  const body = gzipSync(
    JSON.stringify({ '@acme/paint': ['1.0.0', '1.0.0', '1.1.0'], pad: ['git+ssh://x', 7], '../x': ['1.0.0'], y: 'z' }),
  );
  const answer = ask('advisories', { body, encoding: 'gzip' });
  assert.ok(answer.kind === 'judge');
  assert.deepEqual(
    answer.subjects.map(({ namespace, name, version }) => `${namespace}/${name}@${version}`),
    ['@acme/paint@1.0.0', '@acme/paint@1.1.0'],
  );
  assert.equal(answer.answer([]).body.toString(), '{}');
  const [coordinate] = answer.subjects;
  assert.ok(coordinate !== undefined);
  const refused = [{ coordinate, rule: 'WEIR-MAL-001', title: 'Known malicious', detail: 'It is.' }];
  const listed = JSON.parse(answer.answer(refused).body.toString()) as Record<string, { id: number }[]>;
  assert.deepEqual(listed, {
    '@acme/paint': [
      {
        id: listed['@acme/paint']?.[0]?.id,
        url: 'urn:weir:rule:WEIR-MAL-001',
        title: 'Refused here: Known malicious (WEIR-MAL-001)',
        severity: 'high',
        vulnerable_versions: '1.0.0',
        cwe: [],
        cvss: { score: 0, vectorString: null },
      },
    ],
  });
  assert.ok(Number.isInteger(listed['@acme/paint']?.[0]?.id));
});

test('the older audit walks its tree once', () => {
  const tree = {
    dependencies: {
      a: { version: '1.0.0', dependencies: { b: { version: '2.0.0' }, a: { version: '1.0.0' } } },
      b: { version: '2.0.0' },
      c: null,
    },
  };
  const answer = ask('audit', { body: Buffer.from(JSON.stringify(tree)) });
  assert.ok(answer.kind === 'judge');
  assert.deepEqual(answer.subjects.map(({ name, version }) => `${name}@${version}`).toSorted(), ['a@1.0.0', 'b@2.0.0']);
  const empty = JSON.parse(answer.answer([]).body.toString()) as { advisories: object; metadata: object };
  assert.deepEqual(empty.advisories, {});
  assert.deepEqual(Object.keys(empty.metadata).length, 5);
});

const bad: readonly { name: string; service?: string; body: Uint8Array; encoding?: string; code: string }[] = [
  { name: 'no JSON', body: Buffer.from('x'), code: 'unparsable' },
  { name: 'a list', body: Buffer.from('[]'), code: 'unparsable' },
  { name: 'broken gzip', body: Buffer.from('x'), encoding: 'gzip', code: 'unparsable' },
  { name: 'another encoding', body: Buffer.from('{}'), encoding: 'br', code: 'unparsable' },
  {
    name: 'a gzip bomb',
    body: gzipSync(Buffer.alloc(SERVICE_LIMITS.bodyBytes + 1)),
    encoding: 'gzip',
    code: 'too_large',
  },
  { name: 'a long body', body: Buffer.alloc((8 << 20) + 1), code: 'too_large' },
  {
    name: 'too many subjects',
    body: Buffer.from(JSON.stringify({ a: Array.from({ length: SERVICE_LIMITS.subjects + 1 }, (_, i) => `1.0.${i}`) })),
    code: 'too_large',
  },
  {
    name: 'a deep tree',
    service: 'audit',
    body: Buffer.from(`${'{"dependencies":{"a":'.repeat(100)}{}${'}}'.repeat(100)}`),
    code: 'unparsable',
  },
];
for (const { name, service = 'advisories', body, encoding, code } of bad) {
  test(`an audit with ${name} is refused`, () => {
    assert.throws(() => ask(service, encoding === undefined ? { body } : { body, encoding }), failsWith(code));
  });
}

test('an unknown service is none', () => {
  assert.throws(() => ask('anything'), failsWith('unsupported'));
});
