// What the shipped floor and datasets mean under the default settings of a unit: everyday packages install, at most with
// a warning, and well-known harm does not.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { wasmAnswers } from '@weir/hub/floor/evaluate.ts';
import { defaultSettings } from '@weir/hub/unit/default-settings.ts';
import { intelSchema } from '@weir/shared/bundle/layers.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { join, type Level } from '@weir/shared/domain/level.ts';
import { FLOOR_ENTRYPOINT, type PolicyInput } from '@weir/shared/policy/input.ts';
import { evaluateSignals } from '@weir/spoke/evidence/findings.ts';
import { buildIntelIndex, type IntelIndex } from '@weir/spoke/evidence/intel-index.ts';
import {
  AT,
  DAY,
  file,
  HOUR,
  known,
  missing,
  release,
  releases,
} from '@weir/spoke/evidence/signals/facts-for-tests.ts';
import type { Release, Releases } from '@weir/spoke/registries/adapter.ts';
import { clock, filesUnder, floorFiles, gates } from './library.ts';
import { inputOf } from './vectors.ts';

const SETTINGS = defaultSettings('payments');

let index: IntelIndex;
/** Floor answers to `INSTALLS`, in order. */
let answers: readonly (Json | undefined)[];

before(async () => {
  const outcome = await gates.floor(floorFiles());
  assert.ok(outcome.ok);
  const bytes = filesUnder('intel').find(({ path }) => path === 'intel.json')?.content;
  assert.ok(bytes);
  index = buildIntelIndex(intelSchema.parse(JSON.parse(new TextDecoder().decode(bytes))));
  answers = await wasmAnswers(
    outcome.compiled.module,
    FLOOR_ENTRYPOINT,
    clock,
  )(INSTALLS.map((install) => ({ settings: SETTINGS, input: documentOf(install) as unknown as Json })));
});

interface Install {
  /** `npm:@scope/name` or `pypi:name`. */
  readonly name: string;
  readonly release?: Partial<Release>;
  readonly project?: Partial<Releases>;
}

function documentOf({ name: text, release: own, project }: Install): PolicyInput {
  const [, ecosystem = '', namespace = '', short = ''] = /^(npm|pypi):(?:(@[^/]+)\/)?(.+)$/.exec(text) ?? [];
  assert.ok(ecosystem === 'npm' || ecosystem === 'pypi');
  const name = { ecosystem, namespace, name: short } as const;
  const candidate = release({
    files: [file({ name: ecosystem === 'pypi' ? `${short}-1.0.0-py3-none-any.whl` : `${short}-1.0.0.tgz` })],
    licence: ecosystem === 'pypi' ? undefined : 'MIT',
    trustRank: ecosystem === 'pypi' ? undefined : 0,
    ...own,
  });
  const evidence = evaluateSignals(
    {
      name,
      version: candidate.version,
      releases: known(releases([candidate], { name, ...project })),
      release: known(candidate),
      file: missing('not_an_artifact_request'),
      content: missing('not_an_artifact_request'),
      coreMetadata: missing('not_fetched'),
      intel: known(index),
      settings: SETTINGS,
    },
    AT,
  );
  const subject = { purl: '', ...name, version: candidate.version, digest: '', size: null, published_at: null };
  return inputOf([{ subject: { ...subject, namespace, name: short }, evidence, approvals: [] }], ecosystem);
}

const young = { publishedAt: AT - HOUR };
const newProject = { firstPublishedAt: AT - 10 * DAY };

