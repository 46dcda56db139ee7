// Pages and refusals of the PyPI adapter as clients get them, against golden files, and what holds for all of them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { ClientReply, MetadataDocument, Refusal } from '@weir/spoke/registries/adapter.ts';
import { CONTENT_TYPES } from '@weir/spoke/registries/pypi/accept.ts';
import { pypi } from '@weir/spoke/registries/pypi/index.ts';
import { matchesGolden } from '../../golden-file.ts';

const NAME = { ecosystem: 'pypi', namespace: '', name: 'weir-sample' } as const;

const at = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

function input(name: string, contentType: string): MetadataDocument {
  return {
    bytes: readFileSync(at(name)),
    contentType,
    baseUrl: 'https://index.example.test/simple/weir-sample/',
  };
}

const JSON_INPUT = input('upstream.json', CONTENT_TYPES.json);
const HTML_INPUT = input('upstream.html', 'text/html');

for (const [source, document] of [
  ['json', JSON_INPUT],
  ['html', HTML_INPUT],
] as const) {
  for (const representation of ['json', 'html', 'legacy-json'] as const) {
    for (const hidden of [[], ['1.1']] as const) {
      const title = `${source}-to-${representation}${hidden.length === 0 ? '' : '-without-1.1'}`;
      test(`page ${title}`, () => {
        const releases = pypi.readMetadata(document, NAME);
        const context = { publicBase: 'http://spoke.example.test/pypi', representation, detail: '' };
        const view = pypi.renderView(document, releases, new Set<string>(hidden), context);
        assert.equal(view.contentType, CONTENT_TYPES[representation]);
        assert.doesNotMatch(view.body.toString(), /(?:index|files|tracks)\.example\.test/);
        const text = view.body.toString();
        const file = at(`views/${title}.${representation === 'html' ? 'html' : 'json'}`);
        matchesGolden(file, representation === 'html' ? text : pretty(text));
      });
    }
  }
}

function pretty(json: string): string {
  return `${JSON.stringify(JSON.parse(json), null, 2)}\n`;
}

const refusal: Refusal = {
  status: 403,
  title: 'Published too recently',
  detail: 'Version 1.1 of weir-sample is 3 hours old and must be public for 72 hours.',
  code: '7K3MQ9ZD' as RequestCode,
  purl: 'pkg:pypi/weir-sample@1.1',
  rules: ['WEIR-AGE-001'],
  allowedInstead: '1.0',
  retryAt: 1_767_225_600,
  requestUrl: 'https://hub.example.test/r/7K3MQ9ZD',
  bundle: `sha256:${'0'.repeat(64)}`,
};

const REFUSALS: readonly (readonly [name: string, refusal: Refusal, client: string])[] = [
  ['403-pip.txt', refusal, 'pip'],
  ['403-uv.txt', refusal, 'uv'],
  ['503-pip.txt', { ...refusal, status: 503, title: 'The audit log is full', rules: [] }, 'pip'],
  ['503-uv.txt', { ...refusal, status: 503, title: 'The audit log is full', rules: [] }, 'uv'],
  ['401-pip.txt', { ...refusal, status: 401, title: 'The token is not known', purl: '', rules: [] }, 'pip'],
];

for (const [name, subject, client] of REFUSALS) {
  test(`reply ${name}`, () => matchesGolden(at(`refusals/${name}`), transcript(pypi.renderRefusal(subject, client))));
}

function transcript(reply: ClientReply): string {
  const head = [`HTTP/1.1 ${reply.status} ${reply.reasonPhrase}`, ...reply.headers.map((header) => header.join(': '))];
  return `${head.join('\n')}\n\n${pretty(reply.body.toString())}`;
}

test('every refusal has exactly the problem+json type and is never stored', () => {
  for (const status of [400, 401, 403, 404, 413, 500, 502, 503, 504]) {
    const { headers } = pypi.renderRefusal({ ...refusal, status }, 'uv');
    assert.deepEqual(
      headers.filter(([name]) => name === 'content-type'),
      [['content-type', 'application/problem+json']],
    );
    assert.deepEqual(
      headers.filter(([name]) => name === 'cache-control'),
      [['cache-control', 'no-store']],
    );
    assert.equal(
      headers.some(([name]) => name === 'www-authenticate'),
      status === 401,
    );
  }
});

test('when nothing that could be installed is left, all is shown', () => {
  const releases = pypi.readMetadata(JSON_INPUT, NAME);
  const known = releases.releases.map((release) => release.version).filter((version) => version !== '');
  const context = { publicBase: '', representation: 'json', detail: '' };
  const all = pypi.renderView(JSON_INPUT, releases, new Set(), context);
  for (const hidden of [known, [...known, '']]) {
    assert.deepEqual(pypi.renderView(JSON_INPUT, releases, new Set(hidden), context).body, all.body);
  }
});

