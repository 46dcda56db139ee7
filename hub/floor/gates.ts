// Everything that a policy tree must pass before it is published, ending with the compiled module. Gates run in order and
// stop at the first that objects; a refused tree leaves no trace.

import { BUNDLE_LIMITS } from '@weir/shared/bundle/manifest.ts';
import type { Rules } from '@weir/shared/bundle/layers.ts';
import { describeThrown, WeirError } from '@weir/shared/errors/weir-error.ts';
import { FLOOR_ENTRYPOINT, overlayEntrypoint } from '@weir/shared/policy/input.ts';
import type { Clock } from '@weir/shared/ports/clock.ts';
import type { PolicyScope, SourceFile } from '../store/policy-store.ts';
import { readModule, type Module } from './ast.ts';
import { catalogueFindings, readTexts } from './catalogue.ts';
import { coverageFindings, testFindings } from './coverage.ts';
import { acceptModule, opaAnswers, wasmAnswers } from './evaluate.ts';
import { limited, opaFindings, sourcePath, type Gate, type GateFinding } from './gate-finding.ts';
import type { Opa, OpaFolder } from './opa.ts';
import { namespaceFindings } from './overlay-namespace.ts';
import { findVersionUse } from './reads-version.ts';
import { readRuleMetadata } from './rule-metadata.ts';
import { readTree, type SourceTree } from './source-tree.ts';
import { readTarMember } from './tar-member.ts';
import { readVectors, vectorFindings, type Vector } from './vectors.ts';

export interface GateOptions {
  readonly opa: Opa;
  readonly clock: Pick<Clock, 'monotonicMs'>;
  /** OPA capabilities files; they ship with the product and never come from the tree that they judge. */
  readonly capabilities: { readonly floor: Uint8Array; readonly overlay: Uint8Array };
  /** Least share of covered lines, percent. */
  readonly coverage?: { readonly floor: number; readonly overlay: number };
}

export const COVERAGE_MIN = { floor: 100, overlay: 80 } as const;
/** OPA runs at a time. */
const PARSERS = 4;

export interface Compiled {
  readonly scope: PolicyScope;
  /** The wasm module. */
  readonly module: Uint8Array;
  /** This scope's rules and texts only. */
  readonly rules: Rules;
  readonly vectors: readonly Vector[];
  readonly readsVersion: boolean;
  /** Why it does, '' when it does not: `file:line: reason`. */
  readonly versionUse: string;
  /** Percent of lines covered by tests. */
  readonly coverage: number;
}

export type GateOutcome =
  | { readonly ok: true; readonly compiled: Compiled }
  | { readonly ok: false; readonly findings: readonly GateFinding[] };

export interface Gates {
  /** Only what it takes to run a tree: no format, tests, coverage or vectors. For trying a policy out, never for publishing. */
  compile(scope: PolicyScope, files: readonly SourceFile[], floor: readonly SourceFile[]): Promise<GateOutcome>;
  floor(files: readonly SourceFile[]): Promise<GateOutcome>;
  /** @param floor the published floor tree: its library is compiled in, its rule ids are taken */
  overlay(unit: string, files: readonly SourceFile[], floor: readonly SourceFile[]): Promise<GateOutcome>;
}

export function createGates(options: GateOptions): Gates {
  return {
    compile: (scope, files, floor) => judge({ ...options, whole: false }, scope, files, floor),
    floor: (files) => judge({ ...options, whole: true }, { kind: 'floor' }, files, []),
    overlay: (unit, files, floor) => judge({ ...options, whole: true }, { kind: 'overlay', unit }, files, floor),
  };
}

/** Where a tree lies for OPA. */
const SOURCE = 'src';
const LIBRARY = 'lib';
const SCHEMA = 'schema';
const CAPABILITIES = 'capabilities.json';

export function entrypointOf(scope: PolicyScope): string {
  return scope.kind === 'floor' ? FLOOR_ENTRYPOINT : overlayEntrypoint(scope.unit);
}

/** Paths by which OPA loads a tree opened with `openTree`. */
export function sourcePaths(scope: PolicyScope): readonly string[] {
  return scope.kind === 'floor' ? [SOURCE] : [SOURCE, LIBRARY];
}

