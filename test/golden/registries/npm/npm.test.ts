// What the npm adapter sends, byte for byte: views of a recorded packument and refusals as each client gets them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { RequestCode } from '@weir/shared/domain/request-code.ts';
import type { ClientReply, HiddenVersion, Refusal } from '@weir/spoke/registries/adapter.ts';
import { npm } from '@weir/spoke/registries/npm/index.ts';
import { matchesGolden } from '../../golden-file.ts';

const HERE = dirname(fileURLToPath(import.meta.url));
const NAME = { ecosystem: 'npm', namespace: '@acme', name: 'paint' } as const;
const CODE = '7K3MQ9ZD' as RequestCode;

const document = {
  bytes: readFileSync(join(HERE, 'packument.json')),
  contentType: 'application/json',
  baseUrl: 'https://registry.example.test/@acme%2fpaint',
};

const views: readonly { name: string; representation: string; detail?: string; hidden: readonly string[] }[] = [
  { name: 'full', representation: 'full', hidden: [] },
  { name: 'full-hidden', representation: 'full', hidden: ['2.0.0', '2.1.0-beta.2'] },
  { name: 'abbreviated', representation: 'abbreviated', hidden: [] },
  { name: 'abbreviated-hidden', representation: 'abbreviated', hidden: ['2.0.0', '2.1.0-beta.2'] },
  { name: 'version-latest-hidden', representation: 'version', detail: 'latest', hidden: ['2.0.0'] },
  { name: 'dist-tags-hidden', representation: 'dist-tags', hidden: ['2.0.0', '2.1.0-beta.2'] },
];
for (const { name, representation, detail = '', hidden } of views) {
  test(`npm view ${name}`, () => {
    const view = npm.renderView(document, npm.readMetadata(document, NAME), new Set(hidden), {
      publicBase: 'http://127.0.0.1:4873/npm',
      representation,
      detail,
    });
    const text = JSON.stringify(JSON.parse(view.body.toString()), null, 2);
    matchesGolden(join(HERE, 'views', `${name}.json`), `${text}\n`);
  });
}

test('npm releases', () => {
  const { parsed: _, ...releases } = npm.readMetadata(document, NAME);
  matchesGolden(join(HERE, 'releases.json'), `${JSON.stringify(releases, null, 2)}\n`);
});

const tooNew: Refusal = {
  status: 403,
  title: 'Published too recently',
  detail: '@acme/paint@2.0.0 is 3 hours old and must be public for 72 hours.',
  code: CODE,
  purl: 'pkg:npm/%40acme/paint@2.0.0',
  rules: ['WEIR-AGE-001'],
  allowedInstead: '1.1.0',
  retryAt: 1_800_000_000,
  requestUrl: 'https://weir.example.test/r/7K3MQ9ZD',
  bundle: 'sha256:0000000000000000000000000000000000000000000000000000000000000000',
};
const bare = { purl: '', rules: [], allowedInstead: '', retryAt: null, requestUrl: '', bundle: '' };
const refusals: readonly { name: string; client: string; refusal: Refusal }[] = [
  { name: 'cooldown-npm', client: 'npm', refusal: tooNew },
  { name: 'cooldown-pnpm', client: 'pnpm', refusal: tooNew },
  { name: 'cooldown-yarn', client: 'yarn', refusal: tooNew },
  {
    name: 'long-name-npm',
    client: 'npm',
    refusal: { ...tooNew, purl: `pkg:npm/%40${'scope'.repeat(20)}/${'name'.repeat(20)}@10.20.30-canary.20260101` },
  },
  {
    name: 'several-rules-npm',
    client: 'npm',
    refusal: { ...tooNew, rules: ['WEIR-MAL-001', 'WEIR-AGE-001'], allowedInstead: '', retryAt: null },
  },
  {
    name: 'unparsable-pnpm',
    client: 'pnpm',
    refusal: {
      ...bare,
      code: CODE,
      status: 400,
      title: 'Request is unparsable',
      detail: 'The path has a dot segment.',
    },
  },
  {
    name: 'token-npm',
    client: 'npm',
    refusal: {
      ...bare,
      code: CODE,
      status: 401,
      title: 'Token has expired',
      detail: 'The token has expired; ask for a new one.',
    },
  },
  {
    name: 'upstream-npm',
    client: 'npm',
    refusal: {
      ...tooNew,
      status: 502,
      title: 'Upstream registry failed',
      detail: 'The upstream registry answered 500.',
      rules: [],
      allowedInstead: '',
      retryAt: null,
    },
  },
  {
    name: 'not-recorded-other',
    client: 'other',
    refusal: {
      ...bare,
      code: '',
      status: 503,
      title: 'Decision cannot be recorded',
      detail: 'The audit log takes no more rows.',
    },
  },
];
for (const { name, client, refusal } of refusals) {
  test(`npm refusal ${name}`, () => {
    matchesGolden(join(HERE, 'refusals', `${name}.txt`), wire(npm.renderRefusal(refusal, client)));
  });
}

const hiddenVersion = (version: string): HiddenVersion => ({
  version,
  code: CODE,
  rule: 'WEIR-AGE-001',
  why: 'Published too recently',
  notice: true,
});

test('npm notices', () => {
  const cases = [
    npm.notice([], '1.0.0', NAME),
    npm.notice([{ ...hiddenVersion('2.0.0'), notice: false }], '1.0.0', NAME),
    npm.notice([hiddenVersion('2.0.0')], '1.0.0', NAME),
    npm.notice(
      [
        hiddenVersion('2.0.0'),
        hiddenVersion('2.0.1'),
        hiddenVersion('10.0.0'),
        hiddenVersion('3.0.0'),
        hiddenVersion('1.9.0'),
      ],
      '1.0.0',
      NAME,
    ),
    npm.notice([{ ...hiddenVersion('2.0.0'), why: 'é\r\nX-Evil: 1 '.repeat(100), code: '' }], '', NAME),
  ];
  const text = cases.map((headers) => headers.map(([name, value]) => `${name}: ${value}\n`).join('') || '(none)\n');
  matchesGolden(join(HERE, 'notices.txt'), text.join('\n'));
});

test('Yarn is told of bad credentials by a status whose reason it prints', () => {
  assert.equal(npm.renderRefusal({ ...tooNew, status: 401, signIn: 'rejected' }, 'yarn').status, 403);
  assert.equal(npm.renderRefusal({ ...tooNew, status: 401, signIn: 'rejected' }, 'npm').status, 401);
});

test('npm advice on a served version, for npm alone', () => {
  const refused = { ...hiddenVersion('2.0.0'), kind: 'would_refuse', allowedInstead: '1.0.0' } as const;
  const cases = [
    npm.advice(refused, NAME, 'npm'),
    npm.advice({ ...refused, kind: 'warned', allowedInstead: '' }, NAME, 'npm'),
    npm.advice({ ...refused, why: 'é\r\nX-Evil: 1 '.repeat(100), code: '' }, NAME, 'npm'),
    npm.advice(refused, NAME, 'pnpm'),
    npm.advice(refused, NAME, 'other'),
  ];
  const text = cases.map((headers) => headers.map(([name, value]) => `${name}: ${value}\n`).join('') || '(none)\n');
  matchesGolden(join(HERE, 'advice.txt'), text.join('\n'));
});

function wire(reply: ClientReply): string {
  const headers = reply.headers.map(([name, value]) => `${name}: ${value}\n`).join('');
  const body = JSON.stringify(JSON.parse(reply.body.toString()), null, 2);
  return `HTTP/1.1 ${reply.status} ${reply.reasonPhrase}\n${headers}\n${body}\n`;
}