test('a flag is a yank reason where upstream has none of its own, and steers a plain install', () => {
  const releases = pypi.readMetadata(JSON_INPUT, NAME);
  const flagged = new Map([
    ['1.1', 'flagged here'],
    ['0.9', 'flagged here'],
  ]);
  const view = pypi.renderView(JSON_INPUT, releases, new Set(), {
    publicBase: '',
    representation: 'json',
    detail: '',
    flagged,
  });
  const { files } = JSON.parse(view.body.toString()) as { files: { filename: string; yanked: unknown }[] };
  const yanked = Object.fromEntries(files.map((file) => [file.filename, file.yanked]));
  assert.equal(yanked['weir_sample-1.1-py3-none-any.whl'], 'flagged here');
  assert.equal(yanked['weir-sample-0.9.tar.gz'], 'it loses data');
  assert.equal(yanked['weir_sample-1.0-py3-none-any.whl'], false);
  assert.equal(view.preferred, '1.0');
});

test('a hidden version with a flag stays listed, yanked: only an exact pin takes it, and its file says why', () => {
  const releases = pypi.readMetadata(JSON_INPUT, NAME);
  const flagged = new Map([['1.1', 'too young here']]);
  const view = pypi.renderView(JSON_INPUT, releases, new Set(['1.1', '1.0']), {
    publicBase: '',
    representation: 'json',
    detail: '',
    flagged,
  });
  const { files } = JSON.parse(view.body.toString()) as { files: { filename: string; yanked: unknown }[] };
  const yanked = Object.fromEntries(files.map((file) => [file.filename, file.yanked]));
  assert.equal(yanked['weir_sample-1.1-py3-none-any.whl'], 'too young here');
  assert.equal(yanked['weir_sample-1.0-py3-none-any.whl'], undefined);
  assert.notEqual(view.preferred, '1.1');
  assert.notEqual(view.preferred, '1.0');
});

test('where clients keep the reason of a page to themselves, a page with one file leads them to it', () => {
  const context = { publicBase: '', detail: '' };
  for (const representation of ['json', 'html', 'html-v1']) {
    const view = pypi.standIn?.(NAME, refusal, 'pip', { ...context, representation });
    const page = view?.body.toString() ?? '';
    const link = /\.\.\/\.\.(\/files\/[^"#]+)/.exec(page)?.[1] ?? '';
    const segments = link.slice(1).split('/').map(decodeURIComponent);
    assert.equal(segments[2], 'weir_sample-0+refused.by.weir.code.7k3mq9zd-py3-none-any.whl');
    const route = pypi.match({ method: 'GET', path: link, segments, query: '', headers: {} });
    assert.deepEqual(route, { kind: 'artifact', coordinate: { ...NAME, version: '' }, file: segments[2] });
  }
  const cases: readonly [string, Partial<Refusal>, boolean][] = [
    ['pip', { status: 502 }, true],
    ['pip', { status: 404 }, false],
    ['pip', { status: 401, signIn: 'rejected' }, true],
    ['pip', { status: 401, signIn: 'missing' }, false],
    ['uv', {}, true],
    ['uv', { status: 502 }, false],
    ['uv', { status: 401, signIn: 'rejected' }, false],
    ['other', {}, false],
  ];
  for (const [client, over, expected] of cases) {
    const page = pypi.standIn?.(NAME, { ...refusal, ...over }, client, { ...context, representation: 'html' });
    assert.equal(page !== undefined, expected, `${client} ${JSON.stringify(over)}`);
  }
  assert.equal(pypi.standIn?.(NAME, refusal, 'pip', { ...context, representation: 'legacy-json' }), undefined);
});

test('bad credentials are a 401 for clients that are silent about anything else', () => {
  for (const client of ['pip', 'uv']) {
    assert.equal(pypi.renderRefusal({ ...refusal, status: 403, signIn: 'rejected' }, client).status, 401);
  }
});

test('a view is the same when the parsed form got lost on the way', () => {
  const { parsed: _, ...releases } = pypi.readMetadata(JSON_INPUT, NAME);
  const context = { publicBase: '', representation: 'html', detail: '' };
  const again = pypi.renderView(JSON_INPUT, releases, new Set(['1.1']), context);
  const first = pypi.renderView(JSON_INPUT, pypi.readMetadata(JSON_INPUT, NAME), new Set(['1.1']), context);
  assert.deepEqual(again, first);
});

test('the index root is a valid empty page and clients are told apart by their agent', () => {
  const request = {
    target: { method: 'GET', path: '/simple/', segments: ['simple', ''], query: '', headers: {} },
    body: Buffer.alloc(0),
    actor: '',
    publicBase: '',
    isInternal: () => false,
  };
  const answer = pypi.answerService({ kind: 'service', service: 'index_root', detail: 'json' }, request);
  assert.ok(answer.kind === 'reply' && answer.reply.status === 200);
  assert.deepEqual((JSON.parse(answer.reply.body.toString()) as { projects: unknown }).projects, []);
  assert.throws(() => pypi.answerService({ kind: 'service', service: 'other', detail: '' }, request));
  assert.equal(pypi.clientFamily('pip/23.2.1 {"ci":null}'), 'pip');
  assert.equal(pypi.clientFamily('uv/0.13.9 (Linux)'), 'uv');
  assert.equal(pypi.clientFamily(''), 'other');
});
