// Who may import whom: the layout's rules, one test each. A failure lists every offending import.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { folder, readText, sources, type Source } from './sources.ts';

const all = sources();
const shipped = all.filter((source) => !source.isTest);

function offenders(
  list: readonly Source[],
  offends: (source: Source, specifier: string, file: string | undefined) => boolean,
): string[] {
  return list.flatMap((source) =>
    source.imports
      .filter(({ specifier, file }) => offends(source, specifier, file))
      .map(({ specifier }) => `${source.path} imports ${specifier}`),
  );
}

const none = (list: readonly string[]): void => assert.deepEqual(list, []);

test('generated messages stay at the edge: shared/wire, rpc, io, console and cli', () => {
  const allowed = ['shared/wire/', 'hub/rpc/', 'hub/io/', 'hub/console/', 'hub/cli/', 'spoke/io/', 'proto/'];
  none(
    offenders(
      shipped,
      (source, _specifier, file) =>
        file?.startsWith('proto/gen/') === true && !allowed.some((prefix) => source.path.startsWith(prefix)),
    ),
  );
});

test('shared imports only shared, its messages in wire, and computing parts', () => {
  const builtIns = new Set(['node:crypto', 'node:buffer', 'node:zlib', 'node:vm', 'node:url', 'node:util']);
  none(
    offenders(
      shipped.filter(({ path }) => path.startsWith('shared/')),
      (_source, specifier, file) =>
        file === undefined
          ? specifier.startsWith('node:') && !builtIns.has(specifier)
          : !file.startsWith('shared/') && !file.startsWith('proto/gen/'),
    ),
  );
});

test('inside shared, meaning does not depend on wire, nor domain on anything', () => {
  none(
    offenders(
      shipped.filter(({ path }) => path.startsWith('shared/')),
      (source, _specifier, file) =>
        file !== undefined &&
        ((folder(source.path) === 'shared/domain' && folder(file) !== 'shared/domain') ||
          (folder(source.path) !== 'shared/wire' && folder(file) === 'shared/wire')),
    ),
  );
});

