// The shipped policies pass the gates that every submitted policy must pass, mean the same in every engine and at every
// optimisation level, and agree with the tables, schemas and vectors that describe them.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { wasmAnswers } from '@weir/hub/floor/evaluate.ts';
import type { Compiled } from '@weir/hub/floor/gates.ts';
import { readTarMember } from '@weir/hub/floor/tar-member.ts';
import type { Json } from '@weir/shared/domain/json.ts';
import { FLOOR_ENTRYPOINT, overlayEntrypoint } from '@weir/shared/policy/input.ts';
import { SIGNALS } from '@weir/spoke/evidence/signals/index.ts';
import { deriveCapabilities, LAYER_BUILTINS, type OpaCapabilities } from '../../../policies/capabilities.ts';
import { ruleTable, signalTable, withSection } from '../../../policies/reference.ts';
import {
  asFile,
  clock,
  committed,
  filesUnder,
  floorFiles,
  gates,
  opa,
  overlayFiles,
  POLICIES,
  runOpa,
  UNITS,
} from './library.ts';
import { FLOOR_VECTORS, OVERLAY_VECTORS, type Vector, VECTOR_SETTINGS } from './vectors.ts';

const SOURCES = ['lib', 'main', 'floor', 'overlay'];
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Answers of OPA itself, one per vector; null where it gives none. */
async function opaAnswersTo(entrypoint: string, vectors: readonly Vector[]): Promise<readonly Json[]> {
  const target = `data.${entrypoint.replaceAll('/', '.')}`;
  const query = `[a | some v in input.vectors; given := v.input; under := input.settings; found := [r | r := ${target} with input as given with data.settings as under]; a := array.concat(found, [null])[0]]`;
  const { status, stdout, stderr } = await runOpa(
    ['eval', '--format=json', '--stdin-input', ...SOURCES.flatMap((path) => ['--data', path]), query],
    JSON.stringify({ settings: VECTOR_SETTINGS, vectors }),
  );
  assert.equal(status, 0, stderr + stdout);
  return (JSON.parse(stdout) as { result: [{ expressions: [{ value: readonly Json[] }] }] }).result[0].expressions[0]
    .value;
}

async function selftestOf(entrypoint: string, layer: 'floor' | 'overlay', vectors: readonly Vector[]): Promise<string> {
  const outputs = await opaAnswersTo(entrypoint, vectors);
  return asFile({
    schema: 'weir.selftest/v1',
    settings: VECTOR_SETTINGS,
    vectors: vectors.map(({ name, input }, index) => ({ name, layer, input, output: outputs[index] })),
  });
}

/** Generated files first: the gates read them. */
before(async () => {
  const offered = await runOpa(['capabilities', '--current']);
  for (const layer of ['floor', 'overlay'] as const) {
    const derived = deriveCapabilities(JSON.parse(offered.stdout) as OpaCapabilities, layer);
    assert.deepEqual(JSON.parse(committed(`capabilities.${layer}.json`, asFile(derived))), derived);
  }
  const floor = await selftestOf(FLOOR_ENTRYPOINT, 'floor', FLOOR_VECTORS);
  assert.deepEqual(JSON.parse(committed('selftest/floor.json', floor)), JSON.parse(floor));
  for (const unit of UNITS) {
    const overlay = await selftestOf(overlayEntrypoint(unit), 'overlay', OVERLAY_VECTORS[unit]);
    assert.deepEqual(JSON.parse(committed(`overlay/${unit}/selftest/${unit}.json`, overlay)), JSON.parse(overlay));
  }
});

let floor: Compiled;

test('the floor passes every gate of publishing, fully covered', async () => {
  const outcome = await gates.floor(floorFiles());
  assert.ok(outcome.ok, JSON.stringify(outcome, null, 1));
  floor = outcome.compiled;
  assert.equal(floor.coverage, 100);
  assert.equal(floor.vectors.length, FLOOR_VECTORS.length);
});

test('no layer tells two versions of a package apart by anything but their evidence', async () => {
  assert.equal(floor.readsVersion, false, floor.versionUse);
  for (const unit of UNITS) {
    const outcome = await gates.overlay(unit, overlayFiles(unit), floorFiles());
    assert.ok(outcome.ok, JSON.stringify(outcome, null, 1));
    assert.equal(outcome.compiled.readsVersion, false, outcome.compiled.versionUse);
    assert.equal(outcome.compiled.coverage, 100);
  }
});

test('the whole checkout is formatted, strict and typed', async () => {
  const formatted = await runOpa(['fmt', '--fail', '--list', ...SOURCES]);
  assert.equal(formatted.status, 0, formatted.stdout);
  const checked = await runOpa(['check', '--strict', '--schema', 'schema', ...SOURCES]);
  assert.equal(checked.status, 0, checked.stderr + checked.stdout);
});