const INSTALLS: readonly (Install & { readonly level: Level; readonly rules: readonly string[] })[] = [
  ...[
    'lodash',
    'express',
    'react',
    'typescript',
    'chalk',
    'debug',
    'semver',
    '@babel/core',
    '@types/node',
    'ms',
    'qs',
  ].map((name) => ({ name: `npm:${name}`, level: 'allow' as const, rules: [] })),
  ...['requests', 'numpy', 'flask', 'django', 'urllib3', 'python-dateutil', 'setuptools', 'colorama'].map((name) => ({
    name: `pypi:${name}`,
    level: 'allow' as const,
    rules: [],
  })),
  { name: 'npm:esbuild', release: { installScripts: ['postinstall'] }, level: 'warn', rules: ['WEIR-SCR-001'] },
  {
    name: 'npm:request',
    release: { withdrawn: { state: 'deprecated', reason: '' } },
    level: 'warn',
    rules: ['WEIR-WDR-001'],
  },
  { name: 'npm:lodash', release: young, level: 'deny', rules: ['WEIR-AGE-001'] },
  { name: 'pypi:requests', release: { publishedAt: null }, level: 'pending', rules: ['WEIR-UNK-001'] },
  { name: 'npm:lodahs', level: 'warn', rules: ['WEIR-TYPO-001'] },
  {
    name: 'npm:lodahs',
    release: { publishedAt: AT - 9 * DAY },
    project: newProject,
    level: 'deny',
    rules: ['WEIR-NEW-001', 'WEIR-TYPO-001'],
  },
  {
    name: 'pypi:reqeusts',
    release: { publishedAt: AT - 9 * DAY },
    project: newProject,
    level: 'deny',
    rules: ['WEIR-NEW-001', 'WEIR-TYPO-001'],
  },
  {
    name: 'npm:quite-unlike-anything',
    release: { publishedAt: AT - 9 * DAY },
    project: newProject,
    level: 'warn',
    rules: ['WEIR-NEW-001'],
  },
  { name: 'npm:event-stream', release: { version: '3.3.6' }, level: 'deny', rules: ['WEIR-MAL-001'] },
  { name: 'npm:event-stream', release: { version: '3.3.4' }, level: 'allow', rules: [] },
  { name: 'npm:ua-parser-js', release: { version: '0.7.29' }, level: 'deny', rules: ['WEIR-MAL-001'] },
  { name: 'npm:ua-parser-js', release: { version: '0.7.30' }, level: 'allow', rules: [] },
  { name: 'npm:chalk', release: { version: '5.6.1' }, level: 'deny', rules: ['WEIR-MAL-001'] },
  { name: 'npm:chalk', release: { version: '5.6.2' }, level: 'allow', rules: [] },
  { name: 'npm:@solana/web3.js', release: { version: '1.95.7' }, level: 'deny', rules: ['WEIR-MAL-001'] },
  { name: 'pypi:ctx', release: { version: '0.2.2' }, level: 'deny', rules: ['WEIR-MAL-001'] },
  { name: 'pypi:python3-dateutil', level: 'deny', rules: ['WEIR-MAL-001', 'WEIR-TYPO-001'] },
  { name: 'pypi:anything', project: { projectState: 'quarantined' }, level: 'deny', rules: ['WEIR-WDR-001'] },
];

for (const [position, { name, release: own, project, level, rules }] of INSTALLS.entries()) {
  const what = `${name} ${own?.version ?? ''}${project === undefined ? '' : ' with project facts'}`;
  test(`${what.trim()} is ${level}${rules.length === 0 ? '' : ` by ${rules.join(' and ')}`}`, () => {
    const { findings } = answers[position] as unknown as { findings: readonly { level: Level; rule: string }[] };
    assert.equal(findings.map((found) => found.level).reduce(join, 'allow'), level);
    assert.deepEqual(
      findings.map((found) => found.rule),
      rules,
    );
  });
}

test('the sample datasets are consistent with each other', () => {
  const bytes = filesUnder('intel').find(({ path }) => path === 'intel.json')?.content ?? new Uint8Array();
  const intel = intelSchema.parse(JSON.parse(new TextDecoder().decode(bytes)));
  for (const ecosystem of ['npm', 'pypi'] as const) {
    const names = intel.popular.names[ecosystem];
    assert.ok(names.length >= 500);
    assert.equal(new Set(names).size, names.length);
    const popular = new Set(names);
    for (const { name, versions, ranges } of intel.malicious.records.filter((record) => record.ecosystem === ecosystem))
      if (versions.length + ranges.length === 0) assert.ok(!popular.has(name), `${name} is popular as a whole`);
  }
  for (const name of intel.popular.names.pypi) assert.match(name, /^[a-z0-9]+(?:-[a-z0-9]+)*$/);
  for (const { id } of intel.malicious.records)
    assert.match(id, /^(?:GHSA(?:-[0-9a-z]{4}){3}|MAL-\d{4}-\d+|WEIR-SEED-\d{3})$/);
  for (const id of ['MIT', 'Apache-2.0', 'BSD-3-Clause', 'GPL-3.0-or-later', 'ISC'])
    assert.ok(index.isKnownLicence(id));
  for (const { source, licence, as_of } of [intel.malicious, intel.popular, intel.licences].map(
    (set) => set.provenance,
  )) {
    assert.ok(source !== '' && licence !== '');
    assert.match(as_of, /^\d{4}-\d{2}-\d{2}$/);
  }
});