test('hub and spoke never import each other', () => {
  none(
    offenders(
      all.filter(({ path }) => /^(hub|spoke)\//.test(path)),
      (source, _specifier, file) =>
        file !== undefined && file.startsWith(source.path.startsWith('hub/') ? 'spoke/' : 'hub/'),
    ),
  );
});

test('nothing shipped imports a test', () => {
  none(
    offenders(
      shipped,
      (_source, _specifier, file) => file !== undefined && (file.startsWith('test/') || file.endsWith('.test.ts')),
    ),
  );
});

const STAGES = ['request', 'identity', 'registries', 'evidence', 'decision', 'audit', 'response', 'bundle', 'uplink'];
/** Types a later stage reads from an earlier one by contract. */
const CONTRACTS = ['spoke/registries/adapter.ts'];
/** Pure knowledge that two stages must share to the letter. */
const SUPPORT = 'spoke/versions';

test('a stage of the spoke imports shared, the adapter contract and itself', () => {
  none(
    offenders(
      shipped.filter(({ path }) => STAGES.some((stage) => path.startsWith(`spoke/${stage}/`))),
      (source, _specifier, file) =>
        file !== undefined &&
        file.startsWith('spoke/') &&
        folder(file) !== folder(source.path) &&
        folder(file) !== SUPPORT &&
        !CONTRACTS.includes(file),
    ),
  );
});

/** Where the parts of a side are put together: io may be named there, and only there. */
const COMPOSITION = /^(hub\/main|spoke\/(main|lead|worker|worker-log|worker-process|retired-logs))\.ts$/;

test('only main, the command line and the trial, which composes both sides, import io', () => {
  none(
    offenders(
      shipped,
      (source, _specifier, file) =>
        file !== undefined &&
        /^(hub|spoke)\/io\//.test(file) &&
        !/^(hub|spoke)\/(io|cli)\//.test(source.path) &&
        !source.path.startsWith('deploy/onprem/trial/') &&
        !COMPOSITION.test(source.path),
    ),
  );
});

const USE_CASES = ['enrollment', 'floor', 'bundle', 'audit', 'fleet', 'unit'];

test('use cases of the hub do not import one another', () => {
  none(
    offenders(
      shipped.filter(({ path }) => USE_CASES.some((name) => path.startsWith(`hub/${name}/`))),
      (source, _specifier, file) =>
        file !== undefined &&
        USE_CASES.some((name) => file.startsWith(`hub/${name}/`)) &&
        folder(file) !== folder(source.path),
    ),
  );
});

test('sockets, files, processes and their libraries are reached only through io', () => {
  const restricted =
    /^(node:(fs|fs\/promises|net|http|https|http2|tls|dns|dns\/promises|child_process|worker_threads|cluster)|undici|pg|nats|@grpc\/.*|@connectrpc\/connect-node)$/;
  const allowed =
    /^((hub|spoke)\/(io|cli)\/|hub\/store\/postgres\/|hub\/main\.ts$|spoke\/(main|worker)\.ts$|weir\.ts$|deploy\/)/;
  const types = /^hub\/rpc\//;
  none(
    shipped.flatMap((source) =>
      source.imports
        .filter(
          ({ specifier, typeOnly }) =>
            restricted.test(specifier) && !allowed.test(source.path) && !(typeOnly || types.test(source.path)),
        )
        .map(({ specifier }) => `${source.path} imports ${specifier}`),
    ),
  );
});

test('opa-wasm only in shared/policy; pino and prom-client only in shared/telemetry; sigstore in crypto and io', () => {
  const homes: readonly (readonly [RegExp, RegExp])[] = [
    [/^@open-policy-agent\//, /^shared\/policy\//],
    [/^(pino|prom-client)$/, /^shared\/telemetry\//],
    [/^@?sigstore(\/|$)/, /^(shared\/(crypto|bundle)\/|(hub|spoke)\/io\/)/],
  ];
  none(
    offenders(shipped, (source, specifier) =>
      homes.some(([library, home]) => library.test(specifier) && !home.test(source.path)),
    ),
  );
});

test('time, chance, environment and console are read only by main, io and cli', () => {
  const reads =
    /\b(Date\.now\(|new Date\(\)|setTimeout\(|setInterval\(|setImmediate\(|Math\.random\(|process\.env\b|console\.)/;
  const allowed =
    /^((hub|spoke)\/(io|cli)\/|hub\/store\/postgres\/|(hub|spoke)\/main\.ts$|spoke\/worker-process\.ts$|weir\.ts$|deploy\/|policies\/)/;
  none(
    shipped
      .filter(({ path }) => !allowed.test(path))
      .flatMap(({ path, text }) =>
        text
          .split('\n')
          .map((line, index) => ({ line: line.replace(/\/\/.*$/, '').replace(/^\s*\/?\*+.*$/, ''), number: index + 1 }))
          .filter(({ line }) => reads.test(line))
          .map(({ line, number }) => `${path}:${number} ${line.trim()}`),
      ),
  );
});

test('there is no import cycle and no default export', () => {
  const graph = new Map(
    all.map((source) => [source.path, source.imports.filter(({ typeOnly }) => !typeOnly).map(({ file }) => file)]),
  );
  const state = new Map<string, 'open' | 'done'>();
  const cycles: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return;
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path].join(' → '));
      return;
    }
    state.set(path, 'open');
    for (const next of graph.get(path) ?? []) if (next !== undefined && graph.has(next)) visit(next, [...trail, path]);
    state.set(path, 'done');
  };
  for (const path of graph.keys()) visit(path, []);
  none(cycles);
  // The test runner loads reporters by their default export.
  none(
    all
      .filter(({ path, text }) => /^export default /m.test(text) && path !== 'test/reporter.ts')
      .map(({ path }) => path),
  );
});

test('every file of shared is reachable from both sides', () => {
  const imports = new Map(all.map((source) => [source.path, source.imports.map(({ file }) => file)]));
  const reach = (side: 'hub' | 'spoke'): ReadonlySet<string> => {
    const seen = new Set<string>();
    const queue = shipped.map(({ path }) => path).filter((path) => path.startsWith(`${side}/`));
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      if (seen.has(path)) continue;
      seen.add(path);
      for (const next of imports.get(path) ?? []) if (next !== undefined) queue.push(next);
    }
    return seen;
  };
  const hub = reach('hub');
  const spoke = reach('spoke');
  none(
    shipped
      .map(({ path }) => path)
      .filter((path) => path.startsWith('shared/') && !(hub.has(path) && spoke.has(path)))
      .map(
        (path) =>
          `${path}: used by ${hub.has(path) ? 'the hub only' : spoke.has(path) ? 'the spoke only' : 'neither side'}`,
      ),
  );
});

for (const side of ['hub', 'spoke'] as const) {
  test(`${side}/deps.txt gives one reason for each package that ${side} loads`, () => {
    const loaded = new Set<string>();
    const seen = new Set<string>();
    const byPath = new Map(all.map((source) => [source.path, source]));
    const queue = shipped.map(({ path }) => path).filter((path) => path.startsWith(`${side}/`));
    for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
      const source = byPath.get(path);
      if (source === undefined || seen.has(path)) continue;
      seen.add(path);
      for (const { specifier, file, typeOnly } of source.imports) {
        if (file !== undefined) queue.push(file);
        else if (!specifier.startsWith('node:') && !typeOnly)
          loaded.add(
            specifier
              .split('/')
              .slice(0, specifier.startsWith('@') ? 2 : 1)
              .join('/'),
          );
      }
    }
    loaded.add('@bufbuild/protobuf');
    const lines = readText(`${side}/deps.txt`)
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    const listed = lines.map((line) => line.split(/\s{2,}/));
    none(
      listed.filter(([, reason]) => reason === undefined || reason.length < 10).map(([name]) => `${name}: no reason`),
    );
    assert.deepEqual(
      listed.map(([name]) => name),
      [...loaded].toSorted(),
    );
  });
}