test('there are twelve rules, each in a folder of its own that the entry point names', () => {
  assert.equal(floor.rules.rules.length, 12);
  const main = text(floorFiles().find(({ path }) => path === 'main/main.rego')?.content ?? new Uint8Array());
  const folders = readdirSync(join(POLICIES, 'floor')).flatMap((category) =>
    readdirSync(join(POLICIES, 'floor', category)).map((rule) => ({ category, rule })),
  );
  assert.equal(folders.length, 12);
  for (const { category, rule } of folders) {
    assert.deepEqual(readdirSync(join(POLICIES, 'floor', category, rule)).toSorted(), [
      `${rule}.rego`,
      `${rule}_test.rego`,
    ]);
    assert.ok(main.includes(`import data.weir.floor.${category}.${rule}\n`), `${category}/${rule} is not imported`);
    assert.ok(main.includes(`\t${rule}.findings,\n`), `${category}/${rule} is not collected`);
  }
});

test('every rule names the ecosystems it is for', async () => {
  for (const folder of ['floor', 'overlay']) {
    const { stdout } = await runOpa(['inspect', '--annotations', '--format=json', folder]);
    const { annotations } = JSON.parse(stdout) as {
      annotations: readonly { annotations: { custom?: { id?: string; ecosystems?: readonly string[] } } }[];
    };
    const rules = annotations.flatMap(({ annotations: { custom } }) => (custom?.id === undefined ? [] : [custom]));
    assert.equal(rules.length, folder === 'floor' ? 12 : 6);
    for (const { id, ecosystems } of rules) {
      assert.ok(ecosystems !== undefined && ecosystems.length > 0, String(id));
      for (const ecosystem of ecosystems) assert.ok(['npm', 'pypi'].includes(ecosystem), String(id));
    }
  }
});

test('texts use only placeholders that their findings fill', () => {
  const filled = new Map<string, Set<string>>();
  const files = [...floorFiles(), ...UNITS.flatMap((unit) => overlayFiles(unit))];
  for (const { path, content } of files.filter((file) => file.path.includes('selftest/'))) {
    const { vectors } = JSON.parse(text(content)) as {
      vectors: readonly { output: { findings: readonly { code: string; facts: object }[] } | null }[];
    };
    for (const { code, facts } of vectors.flatMap(({ output }) => output?.findings ?? []))
      filled.set(code, new Set([...(filled.get(code) ?? []), ...Object.keys(facts)]));
    assert.ok(vectors.length > 0, path);
  }
  // Broken settings are never those of a bundle, so no vector shows them; its test in Rego does.
  filled.set('settings_misshapen', new Set(['part']));
  filled.set('internal_names_unknown', new Set());
  for (const { path, content } of files.filter((file) => file.path.includes('catalogue/'))) {
    for (const [code, { detail, title }] of Object.entries(
      JSON.parse(text(content)) as Record<string, { title: string; detail: string }>,
    )) {
      const facts = filled.get(code);
      assert.ok(facts, `${path}: no vector shows ${code}`);
      for (const [, placeholder = ''] of `${title} ${detail}`.matchAll(/\{([^}]*)\}/g))
        assert.ok(['name', 'version'].includes(placeholder) || facts.has(placeholder), `${code}: {${placeholder}}`);
    }
  }
});

test('both optimisation levels answer every vector as OPA does', async () => {
  const expected = await opaAnswersTo(FLOOR_ENTRYPOINT, FLOOR_VECTORS);
  const questions = FLOOR_VECTORS.map(({ input }) => ({ settings: VECTOR_SETTINGS, input: input as unknown as Json }));
  for (const level of ['0', '1']) {
    // Without a manifest the optimiser takes missing data for known to be absent and drops every rule that reads settings.
    await using folder = await opa.open(
      [
        ...floorFiles().filter(({ path }) => path.endsWith('.rego') && !path.endsWith('_test.rego')),
        { path: '.manifest', content: new TextEncoder().encode('{"roots":["weir"]}') },
      ].map(({ path, content }) => ({ path: `src/${path}`, content })),
    );
    const built = await folder.run([
      'build',
      '--target=wasm',
      '--bundle',
      `--optimize=${level}`,
      `--entrypoint=${FLOOR_ENTRYPOINT}`,
      '--output=built.tar.gz',
      'src',
    ]);
    assert.equal(built.status, 0, built.stderr + built.stdout);
    const module = readTarMember(await folder.read('built.tar.gz'), '/policy.wasm', 8 << 20);
    assert.ok(module);
    const answers = await wasmAnswers(module, FLOOR_ENTRYPOINT, clock)(questions);
    for (const [index, vector] of FLOOR_VECTORS.entries())
      assert.deepEqual(answers[index], expected[index], `-O${level}: ${vector.name}`);
  }
});