/** A folder with the tree, and for an overlay with the floor's library beside it. */
export async function openTree(
  options: Pick<GateOptions, 'opa' | 'capabilities'>,
  scope: PolicyScope,
  tree: SourceTree,
  library: readonly SourceFile[],
): Promise<OpaFolder> {
  return options.opa.open([
    ...place(SOURCE, [...tree.rules, ...tree.tests]),
    ...place(LIBRARY, library),
    ...tree.schema.map(({ path, content }) => ({ path: path.replace(/^schema\//, `${SCHEMA}/`), content })),
    { path: CAPABILITIES, content: options.capabilities[scope.kind] },
  ]);
}

function place(folder: string, files: readonly SourceFile[]): readonly SourceFile[] {
  return files.map(({ path, content }) => ({ path: `${folder}/${path}`, content }));
}

/** Ends the judgement with findings. */
class Objection extends Error {
  readonly findings: readonly GateFinding[];

  constructor(findings: readonly GateFinding[]) {
    super('a gate objects');
    this.findings = findings;
  }
}

function demand(gate: Gate, findings: readonly GateFinding[]): void {
  if (findings.length > 0) throw new Objection(limited(gate, findings));
}

interface Judgement extends GateOptions {
  /** Every gate, or only those that compiling needs. */
  readonly whole: boolean;
}

async function judge(
  options: Judgement,
  scope: PolicyScope,
  files: readonly SourceFile[],
  floorFiles: readonly SourceFile[],
): Promise<GateOutcome> {
  try {
    return { ok: true, compiled: await passAll(options, scope, files, floorFiles) };
  } catch (thrown) {
    if (thrown instanceof Objection) return { ok: false, findings: thrown.findings };
    throw thrown;
  }
}

async function passAll(
  options: Judgement,
  scope: PolicyScope,
  files: readonly SourceFile[],
  floorFiles: readonly SourceFile[],
): Promise<Compiled> {
  const read = readTree(files);
  if (!read.ok) throw new Objection(limited('source', read.findings));
  const tree = scope.kind === 'floor' ? read.tree : { ...read.tree, schema: treeOf(floorFiles).schema };
  const library = scope.kind === 'floor' ? [] : libraryOf(floorFiles);
  await using folder = await openTree(options, scope, tree, library);
  const paths = sourcePaths(scope);

  const modules = await parseAll(folder, SOURCE, tree.rules);
  const testModules = await parseAll(folder, SOURCE, tree.tests);
  const libraryModules = await parseAll(
    folder,
    LIBRARY,
    library.filter(({ path }) => !path.endsWith('_test.rego')),
  );
  demand('namespace', packageFindings(scope, modules, testModules, floorFiles));

  const checked = await folder.run([
    'check',
    '--strict',
    '--format=json',
    '--max-errors=50',
    `--capabilities=${CAPABILITIES}`,
    ...(tree.schema.length > 0 ? ['--schema', SCHEMA] : []),
    ...paths,
  ]);
  if (checked.status !== 0) throw new Objection(opaFindings('check', checked, SOURCE));

  const coverage = options.whole ? await passTests(folder, scope, tree, options) : 0;

  const metadata = await readMetadata(folder, scope, modules);
  demand('metadata', metadata.findings);

  const { texts, findings: textFaults } = readTexts(tree.catalogue);
  const floorTexts = scope.kind === 'floor' ? {} : readTexts(treeOf(floorFiles).catalogue).texts;
  const taken = Object.keys(texts).filter((code) => Object.hasOwn(floorTexts, code));
  demand('catalogue', [
    ...textFaults,
    ...taken.map((code) => ({
      gate: 'catalogue' as const,
      file: '',
      line: 0,
      message: `${code} is a text of the floor`,
    })),
    ...catalogueFindings(modules, libraryModules, texts),
  ]);

  const module = await build(folder, scope);
  try {
    await acceptModule(module, entrypointOf(scope), options.clock);
  } catch (thrown) {
    throw new Objection([{ gate: 'build', file: '', line: 0, message: describeThrown(thrown) }]);
  }
  const vectors = options.whole ? await passVectors(folder, scope, { tree, module }, options) : [];

  const use = findVersionUse([...modules, ...libraryModules]);
  return {
    scope,
    module,
    rules: { schema: 'weir.rules/v1', rules: [...metadata.rules], texts },
    vectors,
    readsVersion: use !== undefined,
    versionUse: use === undefined ? '' : `${use.file}:${use.line}: ${use.why}`,
    coverage,
  };
}

/** Format, tests and coverage; the share of covered lines in percent. */
async function passTests(
  folder: OpaFolder,
  scope: PolicyScope,
  tree: SourceTree,
  options: GateOptions,
): Promise<number> {
  demand('format', await formatFindings(folder));
  const test = ['test', '--format=json', `--capabilities=${CAPABILITIES}`, ...sourcePaths(scope)];
  demand('tests', testFindings(await folder.run(test), SOURCE));
  const { percent, findings } = coverageFindings(await folder.run([...test, '--coverage']), {
    sourceFolder: SOURCE,
    rules: tree.rules,
    minimum: (options.coverage ?? COVERAGE_MIN)[scope.kind],
  });
  demand('coverage', findings);
  return percent;
}

/** The author's vectors, on the module as spokes load it and on OPA. */
async function passVectors(
  folder: OpaFolder,
  scope: PolicyScope,
  { tree, module }: { readonly tree: SourceTree; readonly module: Uint8Array },
  options: GateOptions,
): Promise<readonly Vector[]> {
  const { vectors, findings } = readVectors(tree.selftest, scope.kind);
  demand('selftest', findings);
  if (scope.kind === 'floor' && vectors.length === 0) {
    demand('selftest', [
      { gate: 'selftest', file: '', line: 0, message: 'a floor needs at least one self-test vector' },
    ]);
  }
  const entrypoint = entrypointOf(scope);
  const wasm = wasmAnswers(module, entrypoint, options.clock);
  const opa = opaAnswers(folder, sourcePaths(scope), entrypoint);
  demand('selftest', await vectorFindings(vectors, { wasm, opa }));
  return vectors;
}

/** A published tree, which was judged before; when it no longer reads, that is a fault of the store: throws `corrupt`. */
export function treeOf(files: readonly SourceFile[]): SourceTree {
  const read = readTree(files);
  if (read.ok) return read.tree;
  throw new WeirError('corrupt', 'a published tree cannot be read again');
}

const LIBRARY_PACKAGE = /^package[ \t]+weir(?:\.lib(?:\.[a-z_][a-z0-9_.]*)?)?[ \t]*$/m;

/**
 * Files of the floor that overlays are compiled and tested with: packages `weir.lib.*`, fixtures for tests among them, and
 * `weir` itself, which only annotates.
 */
export function libraryOf(floor: readonly SourceFile[]): readonly SourceFile[] {
  return floor.filter(
    ({ path, content }) => path.endsWith('.rego') && LIBRARY_PACKAGE.test(new TextDecoder().decode(content)),
  );
}

async function parseAll(folder: OpaFolder, root: string, files: readonly SourceFile[]): Promise<readonly Module[]> {
  const modules: Module[] = [];
  const faults: GateFinding[] = [];
  for (let at = 0; at < files.length; at += PARSERS) {
    const group = files.slice(at, at + PARSERS);
    const parsed = await Promise.all(
      group.map(({ path }) =>
        folder.run(['parse', '--format', 'json', '--json-include', 'locations,-comments', `${root}/${path}`]),
      ),
    );
    for (const [index, result] of parsed.entries()) {
      const path = group[index]?.path ?? '';
      if (result.status === 0) modules.push(readModule(path, JSON.parse(result.stdout)));
      else faults.push(...opaFindings('parse', result, root));
    }
  }
  demand('parse', faults);
  return modules;
}

/** Packages belong to their scope: the floor's own roots, or the unit's. */
function packageFindings(
  scope: PolicyScope,
  modules: readonly Module[],
  tests: readonly Module[],
  floorFiles: readonly SourceFile[],
): readonly GateFinding[] {
  if (scope.kind === 'floor') return [...modules, ...tests].flatMap(floorPackageFindings);
  const floorTexts = treeOf(floorFiles).rules.map(({ content }) => new TextDecoder().decode(content));
  const floorRuleIds = new Set(floorTexts.flatMap((text) => text.match(/WEIR-[A-Z0-9]+(?:-[A-Z0-9]+)*-\d{3}/g) ?? []));
  const rules = { unit: scope.unit, floorRuleIds };
  return [
    ...modules.flatMap((module) => namespaceFindings(module, { isTest: false, rules })),
    ...tests.flatMap((module) => namespaceFindings(module, { isTest: true, rules })),
  ];
}

function floorPackageFindings(module: Module): readonly GateFinding[] {
  const [first, second] = module.package;
  const owned = first === 'weir' && (second === undefined || /^(?:floor|lib)(?:_test)?$/.test(second));
  if (owned) return [];
  const name = module.package.join('.');
  const message = `package ${name} is neither weir.floor nor weir.lib or below them`;
  return [{ gate: 'namespace', file: module.file, line: module.packageLine, message }];
}

async function formatFindings(folder: OpaFolder): Promise<readonly GateFinding[]> {
  const result = await folder.run(['fmt', '--list', SOURCE]);
  if (result.status !== 0) return opaFindings('format', result, SOURCE);
  return result.stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((file) => ({ gate: 'format', file: sourcePath(file, SOURCE), line: 0, message: 'not as opa fmt writes it' }));
}

async function readMetadata(
  folder: OpaFolder,
  scope: PolicyScope,
  modules: readonly Module[],
): Promise<ReturnType<typeof readRuleMetadata>> {
  const inspected = await folder.run(['inspect', '--annotations', '--format', 'json', SOURCE]);
  if (inspected.status !== 0) throw new Objection(opaFindings('metadata', inspected, SOURCE));
  const metadata = readRuleMetadata(JSON.parse(inspected.stdout), scope.kind, SOURCE);
  const findings = [...metadata.findings];
  const expected = entrypointOf(scope);
  for (const { path, file, line } of metadata.entrypoints) {
    if (path !== expected) {
      findings.push({
        gate: 'metadata',
        file,
        line,
        message: `${path} is marked as an entrypoint; the only one is ${expected}`,
      });
    }
  }
  if (scope.kind === 'floor') {
    const described = new Set(metadata.files);
    for (const module of modules) {
      const [, second, third] = module.package;
      if (second !== 'floor' || third === 'main' || described.has(module.file)) continue;
      const message = 'no METADATA with a rule id';
      findings.push({ gate: 'metadata', file: module.file, line: module.packageLine, message });
    }
  }
  return { ...metadata, findings };
}

async function build(folder: OpaFolder, scope: PolicyScope): Promise<Uint8Array> {
  const entrypoint = entrypointOf(scope);
  const built = await folder.run([
    'build',
    '--target=wasm',
    `--entrypoint=${entrypoint}`,
    '--prune-unused',
    '--ignore=*_test.rego',
    `--capabilities=${CAPABILITIES}`,
    '--output=built.tar.gz',
    ...sourcePaths(scope),
  ]);
  if (built.status !== 0) throw new Objection(opaFindings('build', built, SOURCE));
  const archive = await folder.read('built.tar.gz');
  const limit = 4 * BUNDLE_LIMITS.wasmBytes;
  const module = readTarMember(archive, '/policy.wasm', limit);
  const manifest = readTarMember(archive, '/.manifest', limit);
  if (module === undefined || manifest === undefined) throw new WeirError('internal', 'opa built no module');
  const { wasm } = JSON.parse(new TextDecoder().decode(manifest)) as { wasm?: readonly { entrypoint: string }[] };
  const entrypoints = (wasm ?? []).map(({ entrypoint: path }) => path);
  if (entrypoints.length !== 1 || entrypoints[0] !== entrypoint) {
    throw new Objection([
      {
        gate: 'build',
        file: '',
        line: 0,
        message: `the module has the entrypoints ${entrypoints.join(', ')} instead of ${entrypoint}`,
      },
    ]);
  }
  if (module.byteLength > BUNDLE_LIMITS.wasmBytes) {
    throw new Objection([{ gate: 'build', file: '', line: 0, message: 'the module is larger than a spoke accepts' }]);
  }
  return module;
}