test('a document of another schema gets no answer', async () => {
  const [first] = FLOOR_VECTORS;
  assert.ok(first);
  const other = { ...first.input, schema: 'weir.input/v2' } as unknown as Json;
  const answers = await wasmAnswers(
    floor.module,
    FLOOR_ENTRYPOINT,
    clock,
  )([{ settings: VECTOR_SETTINGS, input: other }]);
  assert.deepEqual(answers, [undefined]);
});

test('the input schema describes what the signals really give', async () => {
  const schema = JSON.parse(
    text(floorFiles().find(({ path }) => path === 'schema/input.json')?.content ?? new Uint8Array()),
  ) as {
    definitions: { candidate: { properties: { evidence: { properties: object } } } };
  };
  assert.deepEqual(
    Object.keys(schema.definitions.candidate.properties.evidence.properties).toSorted(),
    SIGNALS.map((signal) => signal.name).toSorted(),
  );
  const settings = JSON.parse(
    text(floorFiles().find(({ path }) => path === 'schema/settings.json')?.content ?? new Uint8Array()),
  ) as object;
  const vectors = [...FLOOR_VECTORS, ...UNITS.flatMap((unit) => OVERLAY_VECTORS[unit])];
  const { stdout } = await runOpa(
    ['eval', '--format=json', '--stdin-input', '[json.match_schema(d, s) | some [d, s] in input.pairs]'],
    JSON.stringify({ pairs: [...vectors.map(({ input }) => [input, schema]), [VECTOR_SETTINGS, settings]] }),
  );
  const results = (JSON.parse(stdout) as { result: [{ expressions: [{ value: readonly [boolean, unknown][] }] }] })
    .result[0].expressions[0].value;
  assert.equal(results.length, vectors.length + 1);
  for (const [index, [valid, errors]] of results.entries())
    assert.ok(valid, `${vectors[index]?.name ?? 'settings'}: ${JSON.stringify(errors)}`);
});

test('layers cannot use what costs without bound or differs between engines', async () => {
  for (const builtin of LAYER_BUILTINS.overlay) assert.ok(LAYER_BUILTINS.floor.includes(builtin), builtin);
  const forbidden = {
    'http.send': 'http.send({})',
    'io.jwt.decode': 'io.jwt.decode("x")',
    'opa.runtime': 'opa.runtime()',
    'rand.intn': 'rand.intn("a", 2)',
    'regex.match': 'regex.match("a", "b")',
    'regex.split': 'regex.split("a", "b")',
    'time.now_ns': 'time.now_ns()',
    'yaml.marshal': 'yaml.marshal(1)',
    sprintf: 'sprintf("%d", [1])',
    walk: 'walk(input)',
    'graph.reachable': 'graph.reachable({}, {})',
    'crypto.sha256': 'crypto.sha256("x")',
    'glob.match': 'glob.match("*", [], "x")',
    'json.marshal': 'json.marshal(1)',
    'uuid.rfc4122': 'uuid.rfc4122("x")',
    trace: 'trace("x")',
    'semver.compare': 'semver.compare("1.0.0", "1.0.0")',
  };
  for (const layer of ['floor', 'overlay'] as const) {
    for (const [name, call] of Object.entries(forbidden)) {
      assert.ok(!LAYER_BUILTINS[layer].includes(name));
      await using folder = await opa.open([
        ...filesUnder().filter(({ path }) => path.startsWith('capabilities.') && path.endsWith('.json')),
        { path: 'x.rego', content: new TextEncoder().encode(`package x\n\nresult := ${call}\n`) },
      ]);
      const checked = await folder.run(['check', `--capabilities=capabilities.${layer}.json`, 'x.rego']);
      assert.notEqual(checked.status, 0, `${layer} may use ${name}`);
    }
  }
});

test('the tables of the README are up to date', async () => {
  const overlays = [];
  for (const unit of UNITS) {
    const outcome = await gates.overlay(unit, overlayFiles(unit), floorFiles());
    assert.ok(outcome.ok);
    overlays.push(...outcome.compiled.rules.rules);
  }
  const readme = committedReadme();
  let want = withSection(readme, 'floor rules', ruleTable(floor.rules.rules));
  want = withSection(want, 'overlay rules', ruleTable(overlays));
  want = withSection(want, 'signals', signalTable(SIGNALS));
  assert.equal(committed('README.md', want), want);
});

function committedReadme(): string {
  return text(filesUnder().find(({ path }) => path === 'README.md')?.content ?? new Uint8Array());
}
